"""Locks that a killed Snakemake leaves behind."""

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from projects import ROOT

from m3.runs.living import machine, start_of

spec = spec_from_file_location("driver_locks", ROOT / "workflow/driver_locks.py")
assert spec is not None
assert spec.loader is not None
driver_locks: Any = module_from_spec(spec)
spec.loader.exec_module(driver_locks)


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """As of two drivers, each of which has two."""
    monkeypatch.chdir(tmp_path)
    driver_locks.LOCKS.mkdir(parents=True)
    names = ("0.input.lock", "0.output.lock", "1.input.lock", "1.output.lock")
    found = [driver_locks.LOCKS / name for name in names]
    for lock in found:
        lock.touch()
    return found


def note(locks: list[Path], **owner: Any) -> None:
    """As the driver that owns the locks noted it; this process, but for what is given."""
    driver_locks.note_locks(map(str, locks))
    [file] = driver_locks._OWNERS.glob("*.json")
    file.rename(file.with_suffix(".noted"))
    file = file.with_suffix(".noted")
    content = json.loads(file.read_text()) | owner
    file.with_name(f"{len(list(file.parent.iterdir()))}.json").write_text(json.dumps(content))
    file.unlink()


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_the_locks_of_the_dead_go(locks: list[Path]) -> None:
    note(locks[:2], process=dead_process())
    driver_locks.note_locks(map(str, locks[2:]))
    lines = list(driver_locks.unlock_after_dead_drivers())
    assert len(lines) == 2
    assert lines[0].endswith("was killed while it worked here; its lock is taken away")
    assert f"process {os.getpid()} on" in lines[1]
    assert "snakemake --unlock" in lines[1]
    assert sorted(driver_locks.LOCKS.iterdir()) == locks[2:]
    assert len(list(driver_locks.unlock_after_dead_drivers())) == 1


@pytest.mark.parametrize(
    "owner",
    [
        {"machine": "another boot pid:[1]", "process": 2**22 - 1},
        {},
        {"started": "", "process": os.getppid()},
    ],
    ids=["of another machine", "alive", "alive, and the system does not tell since when"],
)
def test_locks_of_others_stay(locks: list[Path], owner: dict[str, Any]) -> None:
    note(locks, **owner)
    [line] = driver_locks.unlock_after_dead_drivers()
    assert "if it runs no more, `snakemake --unlock` takes the lock away" in line
    assert sorted(driver_locks.LOCKS.iterdir()) == locks


def test_a_number_that_another_process_has_by_now_is_no_life(locks: list[Path]) -> None:
    assert start_of(os.getpid()) != "1"
    note(locks, started="1")
    assert len(list(driver_locks.unlock_after_dead_drivers())) == 1
    assert list(driver_locks.LOCKS.iterdir()) == []


def test_a_later_lock_of_the_same_name_stays(locks: list[Path]) -> None:
    note(locks[:2], process=dead_process())
    for lock in locks:
        lock.unlink()
    locks[0].with_suffix(".new").touch()
    locks[0].with_suffix(".new").rename(locks[0])
    os.utime(locks[0], (1, 1))
    assert "a Snakemake that left no name has a lock here" in list(driver_locks.unlock_after_dead_drivers())[-1]
    assert locks[0].exists()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"process": 1}', '{"host": 1, "machine": 1, "process": "", "locks": []}']
)
def test_damaged_notes_count_as_none(locks: list[Path], content: str) -> None:
    driver_locks._OWNERS.mkdir()
    (driver_locks._OWNERS / "a.json").write_text(content)
    [line] = driver_locks.unlock_after_dead_drivers()
    assert "a Snakemake that left no name" in line
    assert machine()
