"""Repeated optimiser steps of one component on one batch, compared with those of the authors' Simulus-A."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from m3.data.replay import Replay
from m3.reference.golden_agent import Loaded, load_agent, read_windows
from m3.reference.golden_file import Comparison, GoldenFile, compare_absolute, compare_relative
from m3.reference.golden_training import train_one_step
from m3.reference.weights import from_reference
from m3.seeding import Randomness, randomness
from m3.training.component import WHOLE, Component, Drawn
from m3.training.components import TokenizerComponent, WorldModelComponent
from m3.training.device_replay import DeviceReplay
from m3.training.replay_tokens import ReplayTokens
from m3.world_model.losses import WorldModelBatch

_GRADIENT_TOLERANCE = 1e-5
_SHARE_OF_LEARNING_RATE = 0.1
"""How far a parameter may be off after all steps, in learning rates."""


class _SameFrames(TokenizerComponent):
    """The tokenizer's component, with the same frames in every step."""

    frames: Tensor

    def draw(self, random: Randomness) -> Drawn:
        return Drawn(self.frames)


class _SameWindows(WorldModelComponent):
    """The world model's component, with the same windows in every step."""

    windows: WorldModelBatch

    def draw(self, random: Randomness) -> Drawn:
        return Drawn(self.windows)


def repeated_step_comparisons(golden: GoldenFile) -> Iterator[Comparison]:
    """Repeat the optimiser steps that a file of an agent has, and compare losses, gradients and parameters."""
    if "training/tokenizer/losses" in golden:
        yield from _tokenizer_comparisons(golden)
    if "training/world_model/losses" in golden:
        yield from _world_model_comparisons(golden)


def _tokenizer_comparisons(golden: GoldenFile) -> Iterator[Comparison]:
    loaded = load_agent(golden)
    image = loaded.agent.tokenizer.image
    assert image is not None
    stored = DeviceReplay(_empty_replay(loaded), golden.device)
    component = _SameFrames(image, loaded.settings, stored, None, golden.device)
    component.frames = golden.tensor("batch/image_uint8").flatten(0, 1)
    given = json.loads(str(golden["config"]))["tok_train"]
    yield from _comparisons(golden, "tokenizer", "tokenizer.tokenizers.image.", loaded, component, ["loss"], given)


def _world_model_comparisons(golden: GoldenFile) -> Iterator[Comparison]:
    loaded = load_agent(golden)
    replay = _empty_replay(loaded)
    tokens = ReplayTokens(loaded.agent.tokenizer, DeviceReplay(replay, golden.device))
    component = _SameWindows(loaded.agent, loaded.settings, replay, tokens, golden.device)
    component.windows = read_windows(golden, loaded)
    losses = ["loss", "observation_loss", "reward_loss", "end_loss", "curiosity_loss"]
    given = json.loads(str(golden["config"]))["train"]
    yield from _comparisons(golden, "world_model", "world_model.", loaded, component, losses, given)


def _empty_replay(loaded: Loaded) -> Replay:
    return Replay(loaded.observations, loaded.actions, loaded.settings.sequences.context_length, capacity_bytes=1 << 20)


def _comparisons(
    golden: GoldenFile,
    part: str,
    prefix: str,
    loaded: Loaded,
    component: Component,
    losses: Sequence[str],
    given: Mapping[str, Any],
) -> Iterator[Comparison]:
    """Train a component and compare.

    Args:
        golden: the file, whose losses have a column for each of ``losses``, or are of one loss.
        part: of the file, below ``training/``.
        prefix: of the reference's names, which the file leaves out.
        loaded: the agent.
        component: draws the same batch in every step.
        losses: our names of the losses among a step's scalars.
        given: steps, learning rate, weight decay and clip.
    """
    section = f"training/{part}"
    expected = {
        kind: _translated(golden.below(f"{section}/{kind}/"), prefix, loaded.agent)
        for kind in ("gradients", "parameters")
    }
    yield _compare_all(
        f"{section}/gradients", _gradients(component, loaded.agent), expected["gradients"], _GRADIENT_TOLERANCE
    )

    steps = [train_one_step(component, epoch=step + 1) for step in range(given["steps"])]
    rows = [[step[name] for name in losses] for step in steps] + [_losses_now(component, losses)]
    ours = torch.tensor(rows, dtype=torch.float64)
    name = f"{section}/losses"
    yield compare_relative(name, ours.reshape(golden[name].shape), golden[name])
    norms = torch.tensor([step["gradient_norm"] for step in steps], dtype=torch.float64)
    yield compare_relative(f"{section}/gradient_norms", norms, golden[f"{section}/gradient_norms"])
    tolerance = _SHARE_OF_LEARNING_RATE * given["lr"]
    yield _compare_all(f"{section}/parameters", loaded.agent.state_dict(), expected["parameters"], tolerance)


def _translated(values: Mapping[str, Tensor], prefix: str, agent: nn.Module) -> dict[str, Tensor]:
    """Values under our names; those that have none here keep the reference's, so that they are missed."""
    named = {prefix + name: value for name, value in values.items()}
    weights, unused = from_reference(named, agent.state_dict())
    return weights | {name: named[name] for name in unused}


def _gradients(component: Component, agent: nn.Module) -> dict[str, Tensor]:
    """The gradients of the batch before any step, and before clipping."""
    batch = component.draw(randomness(component.device, 0)).batch
    component.compute(batch, WHOLE).loss.backward()
    return {name: p.grad.clone() for name, p in agent.named_parameters() if p.grad is not None}


@torch.no_grad()
def _losses_now(component: Component, losses: Sequence[str]) -> list[float]:
    computed = component.compute(component.draw(randomness(component.device, 0)).batch, WHOLE)
    scalars = {**computed.scalars, "loss": computed.loss}
    return [float(scalars[name]) for name in losses]


def _compare_all(name: str, ours: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float) -> Comparison:
    """Compare many tensors by the largest difference of all."""
    if missing := sorted(expected.keys() - ours.keys()):
        return Comparison(f"{name} ({missing[0]} has none)", float("inf"), 0.0)
    order = sorted(expected)
    flat = torch.cat([expected[key].flatten() for key in order])
    return compare_absolute(name, torch.cat([ours[key].flatten() for key in order]), flat.cpu().numpy(), tolerance)
