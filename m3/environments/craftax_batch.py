"""Several games of Craftax, stepped together by one compiled function."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from m3.config.simulators import CraftaxEnvironment, EnvironmentSettings
from m3.environments import craftax_encoding
from m3.environments.craftax import checked, compiled_game, key_of
from m3.environments.vector import VectorEnvironment, VectorStep
from m3.specs import DiscreteActions, Observation


def make_batch(settings: EnvironmentSettings, task: str, count: int) -> VectorEnvironment:
    """Make ``count`` games. Raises UserError for an unknown task."""
    return CraftaxBatch(checked(settings, task), count)


class CraftaxBatch(VectorEnvironment):
    """Games that are each the same as :class:`m3.environments.craftax.Craftax` would be.

    All of them are computed in every step, so that the function is compiled for one shape only; those that nobody asked
    for keep their state.
    """

    frames_per_step = 1

    def __init__(self, settings: CraftaxEnvironment, count: int) -> None:
        self._mob_encoding = settings.mob_encoding
        self._game = game = compiled_game()
        zeros = [np.zeros((count, *leaf.shape), leaf.dtype) for leaf in game.state_leaves.values()]
        states = jax.tree.unflatten(game.state_structure, zeros)
        self._games: tuple[Any, Any] = self._put((np.stack([key_of(seed=None) for _ in range(count)]), states))
        """Keys and states, with the games' axis first."""
        self._count = count
        self.observation_spec = craftax_encoding.observation_spec(settings.mob_encoding)
        self.action_spec = DiscreteActions((game.actions,))

    def __len__(self) -> int:
        return self._count

    def reset(self, indices: Sequence[int], seeds: Sequence[int | None]) -> Observation:
        started = []
        for index, seed in zip(indices, seeds, strict=True):
            key = np.asarray(self._games[0])[index] if seed is None else key_of(seed)
            started.append(self._game.reset(self._put(key)))

        def insert(old: jax.Array, *new: jax.Array) -> np.ndarray:
            values = np.array(old)
            values[list(indices)] = new
            return values

        self._games = self._put(jax.tree.map(insert, self._games, *((key, state) for key, state, _ in started)))
        return self._encode(np.stack([numbers for *_, numbers in started]))

    def step(self, indices: Sequence[int], actions: np.ndarray) -> VectorStep:
        rows = list(indices)
        stepped, all_actions = np.zeros(self._count, bool), np.zeros(self._count, np.int32)
        stepped[rows], all_actions[rows] = True, actions[:, 0]
        *games, numbers, rewards, terminated, ended = self._game.step_some(*self._games, all_actions, stepped)
        self._games = games[0], games[1]
        over, by_itself = np.asarray(ended)[rows], np.asarray(terminated)[rows]
        observation = self._encode(np.asarray(numbers)[rows])
        return VectorStep(observation, np.asarray(rewards, np.float64)[rows], by_itself, over & ~by_itself)

    def close(self) -> None:
        """Do nothing: the games are arrays."""

    def _encode(self, numbers: np.ndarray) -> Observation:
        return craftax_encoding.encode(numbers, self._mob_encoding)

    def _put(self, values: Any) -> Any:
        return jax.device_put(values, self._game.device)
