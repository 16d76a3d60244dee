"""Nested Python state in one file, without pickle.

The file is an uncompressed .npz archive: first (arr_0) the structure as JSON, then the arrays of the tree.
"""

# torch.load(weights_only=True) refuses NumPy's arrays and scalars; with them allowed, files are half again as large.
import json
from typing import Any, BinaryIO

import numpy as np


def save_tree(file: BinaryIO, tree: Any) -> None:
    """Write a tree of dicts, lists and tuples.

    Args:
        file: a binary file, open for writing.
        tree: its leaves may be arrays, NumPy scalars, bytes, strings, booleans, None, floats and integers of any size.
            Keys of dicts may be what leaves may be, as long as Python can hash it.

    Raises:
        TypeError: something in the tree is none of these.
    """
    arrays: list[np.ndarray] = []
    structure = json.dumps(_encode(tree, arrays, "tree"))
    np.savez(file, np.frombuffer(structure.encode(), np.uint8), *arrays)


def load_tree(file: BinaryIO) -> Any:
    """Read the tree that ``save_tree`` wrote, equal in all values and types."""
    with np.load(file, allow_pickle=False) as arrays:
        return _decode(json.loads(arrays["arr_0"].tobytes()), arrays)


def _encode(value: Any, arrays: list[np.ndarray], where: str) -> Any:
    """Return a value's JSON form, its arrays put into ``arrays``. What JSON lacks is an object of one tagged item."""
    if isinstance(value, dict):
        items = [
            [_encode(key, arrays, where), _encode(item, arrays, f"{where}[{key!r}]")] for key, item in value.items()
        ]
        return {"dict": items}
    if isinstance(value, list | tuple):
        encoded = [_encode(item, arrays, f"{where}[{index}]") for index, item in enumerate(value)]
        return encoded if isinstance(value, list) else {"tuple": encoded}
    if isinstance(value, bytes):
        return {"bytes": _add(arrays, np.frombuffer(value, np.uint8))}
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.hasobject:
            raise TypeError(f"{where} is an array of Python objects")
        return {"array" if isinstance(value, np.ndarray) else "scalar": _add(arrays, np.asarray(value))}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{where} is of type {type(value).__name__}, which a checkpoint cannot hold")


def _add(arrays: list[np.ndarray], value: np.ndarray) -> str:
    arrays.append(value)
    return f"arr_{len(arrays)}"


def _decode(value: Any, arrays: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    if tag == "dict":
        return {_decode(key, arrays): _decode(item, arrays) for key, item in content}
    if tag == "tuple":
        return tuple(_decode(item, arrays) for item in content)
    array = arrays[content]
    if tag == "bytes":
        return array.tobytes()
    return array if tag == "array" else array[()]
