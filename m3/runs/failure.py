"""Failures of a run, remembered across processes, so that repeated starts do not waste a cluster's time."""

import contextlib
import json
import logging
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from m3.errors import DivergedError, OccupiedError, RunFailedError, UserError, is_out_of_memory
from m3.files.atomic import Fence, atomic_file
from m3.files.names import FAILURE
from m3.reading import read_bytes

MOST_FAILURES = 3
"""As many failures of one kind, without a checkpoint in between, mark the run as failed."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Failure:
    identity: str
    epoch: int
    saved_epoch: int
    """The epoch of the newest checkpoint at that time."""
    kind: str
    cause: str
    count: int
    """How many times in a row the run has failed in this way."""
    final: bool
    time: str
    host: str


class FailureRecord:
    """The file in a run's folder that holds its latest failure, as JSON. It goes when the run gets past it.

    Args:
        path: the file.
        identity: of the run; a failure of other settings in the same folder does not count.
        lease: the right to change the file.
    """

    def __init__(self, path: Path, identity: str, lease: Fence) -> None:
        self._path = path
        self._identity = identity
        self._lease = lease
        self._last = self._read()

    def raise_if_final(self) -> None:
        """Raise RunFailedError if the run is marked as failed."""
        if self._last is not None and self._last.final:
            raise RunFailedError(self._explain(self._last))

    def record(self, epoch: int, error: Exception, saved_epoch: int) -> UserError:
        """Remember what happened in an epoch; return the error for the user.

        Args:
            epoch: in which it happened.
            error: what happened.
            saved_epoch: of the newest checkpoint.

        Raises:
            OccupiedError: another process has the run by now, and what failed is no concern of its.
        """
        self._lease.check()
        cause = _cause(error)
        kind = type(error).__name__
        last = self._last
        repeated = last is not None and (last.saved_epoch, last.kind) == (saved_epoch, kind)
        count = last.count + 1 if last is not None and repeated else 1
        final = isinstance(error, DivergedError) or count >= MOST_FAILURES
        time = datetime.now(UTC).isoformat(timespec="seconds")
        self._last = _Failure(self._identity, epoch, saved_epoch, kind, cause, count, final, time, platform.node())
        try:
            with atomic_file(self._path, self._lease) as file:
                file.write(json.dumps(asdict(self._last), indent=1).encode())
        except OccupiedError:
            raise
        except UserError:  # the disk may be full
            _logger.warning("%s cannot be written", self._path)
        if final:
            return RunFailedError(self._explain(self._last))
        return UserError(f"{cause}; start again to continue after epoch {saved_epoch}")

    def forget_before(self, saved_epoch: int) -> None:
        """Forget a failure that the run got past: its newest checkpoint is now of ``saved_epoch``."""
        if self._last is not None and self._last.saved_epoch < saved_epoch:
            self.forget()

    def forget(self) -> None:
        """Forget whatever failed before: the run is finished, or past it."""
        self._last = None
        self._lease.check()
        with contextlib.suppress(OSError):  # it is gone, or something that nobody takes for a record
            self._path.unlink()

    def _explain(self, failure: _Failure) -> str:
        often = f" {failure.count} times, last" if failure.count > 1 else ""
        return (
            f"the run has failed{often} in epoch {failure.epoch}: {failure.cause}; once the cause is gone, delete "
            f"{self._path} to go on"
        )

    def _read(self) -> _Failure | None:
        try:
            failure = _read(self._path)
        except (OSError, ValueError):
            _logger.warning("%s cannot be read and is ignored", self._path)
            return None
        return failure if failure is not None and failure.identity == self._identity else None


def cause_of_failure(folder: Path, identity: str) -> str:
    """Read why a run failed last; empty where it did not, has got past it, or nobody can tell."""
    try:
        failure = _read(folder / FAILURE)
    except (OSError, ValueError):
        return ""
    return failure.cause if failure is not None and failure.identity == identity else ""


def _read(path: Path) -> _Failure | None:
    """Read a record; none if there is none. Raises OSError, and ValueError where the content is no record."""
    try:
        return TypeAdapter(_Failure).validate_json(read_bytes(path), strict=True)
    except FileNotFoundError:
        return None


def _cause(error: Exception) -> str:
    """Say what happened and what to do, in one line."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, UserError):
        return text
    if is_out_of_memory(error):
        return f"out of memory ({text or 'the system gave none'}): give the run more, or lower its batch sizes"
    if isinstance(error, OSError):
        return f"the system reports: {error}"
    _logger.error("the error in full:", exc_info=error)
    return f"{type(error).__name__}: {text}"
