"""Files that are either complete or not there at all, whatever happens while they are written."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from m3.errors import UserError

_ADVICE = {
    errno.ENOSPC: "free space there and run again",
    errno.EDQUOT: "free space in your quota and run again",
    errno.EROFS: "make the folder writable or choose another one",
    errno.EACCES: "make the folder writable or choose another one",
    errno.EPERM: "make the folder writable or choose another one",
}


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that replaces ``path`` when the block ends without an error.

    The bytes go to a temporary name in the same folder, are flushed to the disk and renamed. Missing parent folders
    are created. There is one writer per path: the temporary name is fixed, so that what a killed process left behind
    is overwritten and never piles up.

    Raises:
        UserError: the folder cannot be written (full, read-only, not permitted); ``path`` is as it was.
    """
    temporary = _temporary(path)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with durable_file(temporary) as file:
                yield file
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Make a folder to fill, which becomes ``path`` when the block ends without an error.

    The files inside must be flushed to the disk by whoever writes them (``durable_file`` does).

    Raises:
        UserError: the folder cannot be written, or ``path`` exists.
    """
    temporary = _temporary(path)
    with _writing(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            sync_folder(temporary)
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(path.parent)


@contextmanager
def durable_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new binary file whose content has reached the disk when the block ends."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make the names inside a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync folders
            raise
    finally:
        os.close(descriptor)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "nothing was changed")
        raise UserError(f"cannot write {path}: {error.strerror or error}; {advice}") from error
