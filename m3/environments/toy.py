"""Tiny deterministic environments, one for each mix of modalities and actions, for tests and first experiments."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from m3.config.simulators import EnvironmentSettings, ToyEnvironment
from m3.environments.base import Environment, Mode, Step
from m3.errors import unknown_name
from m3.specs import ActionSpec, ContinuousActions, DiscreteActions, ModalitySpec, Observation, ObservationSpec

CUES = 4


@dataclass(frozen=True)
class _Game:
    modalities: tuple[str, ...]
    actions: ActionSpec
    lengths: tuple[int, ...] = (10,)
    """Steps of the first, second, ... episode after a seeded reset; then from the start again."""
    terminates: bool = True
    """Whether episodes end by termination; else by truncation."""


_GAMES = {
    "image": _Game(("image",), DiscreteActions((CUES,))),
    "vector": _Game(("vector",), ContinuousActions(2), terminates=False),
    "mixed": _Game(("vector", "token", "token_2d"), DiscreteActions((CUES,))),
    "all_modalities": _Game(("image", "vector", "token", "token_2d"), DiscreteActions((CUES,))),
    "multi_discrete": _Game(("token",), DiscreteActions((CUES, 3)), terminates=False),
    "terminating": _Game(("vector",), DiscreteActions((CUES,)), lengths=(3, 1, 5, 2)),
    "truncating": _Game(("vector",), DiscreteActions((CUES,)), lengths=(3, 1, 5, 2), terminates=False),
}


def tasks() -> list[str]:
    """List the names of all toy environments."""
    return sorted(_GAMES)


def make(settings: EnvironmentSettings, task: str, mode: Mode) -> Environment:
    """Make one toy environment; training and test are alike. Raises UserError for an unknown task."""
    assert isinstance(settings, ToyEnvironment)
    if task not in tasks():
        raise unknown_name("toy environment", task, tasks())
    return Toy(settings, task)


class Toy(Environment):
    """Shows a cue, one of four; the action that names it is worth 1.

    The first action dimension a moves the cue from c to (c + 1 + a) mod 4, so everything but the first cue can be
    predicted. The reward is the mean over dimensions: 1 where a discrete action equals the cue (modulo its size), and
    1 - |a - t| / 2 for a continuous one, t = -0.75, -0.25, 0.25, 0.75 for the four cues.
    """

    def __init__(self, settings: ToyEnvironment, task: str) -> None:
        self._game = _GAMES[task]
        self._size = settings.image_size
        self._generator = np.random.default_rng()
        self._episodes = 0
        self._cue = 0
        self._steps = 0
        specs = {
            "image": ModalitySpec((3, self._size, self._size), "uint8"),
            "vector": ModalitySpec((3,), "float32"),
            "token": ModalitySpec((2,), "uint8", (5,)),
            "token_2d": ModalitySpec((CUES, 2), "uint8", (2, 3)),
        }
        self.observation_spec = ObservationSpec({name: specs[name] for name in self._game.modalities})
        self.action_spec = self._game.actions

    def reset(self, seed: int | None = None) -> Observation:
        if seed is not None:
            self._generator = np.random.default_rng(seed)
            self._episodes = 0
        self._cue = int(self._generator.integers(CUES))
        self._steps = 0
        self._episodes += 1
        return self._observe()

    def step(self, action: np.ndarray) -> Step:
        if isinstance(self.action_spec, ContinuousActions):
            reward = float(np.mean(1 - np.abs(action - (-0.75 + 0.5 * self._cue)) / 2))
            move = min(int((action[0] + 1) / 2 * CUES), CUES - 1)
        else:
            reward = float(np.mean(action == self._cue % np.array(self.action_spec.sizes)))
            move = int(action[0])
        self._cue = (self._cue + 1 + move) % CUES
        self._steps += 1
        lengths = self._game.lengths
        over = self._steps >= lengths[(self._episodes - 1) % len(lengths)]
        terminates = self._game.terminates
        return Step(self._observe(), reward, over and terminates, over and not terminates)

    def get_state(self) -> dict[str, Any]:
        return {
            "generator": self._generator.bit_generator.state,
            "episodes": self._episodes,
            "cue": self._cue,
            "steps": self._steps,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._generator.bit_generator.state = state["generator"]
        self._episodes = int(state["episodes"])
        self._cue = int(state["cue"])
        self._steps = int(state["steps"])

    def render(self) -> np.ndarray:
        return self._image().transpose(1, 2, 0)

    def _observe(self) -> Observation:
        modalities: dict[str, Callable[[], np.ndarray]] = {
            "image": self._image,
            "vector": self._vector,
            "token": self._tokens,
            "token_2d": self._cells,
        }
        return {name: modalities[name]() for name in self.observation_spec.modalities}

    def _image(self) -> np.ndarray:
        """Draw the cue's quadrant in white, and light the channel of the step count modulo 3 everywhere."""
        image = np.zeros((3, self._size, self._size), np.uint8)
        image[self._steps % 3] = 128
        half = self._size // 2
        row, column = divmod(self._cue, 2)
        image[:, row * half : (row + 1) * half, column * half : (column + 1) * half] = 255
        return image

    def _vector(self) -> np.ndarray:
        angle = 2 * np.pi * self._cue / CUES
        return np.array([np.cos(angle), np.sin(angle), self._steps / 10], np.float32)

    def _tokens(self) -> np.ndarray:
        return np.array([self._cue, self._steps % 5], np.uint8)

    def _cells(self) -> np.ndarray:
        """Return one cell per cue: whether it is shown, and the step count modulo 3."""
        return np.array([[cue == self._cue, self._steps % 3] for cue in range(CUES)], np.uint8)
