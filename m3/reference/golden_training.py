"""Optimiser steps of each component, against those of the authors' code.

Everything goes the way of training: replay, token cache, component, optimiser. Only the choice of windows and the
outcomes of random draws are played back.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from m3.agent.behavior import Trajectory
from m3.agent.encoders import actions_to_classes
from m3.data.replay import Replay, Rows
from m3.data.samplers import PrioritizedSampler, UniformSampler
from m3.nn.distributions import Uniforms
from m3.reference.golden_agent import Loaded, load_agent, read_actions, read_observations
from m3.reference.golden_file import VALUE_TOLERANCE, Comparison, GoldenFile, compare_absolute, compare_relative
from m3.reference.weights import from_reference
from m3.seeding import randomness
from m3.training.component import Component
from m3.training.components import ControllerBatch, ControllerComponent, TokenizerComponent, WorldModelComponent
from m3.training.device_replay import DeviceReplay
from m3.training.replay_tokens import ReplayTokens

_REPLAY_BYTES = 1 << 30
_SURE_GRADIENT = 1e-6
"""Below it, Adam divides one rounding error by another."""
_SURE_TOLERANCE = 2e-6
_UNSURE_TOLERANCE = 5e-5
_HEAD_NORMS = re.compile(r"world_model\.((observation_heads\.\w+|end_head)\.1\.|curiosity\.heads\.\w+\.norm_)weight")
"""Gains that decay in the authors' code and not here: see docs/deviations.md."""


def training_comparisons(golden: GoldenFile) -> Iterator[Comparison]:
    """Repeat the optimiser steps of a golden file and compare losses, gradients and parameters."""
    if "tokenizer_step/gradient_norm" in golden:
        yield from _tokenizer_comparisons(golden)
    yield from _world_model_comparisons(golden)
    for section in ("controller_step", "controller_ends_step"):
        if f"{section}/gradient_norm" in golden:
            yield from _controller_comparisons(golden, section)


def _tokenizer_comparisons(golden: GoldenFile) -> Iterator[Comparison]:
    loaded = _load(golden)
    frames = golden["tokenizer_step/batch/image_uint8"]
    stored = _store(loaded, golden, "tokenizer_step/batch/", np.ones((*frames.shape[:2], 1), bool), _PlayedFrames)
    assert isinstance(stored.replay, _PlayedFrames)
    stored.replay.rows_to_draw = iter(stored.first_rows)
    assert loaded.agent.tokenizer.image is not None
    component = TokenizerComponent(
        loaded.agent.tokenizer.image, loaded.settings, DeviceReplay(stored.replay, golden.device), None, golden.device
    )
    names = {"commitment_loss": "commitment", "reconstruction_loss": "reconstruction", "perceptual_loss": "perceptual"}
    yield from _step_comparisons(golden, "tokenizer_step", loaded, component, names)


def _world_model_comparisons(golden: GoldenFile) -> Iterator[Comparison]:
    loaded, batch = _load(golden), "world_model_step/batch/"
    stored = _store(loaded, golden, batch, golden[f"{batch}mask"])
    tokens = ReplayTokens(loaded.agent.tokenizer, DeviceReplay(stored.replay, golden.device))
    component = WorldModelComponent(loaded.agent, loaded.settings, stored.replay, tokens, golden.device)
    sampler = _PlayedPriorities(stored)
    component.sampler = sampler
    names = {
        "loss_obs": "observation_loss",
        "loss_rewards": "reward_loss",
        "loss_ends": "end_loss",
        "curiosity_loss": "curiosity_loss",
    }
    yield from _step_comparisons(golden, "world_model_step", loaded, component, names)
    name = "world_model_step/per_sample_loss"
    yield compare_relative(name, torch.from_numpy(np.stack(sampler.losses)), golden[name])


def _controller_comparisons(golden: GoldenFile, section: str) -> Iterator[Comparison]:
    loaded, batch = _load(golden), f"{section}/batch/"
    stored = _store(loaded, golden, batch, golden[f"{batch}mask"])
    component = _PlayedController(golden, section, loaded, stored)
    names = {"loss_actor": "actor_loss", "loss_values": "critic_loss", "loss_entropy": "entropy_loss"}
    yield from _step_comparisons(golden, section, loaded, component, names)
    for quantity in component.quantities[0]:
        ours = torch.stack([step[quantity] for step in component.quantities])
        name = f"{section}/{quantity}"
        yield compare_relative(name, ours, golden[name], VALUE_TOLERANCE)
    yield _compare_returns(golden, section, component)


def _compare_returns(golden: GoldenFile, section: str, component: Component) -> Comparison:
    """Compare the returns that the return range remembers; those after an end are not among them."""
    name = f"{section}/return"
    expected = golden[name]
    remembered = component.state_dict()["return_range"]["history"][: len(expected)].reshape(expected.shape)
    ours = torch.from_numpy(np.where(np.isnan(remembered), expected, remembered))
    return compare_relative(name, ours, expected, VALUE_TOLERANCE)


