"""Ends of a process that are not failures: a time budget, SIGTERM and SIGINT."""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

GRACE_SECONDS = 25.0
"""How long a signalled process may take to its end. Slurm and Kubernetes kill 30 seconds after the signal."""

_SLOWER, _HICCUP_SECONDS = 2, 5.0
"""By how much an epoch may exceed what was expected of it, where a machine or a disk is busy with something else."""


class StopNow(BaseException):
    """There is no time left for the epoch in progress. It may be raised between any two instructions."""


class Stop:
    """Whether and when a process is to end before its work is done.

    It ends at the end of an epoch, with a checkpoint. An epoch that is not expected to end within the budget is not
    begun; one that does not end in time after all, within the budget or the grace after a signal, is cut short.

    Args:
        budget_seconds: from now on.
        grace_seconds: from a signal on.
    """

    def __init__(self, budget_seconds: float = math.inf, grace_seconds: float = GRACE_SECONDS) -> None:
        self._end = monotonic() + budget_seconds
        self._grace = grace_seconds
        self._signal: str | None = None
        self._postponed = False
        self._overdue = False

    @property
    def has_budget(self) -> bool:
        """Whether time is limited."""
        return self._end < math.inf

    @property
    def signalled(self) -> bool:
        """Whether a signal asked for the end."""
        return self._signal is not None

    @property
    def reason(self) -> str:
        """Why the process ends, in words."""
        return f"received {self._signal}" if self._signal else "its time budget is used up"

    def due(self, seconds: float = 0.0) -> bool:
        """Tell whether to end now, rather than begin what is expected to take ``seconds``."""
        return self._signal is not None or monotonic() + seconds >= self._end

    def may_cut_short(self, seconds: float) -> bool:
        """Tell whether the end may come before what is expected to take ``seconds`` is done; NaN where unknown."""
        return not _SLOWER * seconds + _HICCUP_SECONDS <= min(self._grace, self._end - monotonic())

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """End on SIGTERM and SIGINT, and raise ``StopNow`` when time is up. In the main thread only."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
        before = {number: signal.signal(number, self._receive) for number in numbers}
        if self.has_budget:
            self._alarm_at(self._end)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """Raise ``StopNow`` only after the block, which writes what would otherwise be lost."""
        self._postponed = True
        try:
            yield
        finally:
            self._postponed = False
        if self._overdue:
            raise StopNow

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGALRM:
            self._overdue = True
            if not self._postponed:
                raise StopNow
        elif self._signal is None:
            self._signal = signal.Signals(number).name
            self._alarm_at(min(self._end, monotonic() + self._grace))

    @staticmethod
    def _alarm_at(end: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, max(end - monotonic(), 1e-3))
