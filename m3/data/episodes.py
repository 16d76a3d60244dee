"""Which rows belong to which episode, and which windows they make."""

from typing import Any

import numpy as np


class EpisodeTable:
    """The stored episodes, oldest first, and a numbering of all windows that start in them.

    An episode of n rows has max(0, n - context_length) windows, which start at its first rows. Windows are numbered in
    the order of their first rows; numbers, like rows, are never used twice. Every look-up is vectorised and takes
    O(log episodes) for each item.

    Args:
        context_length: a window needs this many rows and one more.
    """

    def __init__(self, context_length: int) -> None:
        self._context_length = context_length
        self._columns = np.zeros((3, 64), dtype=np.int64)  # first row, row after the last, number of the first window
        self._oldest = 0
        self._count = 0
        self.next_window = 0
        """Number that the next window will get."""

    def __len__(self) -> int:
        return self._count

    @property
    def first_window(self) -> int:
        """Number of the oldest window that is still stored."""
        return int(self._alive[2, 0]) if self._count else self.next_window

    @property
    def bounds(self) -> np.ndarray:
        """(episodes, 2) int64: first row and row after the last, oldest episode first. A copy."""
        return self._alive[:2].T.copy()

    def begin(self, row: int) -> None:
        """Start an episode whose first row will be ``row``."""
        if self._oldest + self._count == self._columns.shape[1]:
            self._replace_columns(self._alive)
        self._columns[:, self._oldest + self._count] = row, row, self.next_window
        self._count += 1

    def extend(self) -> None:
        """Add one row to the newest episode."""
        newest = self._columns[:, self._oldest + self._count - 1]
        newest[1] += 1
        if newest[1] - newest[0] > self._context_length:
            self.next_window += 1

    def drop_oldest(self) -> None:
        """Forget the oldest episode."""
        self._oldest += 1
        self._count -= 1

    def bounds_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return first row and row after the last of the episodes of ``rows`` (stored ones), each of rows' shape."""
        alive = self._alive
        episodes = alive[0].searchsorted(rows, side="right") - 1
        return alive[0, episodes], alive[1, episodes]

    def window_starts(self, windows: np.ndarray) -> np.ndarray:
        """Return the first rows of the windows with these numbers (stored ones)."""
        alive = self._alive
        episodes = alive[2].searchsorted(windows, side="right") - 1
        return alive[0, episodes] + windows - alive[2, episodes]

    def state_dict(self) -> dict[str, Any]:
        return {"columns": self._alive.copy(), "next_window": self.next_window}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._replace_columns(state["columns"])
        self.next_window = state["next_window"]

    @property
    def _alive(self) -> np.ndarray:
        return self._columns[:, self._oldest : self._oldest + self._count]

    def _replace_columns(self, alive: np.ndarray) -> None:
        """Keep these episodes, with room for as many more."""
        self._columns = np.zeros((3, max(64, 2 * alive.shape[1])), dtype=np.int64)
        self._columns[:, : alive.shape[1]] = alive
        self._oldest, self._count = 0, alive.shape[1]