def _load(golden: GoldenFile) -> Loaded:
    return load_agent(golden, "world_model_step/batch/", batch_axes=3)


class _Stored(NamedTuple):
    """A replay whose episodes are the valid steps of windows (steps, B): their first rows and numbers of rows."""

    replay: Replay
    first_rows: np.ndarray
    counts: np.ndarray


def _store(
    loaded: Loaded, golden: GoldenFile, batch: str, mask: np.ndarray, replay_class: type[Replay] = Replay
) -> _Stored:
    """Put the steps of a batch that ``mask`` (steps, B, T) calls valid into a replay."""
    context_length = loaded.settings.sequences.context_length
    replay = replay_class(loaded.observations, loaded.actions, context_length, _REPLAY_BYTES)
    counts = mask.sum(-1).flatten()
    ends = counts.cumsum()
    windows = np.maximum(counts - context_length, 0)
    state = {
        "first_row": 0,
        "next_row": int(ends[-1]),
        "in_episode": False,
        "episodes": {
            "columns": np.stack((ends - counts, ends, windows.cumsum() - windows)),
            "next_window": int(windows.sum()),
        },
    }
    replay.load_state_dict(state, [Rows(0, _columns(replay, loaded, golden, batch, mask))])
    return _Stored(replay, (ends - counts).reshape(mask.shape[:2]), counts.reshape(mask.shape[:2]))


def _columns(replay: Replay, loaded: Loaded, golden: GoldenFile, batch: str, mask: np.ndarray) -> dict[str, np.ndarray]:
    """Turn the valid steps of a batch into the replay's columns, with zeros for what the batch does not hold."""
    shapes = {name: spec.shape for name, spec in loaded.observations.modalities.items()}
    found = {
        f"observations/{name}": value.cpu().numpy().reshape(*mask.shape, *shapes[name])
        for name, value in read_observations(golden, batch, loaded.observations).items()
    }
    if f"{batch}action" in golden:
        found["actions"] = read_actions(golden, f"{batch}action", loaded.actions).cpu().numpy()
    for column, name in (("rewards", "reward"), ("terminated", "end")):
        if batch + name in golden:
            found[column] = golden[batch + name]
    rows = int(mask.sum())
    return {
        name: found[name][mask].astype(none.dtype) if name in found else np.zeros((rows, *none.shape[1:]), none.dtype)
        for name, none in replay.rows(0, 0).columns.items()
    }


class _PlayedFrames(Replay):
    """A replay whose single frames are drawn as they were."""

    rows_to_draw: Iterator[np.ndarray]

    def sample_rows(self, count: int, rng: np.random.Generator) -> np.ndarray:
        return next(self.rows_to_draw)


