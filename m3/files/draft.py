"""A file that a library writes which cannot bear that writing fails."""

import io
import os
from typing import BinaryIO

_PAGE = 4096


class Draft(io.RawIOBase):
    """Passes everything on to a file, until that fails; from then on it remembers what is written.

    So whoever writes can end in order, and is told of the failure afterwards.

    Args:
        file: open for reading and writing, new and empty.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file.fileno()
        self._position = 0
        self._end = 0
        self._pages: dict[int, bytearray] = {}
        self._failure: OSError | None = None

    def raise_failure(self) -> None:
        """Raise OSError if the file could not be written."""
        if self._failure is not None:
            raise self._failure

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self._read(self._position, max(0, min(len(buffer), self._end - self._position)))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def write(self, content: memoryview) -> int:  # type: ignore[override]
        content = memoryview(content).cast("B")
        try:
            self.raise_failure()
            written = 0
            while written < len(content):
                written += os.pwrite(self._file, content[written:], self._position + written)
        except OSError as error:
            self._failure = error
            self._remember(content)
        self._position += len(content)
        self._end = max(self._end, self._position)
        return len(content)

    def truncate(self, size: int | None = None) -> int:
        self._end = self._position if size is None else size
        try:
            self.raise_failure()
            os.ftruncate(self._file, self._end)
        except OSError as error:
            self._failure = error
        return self._end

    def _read(self, start: int, size: int) -> bytes:
        """Read from the file and from what is remembered; zeros where nothing was written."""
        if not self._pages:
            return os.pread(self._file, size, start).ljust(size, b"\0")
        first = start // _PAGE
        pages = b"".join(self._page(number) for number in range(first, (start + size - 1) // _PAGE + 1))
        return pages[start - first * _PAGE :][:size]

    def _page(self, number: int) -> bytes | bytearray:
        return self._pages.get(number) or os.pread(self._file, _PAGE, number * _PAGE).ljust(_PAGE, b"\0")

    def _remember(self, content: memoryview) -> None:
        done = 0
        while done < len(content):
            number, offset = divmod(self._position + done, _PAGE)
            size = min(_PAGE - offset, len(content) - done)
            page = self._pages.setdefault(number, bytearray(self._page(number)))
            page[offset : offset + size] = content[done : done + size]
            done += size
