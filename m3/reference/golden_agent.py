"""The small agents of golden files: built from their sizes, and every forward value compared."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from m3.agent.agent import Agent
from m3.config.schema import Attention as AttentionSettings
from m3.config.schema import (
    Collection,
    ControllerSettings,
    Evaluation,
    Optimizer,
    RunSettings,
    Schedule,
    Sequences,
    WorldModelSettings,
)
from m3.config.schema import Retention as RetentionSettings
from m3.config.simulators import ToyEnvironment
from m3.nn.distributions import Uniforms
from m3.nn.precision import tf32_products
from m3.reference.golden_file import GoldenFile
from m3.reference.golden_tokenizer import image_quantities, image_settings
from m3.reference.weights import from_reference
from m3.specs import ActionSpec, ContinuousActions, DiscreteActions, ModalitySpec, ObservationSpec
from m3.world_model.imagination import Imagination
from m3.world_model.losses import WorldModelBatch, world_model_losses
from m3.world_model.sequence import Attention, Retention


class Loaded(NamedTuple):
    """A golden file's agent with the file's weights, in evaluation mode, and the settings that made it."""

    agent: Agent
    settings: RunSettings
    observations: ObservationSpec
    actions: ActionSpec


def load_agent(golden: GoldenFile, batch: str = "batch/", batch_axes: int = 2) -> Loaded:
    """Build the agent of a golden file.

    Args:
        golden: the file.
        batch: prefix of a batch of windows, whose shapes tell the spaces.
        batch_axes: axes of that batch before an observation's own.
    """
    settings, observations, actions = small_agent(golden, batch, batch_axes)
    agent = Agent(settings, observations, actions).eval().to(golden.device)
    agent.load_state_dict(from_reference(golden.below("state/"), agent.state_dict()).weights)
    return Loaded(agent, settings, observations, actions)


def read_observations(golden: GoldenFile, batch: str, observations: ObservationSpec) -> dict[str, Tensor]:
    """Read the raw observations of a batch by modality."""
    return {
        name: golden.tensor(batch + ("image_uint8" if name == "image" else name)) for name in observations.modalities
    }


def read_actions(golden: GoldenFile, name: str, actions: ActionSpec) -> Tensor:
    """Read actions with an axis of action dimensions, which the file leaves out where there is one."""
    taken = golden.tensor(name)
    return taken if isinstance(actions, ContinuousActions) else taken[..., None]


def read_windows(golden: GoldenFile, loaded: Loaded) -> WorldModelBatch:
    """Read the batch of windows, tokenised."""
    raw = read_observations(golden, "batch/", loaded.observations)
    tokens = loaded.agent.tokenizer.encode(raw)
    return _windows(golden, tokens, read_actions(golden, "batch/action", loaded.actions))


def _windows(golden: GoldenFile, tokens: Mapping[str, Tensor], actions: Tensor) -> WorldModelBatch:
    rewards, terminations, mask = (golden.tensor(f"batch/{name}") for name in ("reward", "end", "mask"))
    return WorldModelBatch(tokens, actions, rewards, terminations.bool(), mask)


def agent_quantities(golden: GoldenFile) -> Iterator[tuple[str, Tensor]]:
    """Compute every forward value of a golden file's agent, under the file's names."""
    agent, settings, observations, actions = load_agent(golden)
    raw = read_observations(golden, "batch/", observations)
    taken = read_actions(golden, "batch/action", actions)
    with torch.no_grad(), tf32_products("fp32"):
        tokens = agent.tokenizer.encode(raw)
        yield from _tokenizer_quantities(agent, raw, tokens, golden)
        yield from _world_model_quantities(agent, tokens, taken, golden, settings.sequences.context_length)
        yield from _imagination_quantities(agent, tokens, taken, golden, settings.sequences.context_length)
        yield from _actor_critic_quantities(agent, tokens, taken)


def _tokenizer_quantities(
    agent: Agent, raw: Mapping[str, Tensor], tokens: Mapping[str, Tensor], golden: GoldenFile
) -> Iterator[tuple[str, Tensor]]:
    for name, value in tokens.items():
        yield f"tokenizer/tokens/{name}", value if name == "token_2d" else value[..., 0]
    if "vector" in raw:
        yield "tokenizer/vector_decoded", agent.tokenizer.decode(tokens)["vector"]
    image = agent.tokenizer.image
    if image is not None:
        yield from image_quantities(image, raw["image"], golden)


def _world_model_quantities(
    agent: Agent, tokens: Mapping[str, Tensor], actions: Tensor, golden: GoldenFile, context_length: int
) -> Iterator[tuple[str, Tensor]]:
    model, codebooks = agent.world_model, agent.tokenizer.codebooks
    blocks = model.embed(tokens, actions, codebooks)
    yield "world_model/token_embeddings", blocks

    assert isinstance(model.sequence, Retention | Attention)
    of_blocks, outputs = model.sequence.outputs(blocks, blocks.shape[1] + 1, of_blocks=True)
    outputs = outputs[:, :-1]
    of_actions = of_blocks[:, :, model.observation_tokens :]
    yield "world_model/outputs", torch.cat((outputs, of_actions), dim=2)

    parts = model.split(outputs)
    for name, logits in model.observation_logits(parts).items():
        yield f"world_model/logits/{name}", logits
    assert model.curiosity is not None
    for name, disagreement in model.curiosity.disagreement(parts).items():
        yield f"world_model/disagreement/{name}", disagreement
    last = outputs[:, :, -1]
    yield "world_model/reward_mean", model.reward_head.scalar.mean(model.reward_head(last))
    yield "world_model/end_logits", model.end_head(last)

    losses = world_model_losses(model, _windows(golden, tokens, actions), codebooks, context_length)
    yield "world_model/loss/loss_obs", losses.observations
    yield "world_model/loss/loss_rewards", losses.rewards
    yield "world_model/loss/loss_ends", losses.terminations
    yield "world_model/loss/curiosity_loss", losses.curiosity
    yield "world_model/per_sample_loss", losses.per_window


def _imagination_quantities(
    agent: Agent, tokens: Mapping[str, Tensor], actions: Tensor, golden: GoldenFile, context_length: int
) -> Iterator[tuple[str, Tensor]]:
    imagination = Imagination(agent.world_model, agent.tokenizer.codebooks, Uniforms())
    memory = agent.world_model.empty_memory()
    outputs, start = [], 0
    for end in range(context_length, actions.shape[1]):
        chunk = {name: t[:, start:end] for name, t in tokens.items()}
        predicted, memory = imagination.predict(memory, chunk, actions[:, start:end])
        outputs.append(predicted)
        start = end
    latents = torch.stack(outputs, dim=1)
    yield "imagination/prediction_latents", latents
    if "imagination/reward_mean" in golden:
        model, last = agent.world_model, latents[:, :, -1]
        assert model.curiosity is not None
        yield "imagination/reward_mean", model.reward_head.scalar.mean(model.reward_head(last))
        yield "imagination/end_logits", model.end_head(last)
        yield "imagination/step_disagreement", model.curiosity.step_disagreement(model.split(latents))


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


def small_agent(
    golden: GoldenFile, batch: str = "batch/", batch_axes: int = 2
) -> tuple[RunSettings, ObservationSpec, ActionSpec]:
    """Tell settings and spaces of a golden file's agent from its configuration and the shapes of its arrays."""
    config = json.loads(str(golden["config"]))
    observations = _observation_spec(golden, batch, batch_axes)
    actions = _action_spec(golden, batch)
    image_schedule = _schedule(golden, "tokenizer_step/batch/image_uint8", 4)
    settings = RunSettings(
        benchmark="golden",
        variant="golden",
        task=config["kind"],
        seed=0,
        epochs=1,
        environment=ToyEnvironment(family="toy"),
        sequences=Sequences(
            length=config["time"],
            context_length=config["ctx"],
            burn_in=config.get("burn_in", Sequences.model_fields["burn_in"].default),
        ),
        collection=Collection(steps_per_epoch=1, epsilon=0.0),
        evaluation=Evaluation(every_epochs=1, episodes=1),
        tokenizer=image_settings(golden, image_schedule) if "image" in observations.modalities else None,
        world_model=_world_model_settings(config, golden),
        controller=_controller_settings(config, golden),
    )
    return settings, observations, actions