class _PlayedPriorities(PrioritizedSampler):
    """Draws the windows that were drawn, and notes the losses that it is told."""

    def __init__(self, stored: _Stored) -> None:
        super().__init__(stored.replay, share=0.3, initial_loss=10.0)
        self._ids = iter(stored.first_rows)
        self.losses: list[np.ndarray] = []

    def sample(self, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        return next(self._ids)

    def update(self, ids: np.ndarray, losses: np.ndarray) -> None:
        super().update(ids, losses)
        self.losses.append(losses)


class _PlayedWindows(UniformSampler):
    """Draws the windows that were drawn, each by the first row of its context."""

    def __init__(self, stored: _Stored, context_length: int) -> None:
        super().__init__(stored.replay)
        self._ids = iter(stored.first_rows + stored.counts - context_length)

    def sample(self, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        return next(self._ids)


class _PlayedUniforms(Uniforms):
    """Numbers that select given outcomes, one after the other, whatever the distributions are."""

    def __init__(self, outcomes: Iterator[Tensor]) -> None:
        super().__init__()
        self._outcomes = outcomes

    def __call__(self, cumulative: Tensor) -> Tensor:
        outcome = next(self._outcomes).long()[..., None]
        below = cumulative.gather(-1, (outcome - 1).clamp(min=0)).where(outcome > 0, 0)
        return ((below + cumulative.gather(-1, outcome)) / 2 / cumulative[..., -1:])[..., 0]

    def reserve(self, batch: int, device: torch.device) -> Uniforms:
        return _PlayedUniforms(iter([next(self._outcomes)]))


class _PlayedController(ControllerComponent):
    """The controller's component, whose windows and imagined outcomes are played back and noted."""

    def __init__(self, golden: GoldenFile, section: str, loaded: Loaded, stored: _Stored) -> None:
        tokens = ReplayTokens(loaded.agent.tokenizer, DeviceReplay(stored.replay, golden.device))
        super().__init__(loaded.agent, loaded.settings, stored.replay, tokens, golden.device)
        self.sampler = _PlayedWindows(stored, loaded.settings.sequences.context_length)
        self._policy = loaded.agent.actor_critic
        taken = read_actions(golden, f"{section}/sampled/action", loaded.actions)
        self._classes = actions_to_classes(taken, loaded.actions)
        self._imagined = {
            name: golden.tensor(f"{section}/sampled/tokens/{name}") for name in loaded.agent.world_model.specs
        }
        self._terminations = golden.tensor(f"{section}/sampled/end")
        self.quantities: list[dict[str, Tensor]] = []

    def rollout(self, batch: ControllerBatch, uniforms: Uniforms, curious: bool = True) -> Trajectory:
        outcomes = self._outcomes(len(self.quantities))
        trajectory = super().rollout(batch, _PlayedUniforms(outcomes), curious)
        assert next(outcomes, None) is None, "fewer outcomes were drawn than played back"
        self.quantities.append(
            {
                "log_prob": trajectory.log_probs.detach(),
                "entropy": trajectory.entropies.detach(),
                "value": self._policy.critic.mean(trajectory.values).detach(),
                "reward": trajectory.rewards,
                "disagreement": trajectory.disagreements,
            }
        )
        return trajectory

    def _outcomes(self, step: int) -> Iterator[Tensor]:
        """Yield what the optimiser step drew, in the order of drawing."""
        classes, terminations = self._classes[step], self._terminations[step]
        for t in range(classes.shape[1]):
            yield classes[:, t]
            if t < terminations.shape[1]:
                for tokens in self._imagined.values():
                    now = tokens[step][:, t]
                    yield now if now.ndim == 3 else now[..., None]
                yield terminations[:, t]


def _step_comparisons(
    golden: GoldenFile, section: str, loaded: Loaded, component: Component, names: Mapping[str, str]
) -> Iterator[Comparison]:
    """Train for the file's optimiser steps and compare what every component has.

    Args:
        names: golden name of a loss -> ours among the step's scalars.
    """
    steps = len(golden[f"{section}/gradient_norm"])
    first_shown = loaded.settings.controller.critic_warmup_epochs - 1 if component.name == "controller" else 0
    initial = {name: value.clone() for name, value in loaded.agent.state_dict().items()}
    scalars = []
    gradients: dict[str, Tensor] = {}
    for step in range(steps):
        scalars.append(train_one_step(component, epoch=step + 1))
        if step == max(first_shown, 0):
            parameters = loaded.agent.named_parameters()
            gradients = {name: p.grad.clone() for name, p in parameters if p.grad is not None}
    for name, ours in names.items():
        yield _compare_scalars(golden, f"{section}/loss/{name}", [values[ours] for values in scalars])
    yield _compare_scalars(golden, f"{section}/gradient_norm", [values["gradient_norm"] for values in scalars])
    if f"{section}/return_scale" in golden:
        yield _compare_scalars(golden, f"{section}/return_scale", [values["return_scale"] for values in scalars])

    state = loaded.agent.state_dict()
    expected_gradients = from_reference(golden.below(f"{section}/gradient/"), state).weights
    yield _compare_gradients(f"{section}/gradient", gradients, expected_gradients)
    expected = from_reference(golden.below(f"{section}/final/"), state).weights
    for name, value in expected.items():
        if _HEAD_NORMS.fullmatch(name):
            decay = loaded.settings.world_model.optimizer
            expected[name] = value + steps * decay.learning_rate * decay.weight_decay * initial[name]
    yield from _compare_parameters(f"{section}/final", state, expected, expected_gradients)


def train_one_step(component: Component, epoch: int) -> dict[str, float]:
    """Train for an epoch, which has one step; returns the step's scalars by their names in the component."""
    training = component.train(randomness(component.device, 0, epoch), epoch)
    while True:
        try:
            next(training)
        except StopIteration as stopped:
            return {name.removeprefix(f"{component.name}/"): value for name, value in stopped.value.items()}


def _compare_scalars(golden: GoldenFile, name: str, ours: list[float]) -> Comparison:
    return compare_relative(name, torch.tensor(ours, dtype=torch.float64), golden[name])


def _compare_gradients(name: str, ours: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Comparison:
    """Compare all gradients, relative to the largest of them."""
    if missing := sorted(expected.keys() - ours.keys()):
        return Comparison(f"{name} ({missing[0]} has none)", float("inf"), 0.0)
    order = sorted(expected)
    flat = torch.cat([expected[key].flatten() for key in order])
    return compare_relative(
        name, torch.cat([ours[key].flatten() for key in order]), flat.cpu().numpy(), VALUE_TOLERANCE
    )


def _compare_parameters(
    name: str, ours: Mapping[str, Tensor], expected: Mapping[str, Tensor], gradients: Mapping[str, Tensor]
) -> Iterator[Comparison]:
    """Compare parameters and running statistics, closely where the gradient is not a rounding error."""
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    closely, loosely = [], []
    for key, value in expected.items():
        difference = (ours[key] - value).abs().double()
        sure = gradients[key].abs() > _SURE_GRADIENT * max(1.0, largest) if key in gradients else difference >= 0
        closely.append(difference[sure])
        loosely.append(difference[~sure])
    for kind, differences, tolerance in (
        ("", closely, _SURE_TOLERANCE),
        (" (tiny gradients)", loosely, _UNSURE_TOLERANCE),
    ):
        flat = torch.cat(differences)
        yield compare_absolute(name + kind, flat, np.zeros(flat.shape), tolerance)
