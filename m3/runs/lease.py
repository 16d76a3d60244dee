"""One writer per run: a file that names the process which trains the run, and shows that it is alive.

The holder touches the file every ``HEARTBEAT_SECONDS``. Whether a holder is dead is decided by its process on the same
machine, and by its heartbeat on another one: a process that runs there cannot be seen. Looking and taking over
happen under a lock on a second file, so that only one of many processes takes over. Should a file system shared by
several machines not support such locks, the last one to take over holds the lease, and the others notice it before they
write (``Lease.check``).

Clocks play no part on the same machine. Ages of heartbeats are measured by the clock of the file system alone.
"""

# filelock's SoftFileLease takes zombies for alive, robs stopped processes, and is slow with other machines' old leases.
import contextlib
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

from m3.errors import OccupiedError, UserError
from m3.files.atomic import atomic_file
from m3.files.names import LEASE, LEASE_LOCK

HEARTBEAT_SECONDS = 20.0
DEAD_AFTER_SECONDS = 180.0
"""A heartbeat on another machine that is older than this is that of a dead process."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """A process that trains a run."""

    host: str
    machine: str
    """What tells whether ``process`` is visible from here: the machine's start and the space of process numbers."""
    process: int
    started: str
    """When the process started, as ``_start_of`` tells it; process numbers are used again."""
    token: str
    """Tells this lease from every other."""

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


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
        self._holder = Holder(platform.node(), _machine(), os.getpid(), _start_of(os.getpid()) or "", uuid.uuid4().hex)
        with contextlib.suppress(OSError):  # why it cannot be written is said below
            folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / LEASE_LOCK) as now:
            self._refuse_if_held(now)
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

    def _refuse_if_held(self, now: float) -> None:
        holder = _read(self._file)
        if holder is None:
            return
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
    holder = _read(folder / LEASE)
    if holder is None:
        return None
    try:
        age = time.time() - (folder / LEASE).stat().st_mtime
    except FileNotFoundError:
        return None
    return holder if _is_alive(holder, age) else None


def _is_alive(holder: Holder, age: float) -> bool:
    """Tell whether a holder lives whose heartbeat is ``age`` seconds old."""
    if holder.machine == _machine():
        return _start_of(holder.process) == holder.started
    return abs(age) <= DEAD_AFTER_SECONDS  # a heartbeat in the future was followed by a change of the clock


@contextmanager
def _locked(path: Path) -> Iterator[float]:
    """Lock a file, which is created where it is missing; give the time by the clock of its file system."""
    try:
        file = open(path, "ab")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; make the folder writable or choose another") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            _logger.warning("%s cannot be locked: %s", path, error.strerror)
        os.utime(path)
        yield path.stat().st_mtime


def _read(path: Path) -> Holder | None:
    """Read who holds a lease; none if nobody does. A file that cannot be understood has an unknown holder elsewhere."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    try:
        return Holder(**json.loads(text))
    except (ValueError, TypeError):
        return Holder("an unknown host", "", 0, "", "")


def _machine() -> str:
    """Return what processes have in common that see each other: machine, its last start, container."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):  # not on every system
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _start_of(process: int) -> str | None:
    """Read when a process of this machine started, in clock ticks since the machine did; none where it does not run.

    A process that was killed and waits for its parent to notice does not run.
    """
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _exists(process)
    fields = status.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def _exists(process: int) -> str | None:
    """Do the same on systems without /proc, which do not tell when a process started."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""