def _schedule(golden: GoldenFile, reward: str, default: int) -> Schedule:
    """Schedule one step an epoch, from the first on; the batch size is that of the array named, if there is one."""
    size = golden[reward].shape[1] if reward in golden else default
    return Schedule(start_after_epoch=0, steps_per_epoch=1, batch_size=size)


def _world_model_settings(config: dict[str, Any], golden: GoldenFile) -> WorldModelSettings:
    attention = "state/world_model._model.pred_tokens" in golden
    given = config.get("train")
    optimizer = WorldModelSettings.model_fields["optimizer"].default
    if given is not None:
        optimizer = Optimizer(
            learning_rate=given["lr"], weight_decay=given["weight_decay"], max_gradient_norm=given["clip"]
        )
    return WorldModelSettings(
        layers=config["layers"],
        heads=config["heads"],
        width=config["dim"],
        dropout=0.0,
        sequence=AttentionSettings(kind="attention") if attention else RetentionSettings(),
        decay_scale_min=config.get("dmin"),
        decay_scale_max=config.get("dmax"),
        shared_embeddings="state/world_model.obs_embeddings.image.weight" not in golden,
        optimizer=optimizer,
        schedule=_schedule(golden, "world_model_step/batch/reward", 4),
    )


def _controller_settings(config: dict[str, Any], golden: GoldenFile) -> ControllerSettings:
    weights = {"extrinsic_weight": "w_ext", "intrinsic_weight": "w_int", "entropy_weight": "ent"}
    return ControllerSettings(
        mlp=tuple(config["mlp"]),
        lstm_width=golden["state/actor_critic.actor.lstm.weight_hh_l0"].shape[1],
        separate_networks="state/actor_critic.critic.lstm.weight_hh_l0" in golden,
        token_embedding_size=config.get("tok_dim", 64),
        critic_warmup_epochs=config["warmup"] + 1 if config.get("warmup") else 0,
        schedule=_schedule(golden, "controller_step/batch/mask", 4),
        **{name: config[key] for name, key in weights.items() if key in config},
    )


