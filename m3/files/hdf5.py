"""HDF5 files that are complete or rejected, and that say what made them.

A file is an ordinary HDF5 file with a 512-byte user block in front, which any HDF5 library skips. The user block holds
the SHA-256 of all bytes after it, so that damage anywhere is found before the HDF5 library, which may crash on damaged
input, sees the file. The library also crashes on a full disk, of which it is therefore told nothing (``Draft``).

Arrays are datasets, lists of strings are datasets of UTF-8 strings, and scalars are attributes of their group:

    with h5py.File(path) as file:
        file["returns"][:], file.attrs["task"], file.attrs["config"]
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import h5py
import numpy as np
from h5py import h5f, h5g, h5p

from m3.errors import UserError
from m3.files.atomic import Fence, atomic_file
from m3.files.draft import Draft
from m3.files.hdf5_safety import SafeFile, UnsafeError
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
_READING = h5p.create(h5p.FILE_ACCESS)
_READING.set_fclose_degree(h5f.CLOSE_STRONG)
_READING.set_file_locking(False, True)  # nobody changes a finished file, and locks fail on some networks


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
    """Open an HDF5 file to fill, which replaces ``path`` when the block ends without an error. As ``write``.

    It takes memory for what is being filled in, not for the whole file.
    """
    with atomic_file(path, fence) as output:
        with _NewFile(Draft(output)) as file:
            for name, value in {"format": format, "format_version": version, **provenance.attributes()}.items():
                _set_attribute(file, name, value)
            yield file
        file.draft.raise_failure()
        output.seek(_HEADER_BYTES)
        header = _header(hashlib.file_digest(output, "sha256").hexdigest())  # type: ignore[arg-type]
        output.seek(0)
        output.write(header)


def fill(group: h5py.Group, content: Tree) -> None:
    """Store a tree below ``group``. Raises OSError once the file could not be written."""
    if isinstance(group, _NewFile):
        group.draft.raise_failure()
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
    with _open(path) as file:
        content = file.attributes("/", file.root)
        attributes = _taken_attributes(content)
        _check_format(path, attributes, format, version)
        _read_members(file, "/", file.root, content)
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
    with _open(path) as file:
        scalars = file.attributes("/", file.root)
        attributes = _taken_attributes(scalars)
        datasets: dict[str, str] = {}
        _describe_members(file, "/", file.root, scalars, datasets)
    return Description(attributes["format"], attributes["format_version"], attributes, scalars, datasets)


class _NewFile(h5py.File):
    """A file to fill, on a draft."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        # v110: readable since HDF5 1.10; unlike older layouts it has no limit on the size of attributes
        super().__init__(draft, "w", libver=("v110", "v110"), userblock_size=_HEADER_BYTES)


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


def _taken_attributes(content: dict[str, Any]) -> dict[str, Any]:
    """Take what every file says of itself out of its content. Raises UnsafeError where it does not say what it is."""
    attributes = {name: content.pop(name) for name in sorted(_RESERVED) if name in content}
    kinds = {"format": str, "format_version": int, "created_by": str, "config_hash": str}
    for name, kind in kinds.items():
        if type(attributes.get(name)) is not kind:
            raise UnsafeError(f"it does not say its {name}")
    return attributes


def _read_members(file: SafeFile, where: str, group: h5g.GroupID, content: dict[str, Any]) -> None:
    for name, place, item in file.members(where, group):
        if isinstance(item, h5g.GroupID):
            content[name] = file.attributes(place, item)
            _read_members(file, place, item, content[name])
        else:
            content[name] = file.array(place, item)


def _describe_members(
    file: SafeFile, where: str, group: h5g.GroupID, scalars: dict[str, Any], datasets: dict[str, str]
) -> None:
    for _, place, item in file.members(where, group):
        if isinstance(item, h5g.GroupID):
            scalars.update({f"{place[1:]}/{key}": value for key, value in file.attributes(place, item).items()})
            _describe_members(file, place, item, scalars, datasets)
        else:
            kind = "string" if h5py.check_string_dtype(item.dtype) else str(item.dtype)
            datasets[place[1:]] = f"{kind} {item.shape}"


@contextmanager
def _open(path: Path) -> Iterator[SafeFile]:
    """Check every byte of a file and open it."""
    try:
        with open_regular(path) as raw:
            header = raw.read(_HEADER_BYTES)
            if not header.startswith(_HEADER.partition("{")[0].encode()):
                raise UserError(f"{path}: not a file of M3's, or damaged at its beginning; {_ADVICE_IF_OURS}")
            if header != _header(hashlib.file_digest(raw, "sha256").hexdigest()):
                raise UserError(f"{path}: damaged or truncated (its checksum does not match); {_ADVICE}")
        file = h5f.open(os.fsencode(path), h5f.ACC_RDONLY, _READING)
        try:
            yield SafeFile(file)
        finally:
            file.close()
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
