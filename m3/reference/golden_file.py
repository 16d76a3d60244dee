"""Golden files: values that the authors' code computes, and how far ours are from them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from m3.errors import UserError

VALUE_TOLERANCE = 1e-4
RELATIVE_TOLERANCE = 1e-5


class GoldenFile(Mapping[str, np.ndarray]):
    """The arrays of a golden file by name; remembers which ones were looked at.

    Args:
        device: where ours are computed, and the file's tensors are.

    Raises:
        UserError: the file is not a golden file.
    """

    def __init__(self, path: Path, device: torch.device = torch.device("cpu")) -> None:  # noqa: B008 (immutable)
        try:
            with np.load(path, allow_pickle=False) as archive:
                self._arrays = {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise UserError(f"{path} is not a golden file: {error}") from error
        self.device = device
        self.unread = set(self._arrays)
        """Names that nobody has asked for yet."""

    def __getitem__(self, name: str) -> np.ndarray:
        value = self._arrays[name]
        self.unread.discard(name)
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def tensor(self, name: str) -> Tensor:
        """Read one array as a tensor."""
        return torch.tensor(self[name], device=self.device)

    def below(self, prefix: str) -> dict[str, Tensor]:
        """Read all arrays whose names start with ``prefix``, by the rest of their names."""
        return {name.removeprefix(prefix): self.tensor(name) for name in self if name.startswith(prefix)}


class Comparison(NamedTuple):
    """One quantity: its largest difference (absolute or relative) and what is tolerated."""

    quantity: str
    difference: float
    tolerance: float

    @property
    def met(self) -> bool:
        """Whether the difference is small enough; one that is not a number never is."""
        return self.difference <= self.tolerance


def compare(name: str, ours: Tensor, golden: np.ndarray) -> Comparison:
    """Hold losses to 1e-5 of the largest of them, everything else to an absolute 1e-4."""
    if "loss" in name.rpartition("/")[2]:
        return compare_relative(name, ours, golden)
    return compare_absolute(name, ours, golden, VALUE_TOLERANCE)


def compare_relative(name: str, ours: Tensor, golden: np.ndarray, tolerance: float = RELATIVE_TOLERANCE) -> Comparison:
    """Hold a quantity to a share of its largest golden value."""
    largest = float(np.abs(golden).max(initial=0)) or 1.0
    return compare_absolute(name, ours / largest, golden / largest, tolerance)


def compare_absolute(name: str, ours: Tensor, golden: np.ndarray, tolerance: float) -> Comparison:
    """Hold the largest absolute difference to ``tolerance``; another shape is never met."""
    value = ours.detach().cpu().numpy()
    if value.shape != golden.shape:
        return Comparison(f"{name} (shape {value.shape}, not {golden.shape})", float("inf"), 0.0)
    difference = np.abs(value.astype(np.float64) - golden.astype(np.float64))
    return Comparison(name, float(difference.max(initial=0)), tolerance)
