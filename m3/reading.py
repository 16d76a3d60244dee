"""Files opened for reading: regular ones only, so that a FIFO or a device can never block the process."""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_TEXT = 16 * 2**20
"""Bytes of the largest file that is read as text: settings, and the small files of a run."""
MOST_NUMBER = 1e30
"""The largest score, reward or number of an array from elsewhere: sums and squares of larger ones are infinite."""


@contextmanager
def open_regular(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file for reading bytes.

    Raises:
        OSError: it cannot be opened, or is something else than a regular file.
    """
    refuse_special(path)  # first: merely opening a device may do something
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _special(path)
        yield file


def read_bytes(path: Path, most: int = MOST_TEXT) -> bytes:
    """Read a whole small file.

    Raises:
        OSError: it cannot be read, is no regular file, or has more than ``most`` bytes.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"has more than the {most} bytes that such a file may have", str(path))
    return content


def read_text(path: Path, most: int = MOST_TEXT) -> str:
    """Read a whole small file of UTF-8 text. Raises OSError as ``read_bytes`` does, and UnicodeDecodeError."""
    return read_bytes(path, most).decode("utf-8")


def refuse_special(path: Path) -> None:
    """Raise OSError where a path, followed through links, leads to nothing or to no regular file."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise _special(path)


def _special(path: Path) -> OSError:
    return OSError(errno.EINVAL, "is a device or pipe, not a file", str(path))
