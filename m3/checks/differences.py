"""What differs between two trees of plain state, bit for bit."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

NOT_COMPARED = ("seconds", "processes")
"""Ends of the names of what differs between any two runs: times, and who computed."""


def differences(first: Any, second: Any, name: str = "") -> Iterator[str]:
    """Name all leaves that differ between two trees of mappings, sequences, arrays and plain values."""
    if name.endswith(NOT_COMPARED):
        return
    if type(first) is not type(second):
        yield name
    elif isinstance(first, Mapping):
        for key in dict.fromkeys([*first, *second]):
            if key in first and key in second:
                yield from differences(first[key], second[key], f"{name}/{key}")
            elif not str(key).endswith(NOT_COMPARED):
                yield f"{name}/{key}"
    elif isinstance(first, list | tuple) and len(first) == len(second):
        for index, pair in enumerate(zip(first, second, strict=True)):
            yield from differences(*pair, f"{name}[{index}]")
    elif isinstance(first, np.ndarray | np.generic | float):
        one, other = np.asarray(first), np.asarray(second)
        if (one.dtype, one.shape, one.tobytes()) != (other.dtype, other.shape, other.tobytes()):
            yield name
    elif first != second:
        yield name
