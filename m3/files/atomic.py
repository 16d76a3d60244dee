"""Files that are either complete or not there at all, whatever happens while they are written."""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from m3.errors import UserError

_ADVICE = {
    errno.ENOSPC: "free space there and run again",
    errno.EDQUOT: "free space in your quota and run again",
    errno.EROFS: "make the folder writable or choose another one",
    errno.EACCES: "make the folder writable or choose another one",
    errno.EPERM: "make the folder writable or choose another one",
}


class Fence(Protocol):
    """The right to write, of which there is one at a time: a lease."""

    @property
    def generation(self) -> int:
        """A number that is higher for every later holder."""

    def check(self) -> None:
        """Raise OccupiedError once another process has the right."""


@contextmanager
def atomic_file(path: Path, fence: Fence | None = None) -> Iterator[BinaryIO]:
    """Open a binary file, to write and to read, that replaces ``path`` when the block ends without an error.

    The bytes go to a temporary name in the same folder, are flushed to the disk and renamed. Missing parent folders
    are created. The temporary name is this writer's own, so that two may write the same path; the last one wins. What
    killed writers left of the same path is deleted.

    Args:
        path: the file.
        fence: is asked directly before the file gets its name; who has lost the right deletes nothing either.

    Raises:
        UserError: the folder cannot be written (full, read-only, not permitted), or ``path`` is a device, pipe or
            folder; ``path`` is as it was.
        OccupiedError: by the fence.
    """
    refuse_other_kinds(path)
    with _writing(path, fence):
        if fence is not None:
            fence.check()
        path.parent.mkdir(parents=True, exist_ok=True)
        _delete_abandoned(path)
        temporary = _temporary(path, fence)
        try:
            with _locked_file(temporary) as file:
                yield file
                _flush(file)
                if fence is not None:
                    fence.check()
                temporary.replace(path)
        except BaseException:
            if fence is not None:
                fence.check()
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)


@contextmanager
def atomic_folder(path: Path, fence: Fence) -> Iterator[Path]:
    """Make a folder to fill, which becomes ``path`` when the block ends without an error.

    The files inside must be flushed to the disk by whoever writes them (``durable_file`` does).

    Raises:
        UserError: the folder cannot be written, or ``path`` exists.
        OccupiedError: by the fence, which is asked directly before the folder gets its name.
    """
    temporary = _temporary(path, fence)
    with _writing(path, fence):
        fence.check()
        shutil.rmtree(temporary, ignore_errors=True)  # of this holder: an earlier attempt that failed
        temporary.mkdir(parents=True)
        try:
            yield temporary
            sync_folder(temporary)
            fence.check()
            temporary.rename(path)
        except BaseException:
            fence.check()
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(path.parent)


@contextmanager
def durable_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new binary file whose content has reached the disk when the block ends."""
    with open(path, "wb") as file:
        yield file
        _flush(file)


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


def refuse_other_kinds(path: Path) -> None:
    """Raise UserError where a path is taken by a device, pipe or folder, which a file must not replace."""
    with contextlib.suppress(OSError):  # nothing is there, or what hinders is said when it is written
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UserError(f"cannot write {path}: it is a folder, device or pipe, not a file; choose another name")


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _temporary(path: Path, fence: Fence | None) -> Path:
    """Return a name that no other writer of the same path has."""
    token = uuid.uuid4().hex[:8] if fence is None else f"g{fence.generation}"
    return path.with_name(f".{path.name}.{token}.partial")


@contextmanager
def _locked_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file and hold a lock on it, which tells others that its writer lives."""
    while True:
        with open(path, "w+b") as file:
            with contextlib.suppress(OSError):  # not on every file system
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():  # nobody took it for abandoned before it was locked
                yield file
                return


def _delete_abandoned(path: Path) -> None:
    """Delete what killed writers of a path left: temporary files that nobody has locked."""
    beginning, end = f".{path.name}.", ".partial"
    for name in os.listdir(path.parent):
        token = name.removeprefix(beginning).removesuffix(end)
        if name.startswith(beginning) and name.endswith(end) and token.isalnum():
            with contextlib.suppress(OSError), open(path.with_name(name), "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.with_name(name).unlink()


@contextmanager
def _writing(path: Path, fence: Fence | None) -> Iterator[None]:
    """Turn errors of the system into a line for the user; whoever has lost the right to write is told that instead."""
    try:
        yield
    except OSError as error:
        if fence is not None:
            fence.check()
        advice = _ADVICE.get(error.errno or 0, "nothing was changed")
        raise UserError(f"cannot write {path}: {error.strerror or error}; {advice}") from error
