"""HDF5 files that are complete or rejected, and that say what made them.

A file is an ordinary HDF5 file with a 512-byte user block in front, which any HDF5 library skips. The user block holds
the SHA-256 of all bytes after it, so that damage anywhere is found before the HDF5 library, which may crash on damaged
input, sees the file. For the same reason a file is composed in memory and then written in one go: the library also
crashes on a full disk.

Arrays are datasets, lists of strings are datasets of UTF-8 strings, and scalars are attributes of their group:

    with h5py.File(path) as file:
        file["returns"][:], file.attrs["task"], file.attrs["config"]
"""

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import h5py
import numpy as np

from m3.errors import UserError
from m3.files.atomic import Fence, atomic_file
from m3.files.hdf5_safety import UnsafeError, check_contents
from m3.files.provenance import ATTRIBUTES, Provenance
from m3.reading import open_regular

Tree = Mapping[str, Union["Tree", np.ndarray, list[str], int, float, str, bool, None]]
"""Groups, datasets (arrays, lists of strings) and scalars by name. A name with slashes makes nested groups."""

_HEADER_BYTES = 512
_HEADER = "M3 HDF5 file; sha256 of the bytes after this block: {}\n"
_RESERVED = ATTRIBUTES | {"format", "format_version"}
_ADVICE = "delete it and run the command that makes it again"
_ADVICE_IF_OURS = "if M3 wrote it, run the command that makes it again"
_STRINGS = h5py.string_dtype("utf-8")


def write(
    path: Path,
    format: str,
    content: Tree,
    provenance: Provenance,
    version: int = 1,
    fence: Fence | None = None,
) -> None:
    """Write a file, atomically.

    Args:
        path: the file, replaced if it exists.
        format: what the file is, of those in ``m3.files.names``.
        content: what to store; arrays are chunked and compressed. A scalar at the top may not have the name of a
            provenance attribute.
        provenance: what made the content.
        version: version of the format.
        fence: the right to write the file, where only one process may.

    Raises:
        UserError: the folder cannot be written.
        OccupiedError: by the fence.
    """
    with create(path, format, provenance, version, fence) as file:
        fill(file, content)


@contextmanager
def create(
    path: Path, format: str, provenance: Provenance, version: int = 1, fence: Fence | None = None
) -> Iterator[h5py.File]:
    """Open an HDF5 file to fill, which replaces ``path`` when the block ends without an error. As ``write``."""
    buffer = io.BytesIO()
    # v110: readable since HDF5 1.10; unlike older layouts it has no limit on the size of attributes
    with h5py.File(buffer, "w", libver=("v110", "v110"), userblock_size=_HEADER_BYTES) as file:
        for name, value in {"format": format, "format_version": version, **provenance.attributes()}.items():
            _set_attribute(file, name, value)
        yield file
    data = buffer.getbuffer()
    with atomic_file(path, fence) as output:
        output.write(_header(hashlib.sha256(data[_HEADER_BYTES:]).hexdigest()))
        output.write(data[_HEADER_BYTES:])


def fill(group: h5py.Group, content: Tree) -> None:
    """Store a tree below ``group``."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            fill(group.create_group(name), value)
        elif isinstance(value, np.ndarray):
            _create_dataset(group, name, value)
        elif isinstance(value, list):
            _create_dataset(group, name, np.array(value, dtype=object), dtype=_STRINGS)
        elif group.name == "/" and name in _RESERVED:
            raise ValueError(f"the name {name!r} is taken by an attribute of the file")
        else:
            _set_attribute(group, name, value)


def read(path: Path, format: str, version: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a whole file.

    Returns:
        the content as it was written (scalars as Python objects), and the file's attributes: format, format_version
        and those of ``Provenance.attributes``.

    Raises:
        UserError: the file is missing, damaged, foreign, or of another format or version.
    """
    with _open(path, is_read_whole=True) as file:
        attributes = _file_attributes(file)
        _check_format(path, attributes, format, version)
        content = {name: value for name, value in _read_group(file).items() if name not in _RESERVED}
    return content, attributes


@dataclass(frozen=True)
class Description:
    """What a file is and what it holds."""

    format: str
    version: int
    attributes: dict[str, Any]
    scalars: dict[str, Any]
    datasets: dict[str, str]
    """Path inside the file -> data type and shape, for example "float64 (100,)"."""


