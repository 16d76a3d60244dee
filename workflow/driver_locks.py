"""Snakemake's locks on a folder's files: a driver that was killed leaves its own behind, and the next takes them away.

Each driver notes which locks are its own, and which process it is. Only a process of this machine can be known to be
dead: locks of others, and those that nobody noted, stay.
"""

import atexit
import json
import os
import platform
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from m3.runs.living import HIDDEN, machine, start_of

LOCKS = Path(".snakemake/locks")
_OWNERS = Path(".snakemake/m3_drivers")


def note_locks(locks: Iterable[str]) -> None:
    """Note that these locks are this process's, until it ends."""
    owner = {
        "host": platform.node(),
        "machine": machine(),
        "process": os.getpid(),
        "started": start_of(os.getpid()),
        "locks": {Path(lock).name: _looks(Path(lock)) for lock in locks},
    }
    if owner["locks"]:
        _OWNERS.mkdir(exist_ok=True)
        file = _OWNERS / f"{uuid.uuid4().hex}.json"
        file.with_suffix(".partial").write_text(json.dumps(owner))
        file.with_suffix(".partial").rename(file)
        atexit.register(file.unlink, missing_ok=True)


def unlock_after_dead_drivers() -> Iterator[str]:
    """Take away the locks of drivers that were killed on this machine; yield a line on each, and on locks that stay."""
    for file, owner in _owners():
        who = f"process {owner['process']} on {owner['host']}"
        if _is_dead(owner) and _claim(file):
            for name, looked in owner["locks"].items():
                lock = LOCKS / name
                if lock.exists() and _looks(lock) == looked:
                    lock.unlink()
            yield f"note: {who} was killed while it worked here; its lock is taken away"
    left = {lock.name for lock in LOCKS.glob("*.lock")}
    if left:
        owners = [o for _, o in _owners() if left & o["locks"].keys()]
        who = " and ".join(f"process {o['process']} on {o['host']}" for o in owners) or "a Snakemake that left no name"
        yield f"note: {who} has a lock here; if it runs no more, `snakemake --unlock` takes the lock away"


def _owners() -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in sorted(_OWNERS.glob("*.json")):
        try:
            owner = json.loads(file.read_text())
            kinds = [type(owner[key]) for key in ("host", "machine", "process", "locks")]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if kinds == [str, str, int, dict]:
            yield file, owner


def _is_dead(owner: dict[str, Any]) -> bool:
    started = start_of(owner["process"])
    known = HIDDEN not in (started, owner.get("started"))
    return owner["machine"] == machine() and (started is None or (known and started != owner.get("started")))


def _claim(file: Path) -> bool:
    """Whether this process, of several that found the owner dead, is the one to take its locks away."""
    try:
        file.rename(file.with_suffix(f".{os.getpid()}"))
    except FileNotFoundError:
        return False
    file.with_suffix(f".{os.getpid()}").unlink()
    return True


def _looks(lock: Path) -> list[int]:
    """What tells a lock from a later one of the same name."""
    status = lock.stat()
    return [status.st_ino, status.st_mtime_ns]
