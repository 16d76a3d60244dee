"""The replay as training reads it: batches on the device, gathered there where the device has room for a copy."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from m3.data.replay import OBSERVATION, Replay
from m3.nn.host import upload

BUDGET_BYTES = 2 * 2**30
"""Of a GPU's memory, at most, for the copy: the frames of a whole run on Atari take 1.6 GB, other benchmarks less."""
_ROWS_AT_ONCE = 4096
"""Copied to the device: 50 MB of Atari's frames."""


class Windows(NamedTuple):
    """Windows on the device, as :class:`m3.data.replay.Batch` has them; on the host, their rows and which exist."""

    rows: np.ndarray
    present: np.ndarray
    observations: dict[str, Tensor]
    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    mask: Tensor


class DeviceReplay:
    """Reads a replay onto a device. What is read does not depend on whether the device keeps a copy.

    A copy follows the replay: only new rows are uploaded, once. Without one, batches are gathered on the host and
    uploaded, on a GPU from pinned memory, which torch keeps and uses again.

    Args:
        replay: what is read.
        device: where to.
        budget_bytes: most memory of a copy; none: ``BUDGET_BYTES`` on a GPU, and no copy elsewhere.
    """

    def __init__(self, replay: Replay, device: torch.device, budget_bytes: int | None = None) -> None:
        self.replay = replay
        self.device = device
        self._budget = budget_bytes if budget_bytes is not None else BUDGET_BYTES * (device.type == "cuda")
        self._tables: dict[str, Tensor] = {}
        """Column -> its slots, as in the replay, and after them one that stays zero."""
        self._next_row = 0

    @property
    def is_copied(self) -> bool:
        """Whether the device has room for a copy of the replay as large as it is now."""
        return (self.replay.num_slots + 1) * self.replay.row_bytes <= self._budget

    def windows(self, ids: np.ndarray, before: int, length: int, modalities: Iterable[str]) -> Windows:
        """Gather windows, with the observations of the given modalities; see :meth:`Replay.gather`."""
        tables = self._followed()
        if tables is None:
            batch = self.replay.gather(ids, before, length, modalities)
            observations = {name: upload(values, self.device) for name, values in batch.observations.items()}
            arrays = (batch.actions, batch.rewards, batch.terminated, batch.mask)
            actions, rewards, terminated, mask = (upload(array, self.device) for array in arrays)
            return Windows(batch.rows, batch.mask, observations, actions, rewards, terminated, mask)
        rows, present = self.replay.window_rows(ids, before, length)
        slots = upload(np.where(present, rows % self.replay.num_slots, self.replay.num_slots), self.device)
        observations = {name: tables[OBSERVATION + name][slots] for name in modalities}
        actions, rewards, terminated = (tables[name][slots] for name in ("actions", "rewards", "terminated"))
        mask = upload(present, self.device)
        return Windows(rows, present, observations, actions, rewards, terminated, mask)

    def observations_at(self, rows: np.ndarray, modality: str) -> Tensor:
        """Return one modality's observations of stored rows: rows' shape + (...)."""
        tables = self._followed()
        if tables is None:
            return upload(self.replay.observations_at(rows, [modality])[modality], self.device)
        slots = upload(rows % self.replay.num_slots, self.device)
        return tables[OBSERVATION + modality][slots]

    def _followed(self) -> dict[str, Tensor] | None:
        """Bring the copy to the replay's state; none, and none is kept, where there is no room for it."""
        if not self.is_copied:
            self._tables.clear()
            return None
        replay, slots = self.replay, self.replay.num_slots
        if not self._tables or replay.next_row < self._next_row:
            self._tables, self._next_row = {}, 0
        for first in range(max(self._next_row, replay.first_row), replay.next_row, _ROWS_AT_ONCE):
            part = replay.rows(first, min(first + _ROWS_AT_ONCE, replay.next_row))
            places = upload(np.arange(first, part.next_row) % slots, self.device)
            for name, values in part.columns.items():
                self._table(name, values, slots)[places] = upload(values, self.device)
        self._next_row = replay.next_row
        return self._tables

    def _table(self, name: str, values: np.ndarray, slots: int) -> Tensor:
        """Return a column's table, which grows with the replay: rows stay in their slots."""
        old = self._tables.get(name)
        if old is None or len(old) != slots + 1:
            dtype = torch.from_numpy(values[:0]).dtype
            table = torch.zeros(slots + 1, *values.shape[1:], dtype=dtype, device=self.device)
            if old is not None:
                table[: len(old) - 1] = old[:-1]
            self._tables[name] = table
        return self._tables[name]
