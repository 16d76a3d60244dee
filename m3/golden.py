"""Comparison with golden values: weights, inputs and outputs of the reference for small agents."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from m3.agent.agent import Agent
from m3.agent.reference_weights import from_reference
from m3.agent.returns import lambda_returns
from m3.config.schema import (
    Collection,
    ControllerSettings,
    Evaluation,
    ImageTokenizerSettings,
    RunSettings,
    Schedule,
    Sequences,
    ToyEnvironment,
    WorldModelSettings,
)
from m3.errors import UserError
from m3.nn.distributions import HLGaussHead
from m3.nn.scaling import ReturnRange
from m3.specs import ActionSpec, ContinuousActions, DiscreteActions, ModalitySpec, ObservationSpec
from m3.tokenizers.discrete import quantizer_values
from m3.world_model.imagination import Imagination
from m3.world_model.losses import WorldModelBatch, world_model_losses

TOLERANCE = 1e-4
LOSS_TOLERANCE = 1e-5

Arrays = Mapping[str, np.ndarray]


class Comparison(NamedTuple):
    """One quantity: its largest difference (absolute, or relative for losses) and what is tolerated."""

    quantity: str
    difference: float
    tolerance: float

    @property
    def met(self) -> bool:
        return self.difference <= self.tolerance


def verify_file(path: Path) -> list[Comparison]:
    """Compute every quantity of a golden file with our code and compare.

    Raises:
        UserError: the file is not a golden file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise UserError(f"{path} is not a golden file: {error}") from error
    try:
        quantities = _agent_quantities(arrays) if "config" in arrays else _function_quantities(arrays)
        return [_compare(name, ours, arrays[name]) for name, ours in quantities]
    except KeyError as error:
        raise UserError(f"{path} is not a golden file: it has no {error}") from error


def _compare(name: str, ours: Tensor, golden: np.ndarray) -> Comparison:
    value = ours.detach().numpy()
    if value.shape != golden.shape:
        return Comparison(f"{name} (shape {value.shape}, not {golden.shape})", float("inf"), 0.0)
    difference = float(np.abs(value.astype(np.float64) - golden.astype(np.float64)).max())
    if "/loss/" in name:
        return Comparison(name, difference / max(1.0, abs(float(golden))), LOSS_TOLERANCE)
    return Comparison(name, difference, TOLERANCE)


def _function_quantities(arrays: Arrays) -> Iterator[tuple[str, Tensor]]:
    tensor = _reader(arrays, "")
    rewards, values, ends = (tensor(f"lambda_returns/{name}") for name in ("rewards", "values", "ends"))
    for name, (discount, lambda_) in zip("ab", arrays["lambda_returns/gamma_lambda"], strict=True):
        yield f"lambda_returns/{name}", lambda_returns(rewards, values, ends, float(discount), float(lambda_))

    weight = tensor("hl_gauss/weight")
    head = HLGaussHead(weight.shape[1], 15.0, tensor("hl_gauss/bias"))
    head.linear.weight.data = weight
    targets, logits = tensor("hl_gauss/targets"), head(tensor("hl_gauss/inputs"))
    yield "hl_gauss/target_probs", head.target_probabilities(targets)
    yield "hl_gauss/means", head.mean(logits)
    yield "hl_gauss/loss", head.loss(logits, targets)

    batches = tensor("return_scaler/inputs")
    returns = ReturnRange(batches[0].numel())
    ranges = []
    for batch in batches:
        returns.update(batch)
        ranges.append(returns.range())
    yield "return_scaler/scales", torch.stack(ranges)
    yield "vector_quantizer/support", quantizer_values()


