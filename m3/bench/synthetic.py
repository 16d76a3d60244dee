"""Random experience with the shapes of each family of environments, so that timing needs no simulator."""

from itertools import pairwise
from typing import Any

import numpy as np
import torch

from m3.environments.base import Environment, Step
from m3.errors import unknown_name
from m3.nn.perceptual import Lpips
from m3.specs import (
    ActionSpec,
    ContinuousActions,
    DiscreteActions,
    ModalitySpec,
    Observation,
    ObservationSpec,
)

SHAPES = {
    "atari": "frames of 64 x 64, 18 actions",
    "dmc": "walker's 24 numbers and 6 actions",
    "craftax": "Craftax's 148 tokens and 43 actions",
}
"""What the random experience of a family looks like."""

_SPACES: dict[str, tuple[ObservationSpec, ActionSpec]] = {
    "atari": (ObservationSpec({"image": ModalitySpec((3, 64, 64), "uint8")}), DiscreteActions((18,))),
    "dmc": (ObservationSpec({"vector": ModalitySpec((24,), "float32")}), ContinuousActions(6)),
    "craftax": (
        ObservationSpec(
            {
                "vector": ModalitySpec((47,), "float32"),
                "token": ModalitySpec((1,), "uint8", (4,)),
                "token_2d": ModalitySpec((99, 4), "uint8", (37, 5, 41, 21)),
            }
        ),
        DiscreteActions((43,)),
    ),
}


class RandomEnvironment(Environment):
    """Uniformly random observations and rewards in the shapes of a family; episodes are cut off at a fixed length.

    Raises:
        UserError: the family's shapes are not known here.
    """

    def __init__(self, family: str, seed: int = 0, episode_steps: int = 500) -> None:
        if family not in _SPACES:
            raise unknown_name("family of environments to time", family, _SPACES)
        self.observation_spec, self.action_spec = _SPACES[family]
        self._rng = np.random.default_rng(seed)
        self._episode_steps = episode_steps
        self._steps = 0

    def reset(self, seed: int | None = None) -> Observation:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._steps = 0
        return self._observation()

    def step(self, action: np.ndarray) -> Step:
        self._steps += 1
        return Step(self._observation(), float(self._rng.random()), False, self._steps == self._episode_steps)

    def get_state(self) -> dict[str, Any]:
        return {"steps": self._steps, "generator": self._rng.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        self._steps = state["steps"]
        self._rng.bit_generator.state = state["generator"]

    def render(self) -> np.ndarray:
        return self._rng.integers(256, size=(64, 64, 3), dtype=np.uint8)

    def random_action(self) -> np.ndarray:
        """Draw uniformly from the action space, (A,)."""
        if isinstance(self.action_spec, DiscreteActions):
            return self._rng.integers(np.array(self.action_spec.sizes))
        return self._rng.uniform(-1, 1, self.action_spec.shape).astype(np.float32)

    def _observation(self) -> Observation:
        observation: Observation = {}
        for name, spec in self.observation_spec.modalities.items():
            if spec.dtype == "float32":
                observation[name] = self._rng.standard_normal(spec.shape, np.float32)
            else:
                high = np.array(spec.vocabularies) if spec.vocabularies else 256
                observation[name] = self._rng.integers(high, size=spec.shape).astype(spec.dtype)
        return observation


def random_lpips() -> Lpips:
    """Make LPIPS of the real size with random weights."""
    widths = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    indices = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    vgg: dict[str, torch.Tensor] = {}
    for index, (inputs, outputs) in zip(indices, pairwise(widths), strict=True):
        vgg[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5
        vgg[f"features.{index}.bias"] = torch.zeros(outputs)
    linear = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1) for i, c in enumerate((64, 128, 256, 512, 512))}
    return Lpips(vgg, linear)
