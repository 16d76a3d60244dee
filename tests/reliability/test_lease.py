"""One writer per run, whatever happens to its process."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from m3.errors import ExitStatus, OccupiedError
from m3.files.names import LEASE
from m3.runs import lease
from m3.runs.lease import DEAD_AFTER_SECONDS, Holder, Lease
from m3.runs.living import machine, start_of

FORK = multiprocessing.get_context("fork")
NAPPING = "import signal; signal.pause()"


def here(process: int, started: str) -> Holder:
    return Holder(lease.platform.node(), machine(), process, started, "token")


ELSEWHERE = Holder("another-host", "another-host boot pid", 1, "1", "token")


def leave_lease(folder: Path, holder: Holder, age: float = 0.0) -> None:
    """Write a holder's lease, last touched ``age`` seconds ago."""
    (folder / LEASE).write_text(json.dumps(asdict(holder)))
    then = time.time() - age
    os.utime(folder / LEASE, (then, then))


def test_a_second_process_is_told_who_has_the_run(tmp_path: Path) -> None:
    napping = subprocess.Popen([sys.executable, "-c", NAPPING])
    try:
        started = start_of(napping.pid)
        assert started is not None
        leave_lease(tmp_path, here(napping.pid, started))
        with pytest.raises(OccupiedError, match=f"is being trained by process {napping.pid} on ") as caught:
            Lease(tmp_path)
        assert caught.value.exit_status == ExitStatus.OCCUPIED
    finally:
        napping.kill()
    # the killed process has not been waited for: it is still there, as a zombie, and writes nothing any more
    deadline = time.monotonic() + 10
    while start_of(napping.pid) is not None:
        assert time.monotonic() < deadline
    with Lease(tmp_path) as taken:
        taken.check()
    napping.wait()


def test_a_process_that_is_stopped_keeps_its_run(tmp_path: Path) -> None:
    napping = subprocess.Popen([sys.executable, "-c", NAPPING])
    try:
        started = start_of(napping.pid)
        assert started is not None
        leave_lease(tmp_path, here(napping.pid, started), age=10 * DEAD_AFTER_SECONDS)
        napping.send_signal(signal.SIGSTOP)
        with pytest.raises(OccupiedError):
            Lease(tmp_path)
    finally:
        napping.kill()
        napping.wait()


@pytest.mark.parametrize(
    ("holder", "age", "held"),
    [
        (ELSEWHERE, 0, True),
        (ELSEWHERE, DEAD_AFTER_SECONDS - 30, True),
        (ELSEWHERE, DEAD_AFTER_SECONDS + 30, False),
        (ELSEWHERE, -30, True),  # the clock was set back a little since the last heartbeat
        (ELSEWHERE, -10 * DEAD_AFTER_SECONDS, False),  # and by a lot: a living process would have touched it since
        (here(os.getpid(), "1"), 0, False),  # the number of a process that has ended was given to another one
        (here(2**22 + 1, "1"), 0, False),
        (replace(here(os.getpid(), "1"), machine="before the last start"), 0, True),
    ],
)
def test_who_is_dead(tmp_path: Path, holder: Holder, age: float, held: bool) -> None:
    leave_lease(tmp_path, holder, age)
    if held:
        with pytest.raises(OccupiedError):
            Lease(tmp_path)
    else:
        Lease(tmp_path).release()
        assert not (tmp_path / LEASE).exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"host": 1}', b"\xff\xfe"])
def test_a_damaged_lease_holds_until_it_is_old(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / LEASE
    path.write_bytes(content)
    with pytest.raises(OccupiedError, match="an unknown host"):
        Lease(tmp_path)
    then = time.time() - 2 * DEAD_AFTER_SECONDS
    os.utime(path, (then, then))
    Lease(tmp_path).release()


def test_a_holder_shows_that_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.01)
    with Lease(tmp_path):
        os.utime(tmp_path / LEASE, (0, 0))
        deadline = time.monotonic() + 10
        while (tmp_path / LEASE).stat().st_mtime < time.time() - 60:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_process_that_seemed_dead_notices_that_it_was_replaced(tmp_path: Path) -> None:
    first = Lease(tmp_path)
    leave_lease(tmp_path, ELSEWHERE, age=2 * DEAD_AFTER_SECONDS)
    second = Lease(tmp_path)
    with pytest.raises(OccupiedError, match="was taken over by process"):
        first.check()
    first.release()  # what it does not have
    second.check()
    second.release()
    assert not (tmp_path / LEASE).exists()
    with pytest.raises(OccupiedError, match="somebody who is gone"):
        second.check()


def test_a_deleted_folder_is_not_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Lease(folder):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    assert not folder.exists()


def contend(folder: Path, start: Any, end: Any, winners: Any) -> None:
    start.wait()
    try:
        Lease(folder)
    except OccupiedError:
        pass
    else:
        with winners.get_lock():
            winners.value += 1
    end.wait()
    os._exit(0)  # as if killed: the lease stays


def winners_of(folder: Path, count: int) -> int:
    """How many of ``count`` processes that start at the same time get the run."""
    start, end, winners = FORK.Barrier(count), FORK.Barrier(count), FORK.Value("i", 0)
    processes = [FORK.Process(target=contend, args=(folder, start, end, winners)) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return winners.value


def test_exactly_one_of_many_starts_gets_the_run(tmp_path: Path) -> None:
    """Twenty times two at once, then twenty at once; after the first round there is a dead holder to be replaced."""
    assert [winners_of(tmp_path, 2) for _ in range(20)] == [1] * 20
    assert winners_of(tmp_path, 20) == 1


def test_a_file_system_without_locks_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lease.fcntl, "flock", no_locks)
    first = Lease(tmp_path)
    with pytest.raises(OccupiedError):
        Lease(tmp_path)
    first.release()
