"""What an HDF5 file of M3's may hold: everything in the file itself, in kinds and sizes that M3 writes.

The library follows links to other files, reads raw data from any file that a dataset names, unpacks with plug-ins that
it finds, and makes arrays of whatever shape is declared. None of that is in a file that M3 wrote. So everything is
looked at before it is read, through the library's own interface: h5py's objects would take four times as long.
"""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5s, h5z

MOST_BYTES = 4 * 2**30
"""Of all arrays of a file together, unpacked; only what is read whole is held to it."""
MOST_ITEMS = 1_000_000
_LAYOUTS = (h5d.COMPACT, h5d.CONTIGUOUS, h5d.CHUNKED)
_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
_NUMBERS = "?biufc"


class UnsafeError(Exception):
    """Something in a file that M3 never writes; the message names it."""


class SafeFile:
    """Reads an open file, and raises UnsafeError where something is of a kind or size that M3 does not write."""

    def __init__(self, file: h5f.FileID) -> None:
        self.root: h5g.GroupID = h5g.open(file, b"/")
        self._seen = {h5o.get_info(file).addr}
        self._bytes = 0

    def attributes(self, where: str, group: h5g.GroupID) -> dict[str, Any]:
        """Read a group's attributes as Python objects, None for those without a value."""
        names: list[bytes] = []
        h5a.iterate(group, names.append)
        found: dict[str, Any] = {}
        for key in names:
            name, attribute = _decoded(key), h5a.open(group, key)
            kind, shape = attribute.get_type(), attribute.shape
            dtype = _checked(f"attribute {name!r} of {where}", kind.dtype)
            found[name] = None
            if shape is not None:
                array = np.zeros(shape, dtype)
                attribute.read(array, None if dtype.hasobject else kind)
                found[name] = _with_text(array).tolist()
        return found

    def members(self, where: str, group: h5g.GroupID) -> Iterator[tuple[str, str, h5g.GroupID | h5d.DatasetID]]:
        """Yield name, place and object of all that stands in a group, after making sure that it stands there alone."""
        for key in group:
            name = _decoded(key)
            place = f"{where.rstrip('/')}/{name}"
            if group.links.get_info(key).type != h5l.TYPE_HARD:
                raise UnsafeError(f"{place} is a link that leads elsewhere")
            address = h5o.get_info(group, key).addr
            item = h5o.open(group, key)
            if address in self._seen or len(self._seen) > MOST_ITEMS:
                raise UnsafeError(f"{place} stands there twice")
            if not isinstance(item, h5g.GroupID | h5d.DatasetID):
                raise UnsafeError(f"{place} is neither a group nor an array")
            self._seen.add(address)
            if isinstance(item, h5d.DatasetID):
                self._check_dataset(place, item)
            yield name, place, item

    def array(self, place: str, dataset: h5d.DatasetID) -> np.ndarray | list[Any]:
        """Read a dataset: an array, or the strings in it as a list."""
        shape, dtype = dataset.shape, dataset.dtype
        if shape is None:
            raise UnsafeError(f"{place} is empty")
        self._bytes += int(np.prod(shape, dtype=object)) * dtype.itemsize
        if self._bytes > MOST_BYTES:
            raise UnsafeError(f"its arrays would take {self._bytes / 2**30:.3g} GiB of memory")
        array = np.zeros(shape, dtype)
        if array.size:
            dataset.read(h5s.ALL, h5s.ALL, array)
        if h5py.check_string_dtype(dtype) is None:
            return array
        if not shape:
            raise UnsafeError(f"{place} is a text and no list of them")
        return [text.decode("utf-8") for text in array.flat] if len(shape) == 1 else _with_text(array).tolist()

    @staticmethod
    def _check_dataset(place: str, dataset: h5d.DatasetID) -> None:
        """Make sure that a dataset and its attributes hold numbers or strings, which stand in the file."""
        names: list[bytes] = []
        h5a.iterate(dataset, names.append)
        for name in names:
            _checked(f"attribute {_decoded(name)!r} of {place}", h5a.open(dataset, name).dtype)
        properties = dataset.get_create_plist()
        if properties.get_layout() not in _LAYOUTS or properties.get_external_count():
            raise UnsafeError(f"{place} has its data in other files")
        if not {properties.get_filter(index)[0] for index in range(properties.get_nfilters())} <= _FILTERS:
            raise UnsafeError(f"{place} is packed in a way that M3 does not use")
        _checked(place, dataset.dtype)


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _checked(place: str, dtype: np.dtype) -> np.dtype:
    """Return the type of a dataset or an attribute if it is of numbers or strings."""
    is_number = dtype.kind in _NUMBERS and dtype.subdtype is None
    if not is_number and h5py.check_string_dtype(dtype) is None:
        raise UnsafeError(f"{place} holds values of type {str(dtype)[:40]}")
    return dtype


def _with_text(array: np.ndarray) -> np.ndarray:
    """Return an array whose strings, if it holds strings of any length, are text."""
    if array.dtype.kind != "O":
        return array
    return np.array([text.decode("utf-8", "surrogateescape") for text in array.flat], object).reshape(array.shape)
