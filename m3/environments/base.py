"""The interface of every environment: plain, seeded, without auto-reset, restorable."""

from abc import ABC, abstractmethod
from typing import Any, Literal, NamedTuple

import numpy as np

from m3.environments.own_values import OwnValues, agents_values
from m3.specs import ActionSpec, Observation, ObservationSpec

Mode = Literal["train", "test"]
"""Some environments differ between training and test (Atari: reward clipping, life loss, no-ops)."""


class Step(NamedTuple):
    """What follows an action. ``observation`` is the true next one, also when the episode ended."""

    observation: Observation
    reward: float
    terminated: bool
    truncated: bool


class Environment(ABC):
    """One environment. After a step that terminates or truncates, only ``reset`` may follow."""

    observation_spec: ObservationSpec
    action_spec: ActionSpec
    frames_per_step: int = 1
    action_names: tuple[str, ...] = ()
    """Of a plain discrete action space, in order, where its actions have names."""

    @property
    def own(self) -> OwnValues:
        """The simulator's own actions and observations: those of the agent, unless a subclass says otherwise."""
        return agents_values(self.action_spec, self.observation_spec)

    @abstractmethod
    def reset(self, seed: int | None = None) -> Observation:
        """Start an episode; with a seed, every random choice from here on follows from it."""

    @abstractmethod
    def step(self, action: np.ndarray) -> Step:
        """Act. ``action`` has ``action_spec``'s shape (A,) and dtype."""

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """Return what it takes to continue bit for bit: nested dicts of arrays, numbers, strings, booleans and None."""

    @abstractmethod
    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what ``get_state`` returned, in this or another instance of the same environment."""

    @abstractmethod
    def render(self) -> np.ndarray:
        """Draw the current scene at full resolution, uint8 (height, width, 3)."""

    def draw(self, observation: Observation) -> np.ndarray | None:
        """Draw an observation as a picture, uint8 (height, width, 3); None where it is numbers only."""
        image = observation.get("image")
        return None if image is None else np.ascontiguousarray(image[:3].transpose(1, 2, 0))

    def close(self) -> None:  # noqa: B027 - most environments hold nothing
        """Release what the environment holds."""
