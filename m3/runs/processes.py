"""Which processes trained a run: kept in its checkpoints, written to its metrics."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from m3.files.hdf5 import Tree
from m3.files.provenance import collect
from m3.training.devices import device_name

_TEXTS = ("created_by", "git_revision", "host", "device", "packages")
_NUMBERS = ("after_epoch", "threads", "git_dirty")


class Processes:
    """One entry for each process that differs from the one before in software, machine, device or threads."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []

    @property
    def threads(self) -> int | None:
        """Threads of torch on the CPU in the latest process; none before the first."""
        return self._entries[-1]["threads"] if self._entries else None

    @property
    def device(self) -> str:
        """Name of the device of the latest process."""
        return self._entries[-1]["device"]

    def add_this(self, after_epoch: int, device: torch.device) -> list[str]:
        """Add this process, which goes on training after an epoch.

        Returns:
            what computes otherwise than in the process before, in words such as "torch==2.11.0 before".
        """
        about = collect()
        entry = {name: about[name] for name in ("created_by", "git_revision", "git_dirty", "host")}
        entry |= {"packages": " ".join(about["packages"]), "device": device_name(device)}
        entry |= {"threads": torch.get_num_threads(), "after_epoch": after_epoch}
        before = self._entries[-1] if self._entries else None
        if before is None or {**before, "after_epoch": after_epoch} != entry:
            self._entries.append(entry)
        return _changes(before, entry) if before else []

    def tree(self) -> Tree:
        """Return a column for everything that is known of a process, as the run's metrics hold it."""
        texts: dict[str, Any] = {name: [entry[name] for entry in self._entries] for name in _TEXTS}
        return texts | {name: np.array([entry[name] for entry in self._entries]) for name in _NUMBERS}

    def state_dict(self) -> list[dict[str, Any]]:
        return self._entries

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        self._entries = list(state)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    packages = set(before["packages"].split()) - set(now["packages"].split())
    devices = [before["device"]] if before["device"] != now["device"] else []
    return [f"{thing} before" for thing in [*devices, *sorted(packages)]]