def _agent_quantities(arrays: Arrays) -> Iterator[tuple[str, Tensor]]:
    config = json.loads(str(arrays["config"]))
    settings, observations, actions = small_agent(config, arrays)
    agent = Agent(settings, observations, actions).eval()
    state = {name.removeprefix("state/"): torch.tensor(a) for name, a in arrays.items() if name.startswith("state/")}
    agent.load_state_dict(from_reference(state, agent.state_dict()).weights)
    batch = _reader(arrays, "batch/")
    raw = {name: batch("image_uint8" if name == "image" else name) for name in observations.modalities}
    taken = batch("action") if batch("action").ndim == 3 else batch("action")[..., None]
    with torch.no_grad():
        tokens = agent.tokenizer.encode(raw)
        yield from _tokenizer_quantities(agent, raw, tokens)
        yield from _world_model_quantities(agent, tokens, taken, batch, settings.sequences.context_length)
        yield from _imagination_quantities(agent, tokens, taken, settings.sequences.context_length)
        yield from _actor_critic_quantities(agent, tokens, taken)


def _tokenizer_quantities(
    agent: Agent, raw: Mapping[str, Tensor], tokens: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    for name, value in tokens.items():
        yield f"tokenizer/tokens/{name}", value if name == "token_2d" else value[..., 0]
    if "vector" in raw:
        yield "tokenizer/vector_decoded", agent.tokenizer.decode(tokens)["vector"]
    image = agent.tokenizer.image
    if image is not None:
        latents = image.latents(image.normalise(raw["image"]))
        codes = image.decode(image.nearest_codes(latents)[..., None])
        losses = image.losses(raw["image"].flatten(0, 1), perceptual=None)
        yield "tokenizer/image_latents", latents
        yield "tokenizer/image_reconstruction", image.reconstruct(codes)
        yield "tokenizer/loss/commitment_loss", losses.commitment
        yield "tokenizer/loss/reconstruction_loss", losses.reconstruction
        yield "tokenizer/loss/perceptual_loss", losses.perceptual


def _world_model_quantities(
    agent: Agent, tokens: Mapping[str, Tensor], actions: Tensor, batch: Callable[[str], Tensor], context_length: int
) -> Iterator[tuple[str, Tensor]]:
    model, codebooks = agent.world_model, agent.tokenizer.codebooks
    blocks = model.embed(tokens, actions, codebooks)
    yield "world_model/token_embeddings", blocks

    steps, count = blocks.shape[1], model.observation_tokens
    placeholders = model.placeholders.weight[:count].expand(len(blocks), steps + 1, -1, -1)
    context, outputs, _ = model.retnet(blocks, placeholders, model.empty_memory(len(blocks)), context_outputs=True)
    outputs = outputs[:, :-1]
    yield "world_model/outputs", torch.cat((outputs, context[:, :, count:]), dim=2)

    parts = model.split(outputs)
    for name, logits in model.observation_logits(parts).items():
        yield f"world_model/logits/{name}", logits
    assert model.curiosity is not None
    for name, disagreement in model.curiosity.disagreement(parts).items():
        yield f"world_model/disagreement/{name}", disagreement
    last = outputs[:, :, -1]
    yield "world_model/reward_mean", model.reward_head.scalar.mean(model.reward_head(last))
    yield "world_model/end_logits", model.end_head(last)

    windows = WorldModelBatch(tokens, actions, batch("reward"), batch("end").bool(), batch("mask"))
    losses = world_model_losses(model, windows, codebooks, context_length)
    yield "world_model/loss/loss_obs", losses.observations
    yield "world_model/loss/loss_rewards", losses.rewards
    yield "world_model/loss/loss_ends", losses.ends
    yield "world_model/loss/curiosity_loss", losses.curiosity
    yield "world_model/per_sample_loss", losses.per_window


def _imagination_quantities(
    agent: Agent, tokens: Mapping[str, Tensor], actions: Tensor, context_length: int
) -> Iterator[tuple[str, Tensor]]:
    imagination = Imagination(agent.world_model, agent.tokenizer.codebooks)
    memory = agent.world_model.empty_memory(len(actions))
    outputs, start = [], 0
    for end in range(context_length, actions.shape[1]):
        chunk = {name: t[:, start:end] for name, t in tokens.items()}
        predicted, memory = imagination.predict(memory, chunk, actions[:, start:end])
        outputs.append(predicted)
        start = end
    yield "imagination/prediction_latents", torch.stack(outputs, dim=1)


def _actor_critic_quantities(
    agent: Agent, tokens: Mapping[str, Tensor], actions: Tensor
) -> Iterator[tuple[str, Tensor]]:
    policy = agent.actor_critic
    views = agent.tokenizer.decode(tokens)
    state = policy.initial_state(len(actions))
    logits, values = [], []
    for t in range(actions.shape[1]):
        output, state = policy.observe({name: v[:, t] for name, v in views.items()}, state)
        state = policy.act(actions[:, t], state)
        logits.append(output.logits)
        values.append(policy.critic.mean(output.value))
    stacked = torch.stack(logits, dim=1)
    continuous = isinstance(policy.actions, ContinuousActions)
    yield "actor_critic/action_logits", stacked.unflatten(-1, (actions.shape[-1], -1)) if continuous else stacked
    yield "actor_critic/values", torch.stack(values, dim=1)


def _reader(arrays: Arrays, prefix: str) -> Callable[[str], Tensor]:
    return lambda name: torch.tensor(arrays[prefix + name])


def small_agent(config: dict[str, Any], arrays: Arrays) -> tuple[RunSettings, ObservationSpec, ActionSpec]:
    """Settings and spaces of a golden file's agent, as its configuration and the shapes of its arrays tell."""
    observations = _observation_spec(arrays)
    actions = _action_spec(arrays)
    schedule = Schedule(start_after_epoch=0, steps_per_epoch=1, batch_size=4)
    image = None
    if "image" in observations.modalities:
        image = ImageTokenizerSettings(
            channels=config["ch"],
            downsamples=config["down"],
            code_size=config["code_dim"],
            vocabulary=config["vocab"],
            perceptual="none",
            schedule=schedule,
        )
    settings = RunSettings(
        benchmark="golden",
        variant="golden",
        task=config["kind"],
        seed=0,
        epochs=1,
        environment=ToyEnvironment(family="toy"),
        sequences=Sequences(length=config["time"], context_length=config["ctx"]),
        collection=Collection(steps_per_epoch=1, epsilon=0.0),
        evaluation=Evaluation(every_epochs=1, episodes=1),
        tokenizer=image,
        world_model=WorldModelSettings(
            layers=config["layers"],
            heads=config["heads"],
            width=config["dim"],
            decay_scale_min=config["dmin"],
            decay_scale_max=config["dmax"],
            shared_embeddings="state/world_model.obs_embeddings.image.weight" not in arrays,
            schedule=schedule,
        ),
        controller=ControllerSettings(
            mlp=tuple(config["mlp"]),
            lstm_width=arrays["state/actor_critic.actor.lstm.weight_hh_l0"].shape[1],
            separate_networks="state/actor_critic.critic.lstm.weight_hh_l0" in arrays,
            token_embedding_size=config.get("tok_dim", 64),
            schedule=schedule,
        ),
    )
    return settings, observations, actions


def _observation_spec(arrays: Arrays) -> ObservationSpec:
    embeddings = "state/world_model.obs_embeddings."
    specs = {}
    if "batch/image_uint8" in arrays:
        specs["image"] = ModalitySpec(arrays["batch/image_uint8"].shape[2:], "uint8")
    if "batch/vector" in arrays:
        specs["vector"] = ModalitySpec(arrays["batch/vector"].shape[2:], "float32")
    if "batch/token" in arrays:
        vocabulary = len(arrays[f"{embeddings}token.weight"])
        specs["token"] = ModalitySpec(arrays["batch/token"].shape[2:], "int64", (vocabulary,))
    if "batch/token_2d" in arrays:
        cells, columns = arrays["batch/token_2d"].shape[2:]
        tables = [f"{embeddings}token_2d.embeddings.embeddings.{column}.weight" for column in range(columns)]
        specs["token_2d"] = ModalitySpec((cells, columns), "int64", tuple(len(arrays[table]) for table in tables))
    return ObservationSpec(specs)


def _action_spec(arrays: Arrays) -> ActionSpec:
    taken = arrays["batch/action"]
    if np.issubdtype(taken.dtype, np.floating):
        return ContinuousActions(taken.shape[-1])
    return DiscreteActions((len(arrays["state/world_model.action_encoder.embedding.weight"]),))
