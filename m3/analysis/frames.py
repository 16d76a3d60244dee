"""Data frames in HDF5: a group with one array per column."""

from typing import Any

import numpy as np
import pandas as pd


def to_tree(frame: pd.DataFrame) -> dict[str, Any]:
    """A frame as a tree for ``m3.files.hdf5``.

    A column of strings becomes two datasets: ``{column}``, the position of each row's string in ``{column}_names``.
    """
    tree: dict[str, Any] = {}
    for column, values in frame.items():
        if pd.api.types.is_numeric_dtype(values):
            tree[str(column)] = values.to_numpy()
        else:
            codes, names = pd.factorize(values)
            tree[str(column)] = codes.astype(np.int32)
            tree[f"{column}_names"] = [str(name) for name in names]
    return tree


def from_tree(tree: dict[str, Any], columns: list[str]) -> pd.DataFrame:
    """The frame that ``to_tree`` stored, with these columns."""
    data = {}
    for column in columns:
        names = tree.get(f"{column}_names")
        data[column] = tree[column] if names is None else np.array(names, dtype=object)[tree[column]]
    return pd.DataFrame(data, columns=columns)
