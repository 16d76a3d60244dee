"""Which windows of the replay to train on."""

import math
from typing import Any, Protocol

import numpy as np

from m3.data.replay import Replay
from m3.data.sum_tree import SumTree

_LARGEST_LOSS = 600.0
"""Losses count as at most this much (and at least its negative), so that their exponentials are positive and finite."""


class Sampler(Protocol):
    """Draws windows of a replay and learns how well they were predicted."""

    def sample(self, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        """Draw the ids of different windows, (batch_size,) int64, in random order.

        Raises:
            ValueError: the replay has fewer valid windows (``Replay.num_windows``).
        """

    def update(self, ids: np.ndarray, losses: np.ndarray) -> None:
        """Tell the losses (B,) of windows ``ids`` (B,) that were drawn. Windows no longer stored are ignored."""

    def state_dict(self) -> dict[str, Any]:
        """Return what to keep beside the replay's own state."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly; the replay must have been restored before."""


class UniformSampler:
    """Draws among all valid windows alike."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def sample(self, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        """See :class:`Sampler`."""
        return _draw_uniformly(self._replay, batch_size, rng)

    def update(self, ids: np.ndarray, losses: np.ndarray) -> None:
        """Do nothing: losses change nothing here."""

    def state_dict(self) -> dict[str, Any]:
        """There is no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """There is no state."""


class PrioritizedSampler:
    """Draws a part of each batch by how badly the windows were last predicted.

    ceil(share * batch size) windows are drawn without replacement in proportion to exp(last loss), the others uniformly
    without replacement among the remaining windows.

    Args:
        replay: the source of windows.
        share: part of a batch that is drawn by priority.
        initial_loss: the loss as which a window counts that was never drawn.
    """

    def __init__(self, replay: Replay, share: float, initial_loss: float) -> None:
        self._replay = replay
        self._share = share
        self._initial_loss = initial_loss
        self._tree = SumTree(replay.num_slots)  # the weight of a window is at the slot of its first row
        self._num_slots = replay.num_slots
        self._first_row = 0  # rows before this one and windows from this one on are not yet taken notice of
        self._next_window = 0

    def sample(self, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        """See :class:`Sampler`."""
        self._follow_replay()
        count = math.ceil(self._share * batch_size - 1e-9)  # 0.1 * 30 is a little more than 3
        # as many as the batch needs even if all prioritised ones are among them; raises if there are too few windows
        others = _draw_uniformly(self._replay, batch_size, rng)
        prioritized = self._rows(self._tree.draw(count, rng))
        others = others[(others[:, None] != prioritized).all(axis=1)][: batch_size - count]
        ids = np.concatenate([prioritized, others])
        rng.shuffle(ids)
        return ids

    def update(self, ids: np.ndarray, losses: np.ndarray) -> None:
        """See :class:`Sampler`.

        Raises:
            ValueError: a loss is not finite.
        """
        if not np.isfinite(losses).all():
            raise ValueError("the loss of a window is not finite")
        self._follow_replay()
        stored = ids >= self._first_row
        self._tree.set(ids[stored] % self._num_slots, _weights(losses[stored]))

    def state_dict(self) -> dict[str, Any]:
        """Return the weights of all valid windows, in order."""
        self._follow_replay()
        return {"weights": self._tree.weights[self._window_slots(self._replay.first_window)]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`Sampler`."""
        self._num_slots = self._replay.num_slots
        self._tree = SumTree(self._num_slots)
        self._tree.set(self._window_slots(self._replay.first_window), state["weights"])
        self._first_row, self._next_window = self._replay.first_row, self._replay.next_window

    def _follow_replay(self) -> None:
        """Forget evicted windows and add new ones."""
        replay = self._replay
        if self._num_slots < replay.num_slots:
            grown = SumTree(replay.num_slots)
            grown.set(np.arange(self._num_slots), self._tree.weights[: self._num_slots])
            self._tree, self._num_slots = grown, replay.num_slots
        if self._first_row < replay.first_row:
            self._tree.set(np.arange(self._first_row, replay.first_row) % self._num_slots, 0.0)
            self._first_row = replay.first_row
        if self._next_window < replay.next_window:
            new = self._window_slots(max(self._next_window, replay.first_window))
            self._tree.set(new, _weights(np.float64(self._initial_loss)))
            self._next_window = replay.next_window

    def _window_slots(self, first_window: int) -> np.ndarray:
        """Return the slots of all valid windows from running number ``first_window`` on."""
        windows = np.arange(first_window, self._replay.next_window)
        return self._replay.window_ids(windows) % self._num_slots

    def _rows(self, slots: np.ndarray) -> np.ndarray:
        """Return the rows that lie in these slots."""
        first = self._replay.first_row
        return first + (slots - first) % self._num_slots


def _draw_uniformly(replay: Replay, count: int, rng: np.random.Generator) -> np.ndarray:
    if count > replay.num_windows:
        raise ValueError(f"a batch of {count} windows was asked of a replay that has {replay.num_windows}")
    return replay.window_ids(rng.choice(replay.num_windows, count, replace=False) + replay.first_window)


def _weights(losses: np.ndarray | np.float64) -> np.ndarray:
    return np.exp(np.clip(losses.astype(np.float64), -_LARGEST_LOSS, _LARGEST_LOSS))
