"""Tokens of stored observations, with those of images kept until the tokenizer changes."""

import numpy as np
import torch
from torch import Tensor

from m3.nn.host import upload
from m3.tokenizers.multimodal import Tokenizer
from m3.training.device_replay import DeviceReplay, Windows

_FRAMES_AT_ONCE = {"cpu": 32, "cuda": 256}
"""Frames are encoded in batches of one size; the last is filled up, which costs a CPU time."""


class ReplayTokens:
    """Tokens of the replay's rows. The same frames are in many batches of an epoch, but are encoded once.

    Args:
        tokenizer: in evaluation mode whenever tokens are asked for.
        stored: the replay whose rows they are, on the device where tokens are wanted.
    """

    def __init__(self, tokenizer: Tokenizer, stored: DeviceReplay) -> None:
        self._tokenizer = tokenizer
        self._stored = stored
        self._replay = stored.replay
        self._device = stored.device
        self._kept = [name for name, spec in tokenizer.tokens.items() if spec.code_size]
        self._fresh = [name for name in tokenizer.tokens if name not in self._kept]
        self._tables: dict[str, Tensor] = {}
        self.forget()

    def forget(self) -> None:
        """Encode anew from now on, as the tokenizer may have changed."""
        slots = self._replay.num_slots
        self._row_of_slot = np.full(slots, -1)
        for name in self._kept:
            if name not in self._tables or len(self._tables[name]) != slots:
                spec = self._tokenizer.tokens[name]
                dtype = torch.int16 if max(spec.vocabularies) <= 2**15 else torch.int32
                self._tables[name] = torch.zeros(slots, spec.count, dtype=dtype, device=self._device)

    def forget_rows(self, rows: np.ndarray) -> None:
        """Encode these rows anew, should they be asked for."""
        self._row_of_slot[rows % len(self._row_of_slot)] = -1

    def windows(self, ids: np.ndarray, before: int, length: int) -> tuple[Windows, dict[str, Tensor]]:
        """Gather windows of the replay (see ``Replay.gather``) and their tokens, int64 (B, T, K, C) per modality.

        The windows have the observations of those modalities only that are not kept. Tokens of steps that do not exist
        mean nothing.
        """
        windows = self._stored.windows(ids, before, length, self._fresh)
        fresh = self._tokenizer.encode(windows.observations)
        kept = self._lookup(windows) if self._kept else {}
        return windows, {name: kept[name] if name in kept else fresh[name] for name in self._tokenizer.tokens}

    def _lookup(self, windows: Windows) -> dict[str, Tensor]:
        if len(self._row_of_slot) != self._replay.num_slots:
            self.forget()
        rows = np.unique(windows.rows[windows.present])
        slots = rows % self._replay.num_slots
        missing = rows[self._row_of_slot[slots] != rows]
        size = _FRAMES_AT_ONCE[self._device.type]
        for start in range(0, len(missing), size):
            chunk = missing[start : start + size]
            self._encode(np.append(chunk, np.full(size - len(chunk), chunk[-1])))
        wanted = upload(np.where(windows.present, windows.rows % self._replay.num_slots, 0), self._device)
        return {name: self._tables[name][wanted][..., None].long() for name in self._kept}

    def _encode(self, rows: np.ndarray) -> None:
        slots = rows % self._replay.num_slots
        frames = {name: self._stored.observations_at(rows, name) for name in self._kept}
        for name, tokens in self._tokenizer.encode(frames).items():
            table = self._tables[name]
            table[upload(slots, self._device)] = tokens[..., 0].to(table.dtype)
        self._row_of_slot[slots] = rows