def describe(path: Path) -> Description:
    """Describe a file of any of M3's formats, after checking that it is whole.

    Raises:
        UserError: the file is missing, damaged or foreign.
    """
    with _open(path, is_read_whole=False) as file:
        attributes = _file_attributes(file)
        scalars: dict[str, Any] = {}
        datasets: dict[str, str] = {}

        def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                kind = "string" if h5py.check_string_dtype(item.dtype) else str(item.dtype)
                datasets[name] = f"{kind} {item.shape}"
            else:
                scalars.update({f"{name}/{key}": _attribute(value) for key, value in item.attrs.items()})

        scalars.update({key: _attribute(value) for key, value in file.attrs.items() if key not in _RESERVED})
        file.visititems(visit)
    return Description(attributes["format"], attributes["format_version"], attributes, scalars, datasets)


def _header(digest: str) -> bytes:
    return _HEADER.format(digest).encode().ljust(_HEADER_BYTES, b"\0")


def _create_dataset(group: h5py.Group, name: str, value: np.ndarray, dtype: Any = None) -> None:
    # h5py can neither chunk nor compress a dataset without elements or dimensions
    options = {"chunks": True, "compression": "gzip", "shuffle": True} if value.ndim and value.size else {}
    group.create_dataset(name, data=value, dtype=dtype, **options)


def _set_attribute(group: h5py.Group, name: str, value: Any) -> None:
    if value is None:
        value = h5py.Empty("f4")
    elif isinstance(value, list):
        strings = all(isinstance(item, str) for item in value) and value
        value = np.array(value, dtype=_STRINGS if strings else np.int64)
    elif not isinstance(value, bool | int | float | str | np.generic):
        raise TypeError(f"{name!r} must be a scalar, an array or a list of strings, not {type(value).__name__}")
    group.attrs[name] = value


def _attribute(value: Any) -> Any:
    if isinstance(value, h5py.Empty):
        return None
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _file_attributes(file: h5py.File) -> dict[str, Any]:
    """Return what every file says of itself. Raises UnsafeError where it does not say what it is."""
    attributes = {name: _attribute(value) for name, value in file.attrs.items() if name in _RESERVED}
    kinds = {"format": str, "format_version": int, "created_by": str, "config_hash": str}
    for name, kind in kinds.items():
        if type(attributes.get(name)) is not kind:
            raise UnsafeError(f"it does not say its {name}")
    return attributes


def _read_group(group: h5py.Group) -> dict[str, Any]:
    content: dict[str, Any] = {name: _attribute(value) for name, value in group.attrs.items()}
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            content[name] = _read_group(item)
        elif h5py.check_string_dtype(item.dtype):
            content[name] = item.asstr()[:].tolist()
        else:
            content[name] = item[()] if item.shape else np.asarray(item[()])
    return content


@contextmanager
def _open(path: Path, *, is_read_whole: bool) -> Iterator[h5py.File]:
    """Check every byte of a file and everything in it, and open it."""
    try:
        with open_regular(path) as raw:
            header = raw.read(_HEADER_BYTES)
            if not header.startswith(_HEADER.partition("{")[0].encode()):
                raise UserError(f"{path}: not a file of M3's, or damaged at its beginning; {_ADVICE_IF_OURS}")
            if header != _header(hashlib.file_digest(raw, "sha256").hexdigest()):
                raise UserError(f"{path}: damaged or truncated (its checksum does not match); {_ADVICE}")
        with h5py.File(path, "r", locking=False) as file:  # nobody changes a finished file; locks fail on some networks
            check_contents(file, is_read_whole=is_read_whole)
            yield file
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the command that makes it") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnsafeError, RuntimeError, LookupError, TypeError, ValueError) as error:  # as the library words it
        raise UserError(f"{path}: is not as M3 writes it: {str(error)[:200]}; {_ADVICE_IF_OURS}") from error


def _check_format(path: Path, attributes: Mapping[str, Any], format: str, version: int) -> None:
    if attributes.get("format") != format:
        raise UserError(f"{path}: a file of format {attributes.get('format')}, where {format} is needed")
    if attributes.get("format_version") != version:
        raise UserError(
            f"{path}: version {attributes.get('format_version')} of {format}, "
            f"written by {attributes.get('created_by')}; this M3 reads version {version}: {_ADVICE}"
        )
