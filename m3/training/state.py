"""Tensors in nested state to NumPy arrays and back, as checkpoints hold arrays only."""

from typing import Any

import numpy as np
import torch

from m3.nn.host import download


def to_arrays(tree: Any) -> Any:
    """Return the same tree of dicts, lists and tuples with arrays (copies) for tensors."""
    if isinstance(tree, torch.Tensor):
        return download(tree).copy()
    if isinstance(tree, dict):
        return {key: to_arrays(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(to_arrays(value) for value in tree)
    return tree


def to_tensors(tree: Any) -> Any:
    """Undo :func:`to_arrays`, on the CPU."""
    if isinstance(tree, np.ndarray):
        return torch.from_numpy(tree.copy())
    if isinstance(tree, dict):
        return {key: to_tensors(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(to_tensors(value) for value in tree)
    return tree
