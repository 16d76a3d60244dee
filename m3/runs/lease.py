"""One writer per run: a file that names the process which trains the run, and shows that it is alive.

The holder touches the file every ``HEARTBEAT_SECONDS``. Whether a holder is dead is decided by its process on the same
machine, and by its heartbeat on another one, or where the system hides it: a process that cannot be seen. Looking and
taking over happen under a lock on a second file, so that only one of many processes takes over. Should a file system
shared by several machines not support such locks, the last one to take over holds the lease, and the others notice it
before they write (``Lease.check``).

A process may stand still for longer than its heartbeat counts, inside a save or anywhere else, and go on when another
one has the run. So every lease has a generation, one higher than all before it, which the second file keeps. What a
holder writes has a name of its generation until it is whole, and the lease is asked again directly before every rename
and every deletion.

Clocks play no part on the same machine. Ages of heartbeats are measured by the clock of the file system alone.
"""

# filelock's SoftFileLease takes zombies for alive, robs stopped processes, and is slow with other machines' old leases.
import contextlib
import dataclasses
import errno
import fcntl
import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from m3.errors import OccupiedError, UserError
from m3.files.atomic import atomic_file
from m3.files.names import CHECKPOINTS, LEASE, LEASE_LOCK
from m3.reading import read_bytes, read_text, refuse_special
from m3.runs.living import HIDDEN, machine, start_of

HEARTBEAT_SECONDS = 20.0
DEAD_AFTER_SECONDS = 180.0
"""A heartbeat on another machine that is older than this is that of a dead process."""
LOCK_SECONDS = 10.0
"""How long to wait for the lock; who has it needs a moment, unless it stands still."""

_LOCK_POLL_SECONDS = 0.01
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """A process that trains a run."""

    host: str
    machine: str
    """What tells whether ``process`` is visible from here: the machine's start and the space of process numbers."""
    process: int
    started: str
    """When the process started, as ``start_of`` tells it; process numbers are used again."""
    token: str
    """Tells this lease from every other."""
    generation: int = 0
    """One higher than all before it; 0 in the files of an M3 that did not count them."""

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


_UNKNOWN = Holder("an unknown host", "", 0, "", "")


class Lease:
    """The right to write a run's folder, until the block ends.

    Args:
        folder: of the run; created where it is missing.

    Raises:
        OccupiedError: another process holds it.
        UserError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / LEASE
        own = os.getpid()
        with contextlib.suppress(OSError):  # why it cannot be written is said below
            folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / LEASE_LOCK) as lock:
            before = _read(self._file)
            if before is not None:
                self._refuse_if_alive(before, lock.now)
            self.generation = 1 + max(lock.generation, before.generation if before else 0, _newest_generation(folder))
            lock.keep(self.generation)
            self._holder = Holder(
                platform.node(), machine(), own, start_of(own) or "", uuid.uuid4().hex, self.generation
            )
            with atomic_file(self._file) as file:
                file.write(json.dumps(asdict(self._holder), indent=1).encode())
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease heartbeat", daemon=True)
        self._heart.start()

    def check(self) -> None:
        """Make sure that the lease still holds, before writing what a second writer would spoil.

        Raises:
            OccupiedError: another process has taken over, because this one seemed dead.
        """
        found = _read(self._file)
        if found != self._holder:
            who = found or "somebody who is gone by now"
            raise OccupiedError(f"{self._file.parent} was taken over by {who}, because this process seemed dead")

    def release(self) -> None:
        """Let the next process have the run."""
        self._ended.set()
        self._heart.join()
        with _locked(self._file.with_name(LEASE_LOCK)):
            if _read(self._file) == self._holder:
                self._file.unlink()

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, UserError):  # the next process finds this one dead
            self.release()

    def _refuse_if_alive(self, holder: Holder, now: float) -> None:
        age = now - self._file.stat().st_mtime
        if _is_alive(holder, age):
            raise OccupiedError(
                f"{self._file.parent} is being trained by {holder}, last seen {max(age, 0):.0f} s ago; a run has one "
                "writer: stop that process, or wait for its end (--wait)"
            )
        _logger.warning("%s trained this run and ended without a word (killed?); taking over", holder)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):
                if _read(self._file) == self._holder:
                    os.utime(self._file)


def living_holder(folder: Path) -> Holder | None:
    """Look who trains a run at the moment; none if nobody does. Clocks of other machines should be right."""
    try:
        holder = _read(folder / LEASE)
        if holder is None:
            return None
        age = time.time() - (folder / LEASE).stat().st_mtime
    except OSError:  # gone by now, or not to be read
        return None
    return holder if _is_alive(holder, age) else None


def _is_alive(holder: Holder, age: float) -> bool:
    """Tell whether a holder lives whose heartbeat is ``age`` seconds old."""
    if holder.machine == machine():
        started = start_of(holder.process)
        if started != HIDDEN or holder.started == HIDDEN:
            return started == holder.started
    return abs(age) <= DEAD_AFTER_SECONDS  # a heartbeat in the future was followed by a change of the clock


class _Lock(NamedTuple):
    """The locked file."""

    path: Path
    now: float
    """The time by the clock of its file system."""
    generation: int
    """Of the newest lease."""

    def keep(self, generation: int) -> None:
        """Write the generation of a new lease; always as many bytes, so that it is never half written."""
        with open(self.path, "r+b", buffering=0) as file:
            file.write(f"{generation:020d}\n".encode())
            os.fsync(file.fileno())


@contextmanager
def _locked(path: Path) -> Iterator[_Lock]:
    """Lock a file, which is created where it is missing.

    Raises:
        OccupiedError: another process has it locked and does not let it go.
    """
    try:
        if path.exists():
            refuse_special(path)
        with open(path, "ab") as file:
            _lock(file, path)
            os.utime(path)
            written = read_bytes(path).strip()
            yield _Lock(path, path.stat().st_mtime, int(written) if written.isdigit() and len(written) < 64 else 0)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; make the folder writable or choose another") from error


def _lock(file: BinaryIO, path: Path) -> None:
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= end:
                raise OccupiedError(
                    f"{path} has been locked for {LOCK_SECONDS:.0f} s by another process, which may have been stopped "
                    f"(SIGSTOP): let it go on or end it; `fuser {path}` names it"
                ) from error
        except OSError as error:
            return _logger.warning("%s cannot be locked: %s", path, error.strerror)
        time.sleep(_LOCK_POLL_SECONDS)


def _newest_generation(folder: Path) -> int:
    """Return the generation of the newest checkpoint: the file that keeps it may have been deleted."""
    names = [path.name.split("-") for path in folder.glob(f"{CHECKPOINTS}/*/checkpoint-*-*")]
    return max((int(name[1]) for name in names if name[1].isdecimal()), default=0)


def _read(path: Path) -> Holder | None:
    """Read who holds a lease; none if nobody does. A file that cannot be understood has an unknown holder elsewhere."""
    try:
        text = read_text(path)
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EFBIG):  # a device, or what is no lease by its size
            raise
        text = ""
    try:
        holder = Holder(**json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return _UNKNOWN
    fields = [getattr(holder, field.name) for field in dataclasses.fields(Holder)]
    return holder if [type(value) for value in fields] == [str, str, int, str, str, int] else _UNKNOWN
