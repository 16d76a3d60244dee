"""Several environments side by side, without auto-reset."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from m3.environments.base import Environment
from m3.specs import ActionSpec, Observation, ObservationSpec


class VectorStep(NamedTuple):
    """What follows a batch of actions; every array's first axis follows the indices that were stepped."""

    observation: Observation
    rewards: np.ndarray
    """float64 (n,)"""
    terminated: np.ndarray
    """bool (n,)"""
    truncated: np.ndarray
    """bool (n,)"""


class VectorEnvironment(ABC):
    """Environments of one task, addressed by index, each reset and stepped only when asked to.

    The caller plays an episode to its own end and simply stops naming its index. Use it as a context manager, or close
    it.
    """

    observation_spec: ObservationSpec
    action_spec: ActionSpec
    frames_per_step: int

    @abstractmethod
    def __len__(self) -> int:
        """Return how many environments there are."""

    @abstractmethod
    def reset(self, indices: Sequence[int], seeds: Sequence[int | None]) -> Observation:
        """Start an episode in each of the environments, seeded where the seed is not None.

        Returns:
            Observations of shape (n, ...) for n indices, in their order.
        """

    @abstractmethod
    def step(self, indices: Sequence[int], actions: np.ndarray) -> VectorStep:
        """Act in each of the environments. ``actions`` is (n, A), row i for environment ``indices[i]``."""

    @abstractmethod
    def close(self) -> None:
        """Close all environments; closing twice does no harm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class SerialEnvironments(VectorEnvironment):
    """Environments of this process, stepped one after the other.

    Every one is closed, also when another one fails to.
    """

    def __init__(self, make: Callable[[], Environment], count: int) -> None:
        """Make ``count`` environments; those already made are closed when a later one fails."""
        with ExitStack() as made:
            self._environments: list[Environment] = []
            for _ in range(count):
                environment = make()
                made.callback(environment.close)
                self._environments.append(environment)
            self._open = made.pop_all()
        first = self._environments[0]
        self.observation_spec = first.observation_spec
        self.action_spec = first.action_spec
        self.frames_per_step = first.frames_per_step

    def __len__(self) -> int:
        return len(self._environments)

    def reset(self, indices: Sequence[int], seeds: Sequence[int | None]) -> Observation:
        pairs = zip(indices, seeds, strict=True)
        return _stack([self._environments[index].reset(seed) for index, seed in pairs])

    def step(self, indices: Sequence[int], actions: np.ndarray) -> VectorStep:
        steps = [self._environments[index].step(action) for index, action in zip(indices, actions, strict=True)]
        return VectorStep(
            _stack([step.observation for step in steps]),
            np.array([step.reward for step in steps], np.float64),
            np.array([step.terminated for step in steps], bool),
            np.array([step.truncated for step in steps], bool),
        )

    def close(self) -> None:
        self._open.close()


def _stack(observations: list[Observation]) -> Observation:
    return {name: np.stack([observation[name] for observation in observations]) for name in observations[0]}
