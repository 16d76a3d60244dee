"""Data frames in HDF5: a group with one array per column."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel

from m3.config.experiment import is_plain
from m3.config.layers import Layer, validate
from m3.errors import UserError, escaped, shown
from m3.reading import MOST_NUMBER

TEXTS = frozenset(
    [
        *("method", "task", "origin", "variant", "remark", "label", "metric", "base", "source", "low_means"),
        *("high_means", "device", "host", "created_by", "git_revision", "config_hash"),
    ]
)
"""The columns that hold text, in whatever frame; all others hold numbers."""
_NAMES = frozenset(["method", "task", "variant", "label", "metric", "base"])
"""Those that stand in pages and tables: without angle brackets."""
_TRUTHS = frozenset(["comparable", "complete", "fair", "ranked", "git_dirty"])
_MAY_BE_NAN = frozenset(["low", "high", "sd", "score_sd", "normalized", "base_low", "base_high", "estimate"])
"""Where one seed gives no interval, or nothing can be computed. References are checked where they are read."""

Model = TypeVar("Model", bound=BaseModel)


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


class Content:
    """What a file of the analysis holds, asked for by name and kind.

    Args:
        path: the file, for errors.
        content: as ``hdf5.read`` returns it.

    Raises:
        UserError: in all methods, where something is missing or of another kind.
    """

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self._path = path
        self._content = content

    def frame(self, name: str, columns: list[str]) -> pd.DataFrame:
        """The frame that ``to_tree`` stored, with these columns."""
        tree = self._content.get(name)
        if not isinstance(tree, Mapping):
            raise self.error(f"{name} must be a group of columns, got {shown(tree)}")
        data = {column: self._column(f"{name}/{column}", tree, column) for column in columns}
        lengths = {column: len(values) for column, values in data.items()}
        if len(set(lengths.values())) > 1:
            raise self.error(f"the columns of {name} are not equally long: {shown(lengths)}")
        return pd.DataFrame(data, columns=columns)

    def model(self, name: str, kind: type[Model]) -> Model:
        """A group of scalars, as settings of some type."""
        tree = self._content.get(name)
        if not isinstance(tree, Mapping):
            raise self.error(f"{name} must be a group, got {shown(tree)}")
        for key, value in tree.items():
            if isinstance(value, str) and not is_plain(value):
                raise self.error(f"{name}/{key} must be one line of text without < and >, got {shown(value)}")
        return validate(kind, [Layer(f"{self._path}: {name}", dict(tree))])

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        value = self._content.get(name)
        if not isinstance(value, list) or any(escaped(text) != text for text in value):
            raise self.error(f"{name} must be a list of texts in one line, got {shown(value)}")
        return value

    def text(self, name: str) -> str:
        """One text."""
        value = self._content.get(name)
        if not isinstance(value, str) or escaped(value) != value:
            raise self.error(f"{name} must be one line of text, got {shown(value)}")
        return value

    def count(self, name: str) -> int:
        """A number of things."""
        value = self._content.get(name)
        if type(value) is not int or value < 0:
            raise self.error(f"{name} must be a whole number of at least 0, got {shown(value)}")
        return value

    def refuse_others(self, name: str, found: pd.Series | list[str], known: pd.Series | list[str]) -> None:
        """Make sure that all values of a column stand in another one."""
        for value in pd.unique(pd.Series(found, dtype=object)):
            if value not in set(known):
                raise self.error(f"{name} has {shown(value)}, which the file does not describe")

    def error(self, fault: str) -> UserError:
        """Make the error for a fault."""
        return UserError(f"{self._path}: {fault}; run the command that makes it again")

    def _column(self, place: str, tree: Mapping[str, Any], column: str) -> np.ndarray:
        values, names = tree.get(column), tree.get(f"{column}_names")
        if not isinstance(values, np.ndarray) or values.ndim != 1:
            raise self.error(f"{place} must be a column, got {shown(values)}")
        if not len(values):
            return np.zeros(0, object if column in TEXTS else values.dtype)
        if column in TEXTS:
            return self._text_column(place, values, names, column)
        if values.dtype.kind not in ("b" if column in _TRUTHS else "iuf") or names is not None:
            raise self.error(f"{place} must hold {'truths' if column in _TRUTHS else 'numbers'}, got {values.dtype}")
        numbers = values.astype(float)
        allowed = np.isnan(numbers) if column in _MAY_BE_NAN else False
        if not (allowed | (np.abs(numbers) <= MOST_NUMBER)).all():
            raise self.error(f"{place} has numbers that are not finite")
        return values

    def _text_column(self, place: str, codes: np.ndarray, names: Any, column: str) -> np.ndarray:
        if codes.dtype.kind != "i" or not isinstance(names, list):
            raise self.error(f"{place} must hold texts")
        if codes.min() < 0 or codes.max() >= len(names):
            raise self.error(f"{place} refers to texts that {place}_names does not have")
        for name in names:
            if escaped(name) != name or (column in _NAMES and not is_plain(name)):
                raise self.error(f"{place}_names must be texts in one line without markup, got {shown(name)}")
        return np.array(names, dtype=object)[codes]