def _observation_spec(golden: GoldenFile, batch: str, batch_axes: int) -> ObservationSpec:
    embeddings = "state/world_model.obs_embeddings."
    specs = {}
    if f"{batch}image_uint8" in golden:
        specs["image"] = ModalitySpec(golden[f"{batch}image_uint8"].shape[batch_axes:], "uint8")
    if f"{batch}vector" in golden:
        specs["vector"] = ModalitySpec(golden[f"{batch}vector"].shape[batch_axes:], "float32")
    if f"{batch}token" in golden:
        vocabulary = len(golden[f"{embeddings}token.weight"])
        specs["token"] = ModalitySpec(golden[f"{batch}token"].shape[batch_axes:], "int64", (vocabulary,))
    if f"{batch}token_2d" in golden:
        cells, columns = golden[f"{batch}token_2d"].shape[batch_axes:]
        tables = [f"{embeddings}token_2d.embeddings.embeddings.{column}.weight" for column in range(columns)]
        specs["token_2d"] = ModalitySpec((cells, columns), "int64", tuple(len(golden[table]) for table in tables))
    return ObservationSpec(specs)


def _action_spec(golden: GoldenFile, batch: str) -> ActionSpec:
    taken = golden[f"{batch}action"]
    if np.issubdtype(taken.dtype, np.floating):
        return ContinuousActions(taken.shape[-1])
    return DiscreteActions((len(golden["state/world_model.action_encoder.embedding.weight"]),))
