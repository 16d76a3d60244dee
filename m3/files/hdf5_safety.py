"""What an HDF5 file of M3's may hold: everything in the file itself, in kinds and sizes that M3 writes.

The library follows links to other files, reads raw data from any file that a dataset names, unpacks with plug-ins that
it finds, and makes arrays of whatever shape is declared. None of that is in a file that M3 wrote.
"""

from collections.abc import Iterator

import h5py
import numpy as np

MOST_BYTES = 4 * 2**30
"""Of all arrays of a file together, unpacked; only what is read whole is held to it."""
MOST_ITEMS = 1_000_000
_LAYOUTS = (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED)
_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)
_NUMBERS = "?biufc"


class UnsafeError(Exception):
    """Something in a file that M3 never writes; the message names it."""


def check_contents(file: h5py.File, *, is_read_whole: bool) -> None:
    """Look at all links, datasets and attributes of a file, without reading data.

    Raises:
        UnsafeError: one of them leads out of the file, or is of a kind or size that M3 does not write.
    """
    size = 0
    for name, item in _items(file):
        for attribute in item.attrs:
            _check_kind(f"attribute {attribute!r} of {name}", item.attrs.get_id(attribute))
        if isinstance(item, h5py.Dataset):
            _check_storage(name, item)
            _check_kind(name, item)
            size += item.size * item.dtype.itemsize if item.shape is not None else 0
    if is_read_whole and size > MOST_BYTES:
        raise UnsafeError(f"its arrays would take {size / 2**30:.3g} GiB of memory")


def _items(file: h5py.File) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """Yield every object once, after making sure that its link leads to it and to nothing else."""
    waiting: list[tuple[str, h5py.Group]] = [("/", file["/"])]
    seen = {h5py.h5o.get_info(file.id).addr}
    yield waiting[0]
    while waiting:
        path, group = waiting.pop()
        for name in group:
            where, key = f"{path.rstrip('/')}/{name}", name.encode("utf-8", "surrogateescape")
            if group.id.links.get_info(key).type != h5py.h5l.TYPE_HARD:
                raise UnsafeError(f"{where} is a link that leads elsewhere")
            address = h5py.h5o.get_info(group.id, key).addr
            item = group[name]
            if address in seen or len(seen) > MOST_ITEMS:
                raise UnsafeError(f"{where} stands there twice")
            if not isinstance(item, h5py.Group | h5py.Dataset):
                raise UnsafeError(f"{where} is neither a group nor an array")
            seen.add(address)
            yield where, item
            if isinstance(item, h5py.Group):
                waiting.append((where, item))


def _check_storage(name: str, dataset: h5py.Dataset) -> None:
    properties = dataset.id.get_create_plist()
    if properties.get_layout() not in _LAYOUTS or properties.get_external_count():
        raise UnsafeError(f"{name} has its data in other files")
    filters = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    if not set(filters) <= set(_FILTERS):
        raise UnsafeError(f"{name} is packed in a way that M3 does not use")


def _check_kind(name: str, holder: h5py.Dataset | h5py.h5a.AttrID) -> None:
    """Hold a dataset or an attribute to numbers and strings."""
    dtype: np.dtype = holder.dtype
    text = h5py.check_string_dtype(dtype)
    if text is None and (dtype.kind not in _NUMBERS or dtype.subdtype is not None):
        raise UnsafeError(f"{name} holds values of type {str(dtype)[:40]}")
