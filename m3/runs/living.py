"""Whether a process of this machine still runs: its number alone does not tell, as numbers are used again."""

import contextlib
import os
import platform
from pathlib import Path

HIDDEN = ""
"""In place of a start that the system does not tell."""


def machine() -> str:
    """Return what processes have in common that see each other: machine, its last start, container."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):  # not on every system
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def start_of(process: int) -> str | None:
    """Read when a process of this machine started, in clock ticks since the machine did; none where it does not run.

    A process that was killed and waits for its parent to notice does not run. ``HIDDEN`` where it runs and the system
    does not tell when it started: without /proc, or where /proc hides the processes of others (hidepid).
    """
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return _exists(process)
    fields = status.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def _exists(process: int) -> str | None:
    if process <= 0:  # the system would take it for a group of processes
        return None
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass
    return HIDDEN
