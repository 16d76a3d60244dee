"""The manifest of a checkpoint: which files belong to it, and whether they are whole."""

import errno
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

import m3
from m3.errors import UserError, is_out_of_memory
from m3.files.names import CHECKPOINT_FORMAT
from m3.files.tree import load_tree
from m3.reading import open_regular, read_bytes

VERSION = 1
MANIFEST = "manifest.json"

_DAMAGE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EIO, errno.EFBIG)
"""What the system says where bytes are missing or gone bad. Anything else hinders only this process, for now."""


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class File(_Content):
    """A file of a checkpoint, as it was written."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,99}$")]
    """In the folder of the checkpoints, and nowhere else."""
    bytes: int
    sha256: str


class Part(_Content):
    """A file with consecutive rows of the replay."""

    file: File
    first_row: int
    next_row: int


class Checkpoint(_Content):
    """What belongs to a checkpoint."""

    identity: str
    epoch: int
    state: File
    parts: Annotated[tuple[Part, ...], Field(strict=False)]


class DamagedError(Exception):
    """A checkpoint that cannot be used; the message says why."""


def read_manifest(folder: Path, identity: str) -> Checkpoint:
    """Read what belongs to the checkpoint in a folder.

    Raises:
        DamagedError: there is no whole manifest.
        UserError: it is of another format version or another run, or cannot be read at the moment.
    """
    path = folder / MANIFEST
    with reading(path):
        raw = read_bytes(path)
    try:
        text = raw.decode("utf-8")
        content = json.loads(text)["content"]
        if text != _sealed(content):
            raise DamagedError(f"the checksum of {path} does not match")
        head = [content.pop(key) for key in ("format", "format_version", "created_by")]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{path} is no manifest ({_shortly(error)})") from error
    if head[:2] != [CHECKPOINT_FORMAT, VERSION]:
        raise UserError(
            f"{folder} is of format {head[0]!s:.40} version {head[1]!s:.40}, written by {head[2]!s:.40}; this M3 reads "
            f"{CHECKPOINT_FORMAT} version {VERSION}: continue with that M3, or delete {folder.parent} to start the run "
            "anew"
        )
    with understood(folder):
        checkpoint = Checkpoint.model_validate(content)
    if checkpoint.identity != identity:
        raise UserError(
            f"{folder} belongs to another run: its settings or its version of the training differ; delete "
            f"{folder.parent} to start the run anew"
        )
    return checkpoint


def manifest_text(checkpoint: Checkpoint) -> str:
    """Return the text of a checkpoint's manifest."""
    head = {"format": CHECKPOINT_FORMAT, "format_version": VERSION, "created_by": f"m3 {m3.__version__}"}
    return _sealed(head | checkpoint.model_dump(mode="json"))


def measure(path: Path) -> File:
    """Describe a file as it is. Raises OSError."""
    with open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return File(name=path.name, bytes=os.fstat(file.fileno()).st_size, sha256=digest)


def check(path: Path, expected: File) -> None:
    """Raise DamagedError where a file is not as it was written; UserError where it cannot be read at the moment."""
    with reading(path):
        found = measure(path)
    if found != expected:
        raise DamagedError(f"{path} has {found.bytes} bytes of another content than the {expected.bytes} written")


def read_tree(path: Path) -> Any:
    """Read a tree from a file of a checkpoint. Raises as ``check``."""
    with reading(path), open_regular(path) as file:
        return load_tree(file)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell apart whether a file is damaged, or cannot be read here and now."""
    try:
        yield
    except OSError as error:
        if error.errno in _DAMAGE:
            raise DamagedError(f"{path} cannot be read: {error.strerror}") from error
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> UserError:
    """Make the error for a file that may be whole, but not for this process."""
    return UserError(
        f"{path} cannot be read: {error.strerror}; nothing was changed: make it readable for this user and start again"
    )


@contextmanager
def understood(checkpoint: Path) -> Iterator[None]:
    """Refuse a checkpoint that is whole and of this run, and yet does not hold what is asked of it in the block.

    Raises:
        UserError: instead of what is raised where content is missing or of another kind.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, zipfile.BadZipFile, EOFError) as error:
        if isinstance(error, UserError) or is_out_of_memory(error):
            raise
        raise UserError(
            f"{checkpoint} does not hold what this M3 expects ({_shortly(error)}): was it made or changed by something "
            "else? Delete it to use the one before"
        ) from error


def _shortly(error: Exception) -> str:
    """Return the kind of an error and the beginning of its first line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:100]}"


def _sealed(content: Any) -> str:
    """Return JSON text of the content and its checksum; any other text of the same meaning counts as damaged."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({"content": content, "sha256": digest}, indent=1, sort_keys=True) + "\n"
