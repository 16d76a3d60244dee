"""A writer that stands still inside a save, for longer than its lease lives, and goes on when another has the run."""

import contextlib
import itertools
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from checkpoint_writer import add_epoch, state_at
from experience import new_replay
from faults import files, flip_bit
from test_checkpoint import CAPACITY, assert_is_epoch

from m3.data.replay import Replay
from m3.errors import OccupiedError, UserError
from m3.files.atomic import atomic_file
from m3.files.names import FAILURE, LEASE
from m3.runs.checkpoint import CheckpointFolder
from m3.runs.failure import FailureRecord
from m3.runs.lease import DEAD_AFTER_SECONDS, Lease

_EVENTS = ("open", "os.", "shutil.")
_watch: Callable[[], None] | None = None


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    is_ours = _watch is not None and threading.current_thread() is threading.main_thread()
    if is_ours and event.startswith(_EVENTS) and arguments and str(arguments[0]).startswith("/"):
        assert _watch is not None
        _watch()


sys.addaudithook(_hook)  # for the life of the process, as Python has it


@contextmanager
def pausing_at(call: int, meanwhile: Callable[[], None]) -> Iterator[list[int]]:
    """Within the block, something happens directly before the ``call``-th file operation; counts all of them."""
    global _watch
    calls = [0]

    def watch() -> None:
        global _watch
        calls[0] += 1
        if calls[0] == call:
            own, _watch = _watch, None
            meanwhile()
            _watch = own

    _watch = watch
    try:
        yield calls
    finally:
        _watch = None


class Host:
    """A machine that trains the run of a folder, epoch after epoch."""

    def __init__(self, folder: Path, name: str) -> None:
        self.lease = Lease(folder)
        holder = replace(self.lease._holder, host=name, machine=f"{name} boot pid")
        self.lease._holder = holder  # as a process of another machine would have written it
        (folder / LEASE).write_text(json.dumps(asdict(holder), indent=1))
        self.replay = new_replay(capacity_rows=CAPACITY)
        self._checkpoints = CheckpointFolder(folder / "checkpoints" / "00000000", "run", self.lease)
        state = self._checkpoints.load_latest(self.replay)
        self.epoch = state["epoch"] if state else 0
        if state:
            assert_is_epoch(state, self.replay, self.epoch)

    def train(self, epochs: int) -> "Host":
        for _ in range(epochs):
            add_epoch(self.replay, self.epoch + 1)
            self._checkpoints.save(self.epoch + 1, state_at(self.epoch + 1), self.replay)
            self.epoch += 1
        return self


def seem_dead(folder: Path) -> None:
    """The heartbeat of whoever has the lease is as old as if its machine stood still."""
    then = (folder / LEASE).stat().st_mtime - 2 * DEAD_AFTER_SECONDS
    os.utime(folder / LEASE, (then, then))


def newest(folder: Path) -> tuple[dict | None, Replay]:
    replay = new_replay(capacity_rows=CAPACITY)
    return CheckpointFolder(folder / "checkpoints" / "00000000", "run").load_latest(replay), replay


@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 4), (1, 1), (9, 0), (9, 4)])
def test_a_successor_keeps_its_run_at_whatever_operation_the_writer_stood_still(
    tmp_path: Path, before: int, after: int
) -> None:
    for call in itertools.count(1):
        folder = tmp_path / str(call)
        first = Host(folder, "first").train(before)
        second: list[Host] = []

        def take_over(folder: Path = folder, second: list[Host] = second) -> None:
            seem_dead(folder)
            second.append(Host(folder, "second").train(after))

        with pausing_at(call, take_over), contextlib.suppress(OccupiedError):
            first.train(1)
        if not second:  # the save has fewer operations
            break
        own = second[0]
        if after:
            assert_is_epoch(*newest(folder), own.epoch)
        kept = files(folder)
        with pytest.raises(OccupiedError):
            first.train(1)
        assert files(folder) == kept
        own.train(2)
        assert_is_epoch(*newest(folder), own.epoch)
        if call % 5 == 0:  # and so does a third, when the second was killed
            seem_dead(folder)
            third = Host(folder, "third")
            assert third.epoch == own.epoch
            assert_is_epoch(*newest(third.train(3) and folder), own.epoch + 3)
    assert call > 20


def test_who_has_lost_the_run_leaves_no_trace_of_its_failure(tmp_path: Path) -> None:
    first = Host(tmp_path, "first").train(1)
    failures = FailureRecord(tmp_path / FAILURE, "run", first.lease)
    seem_dead(tmp_path)
    Host(tmp_path, "second")
    before = files(tmp_path)
    with pytest.raises(OccupiedError):
        failures.record(2, OSError("the files are gone"), 1)
    with pytest.raises(OccupiedError), atomic_file(tmp_path / "weights", first.lease) as file:
        file.write(b"old")
    assert files(tmp_path) == before


def test_generations_go_on_when_everything_that_counted_them_is_deleted(tmp_path: Path) -> None:
    assert [Host(tmp_path, "any").lease.release() or Lease(tmp_path).generation for _ in range(1)] == [2]
    for path in tmp_path.glob("lease.*"):
        path.unlink()
    first = Host(tmp_path, "first").train(1)
    first.lease.release()
    for path in tmp_path.glob("lease.*"):
        path.unlink()
    assert Lease(tmp_path).generation == first.lease.generation + 1


def test_a_part_that_went_bad_is_written_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    host = Host(tmp_path, "host").train(4)
    parts = sorted((tmp_path / "checkpoints" / "00000000").glob("replay-*"))
    flip_bit(parts[1], 400)
    parts[2].unlink()
    host.train(1)
    assert "DAMAGED FILE, its rows are written again" in caplog.text
    assert_is_epoch(*newest(tmp_path), 5)


def test_checkpoints_of_before_there_were_generations_are_read(tmp_path: Path) -> None:
    Host(tmp_path, "host").train(3).lease.release()
    folder = tmp_path / "checkpoints" / "00000000"
    for path in list(folder.iterdir()):
        old = path.name.replace("-000001-", "-")
        for manifest in folder.glob("*/manifest.json"):
            content = json.loads(manifest.read_text())["content"]
            for part in content["parts"]:
                part["file"]["name"] = part["file"]["name"].replace("-000001-", "-")
            from m3.runs.manifest import _sealed

            manifest.write_text(_sealed(content))
        path.rename(folder / old)
    assert Host(tmp_path, "next").train(1).epoch == 4
    assert_is_epoch(*newest(tmp_path), 4)


def test_checkpoints_that_may_not_be_read_are_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Host(tmp_path, "host").train(2).lease.release()
    before = files(tmp_path)
    target = "state.npz"
    system_open = os.open

    def refusing(path: object, *arguments: int) -> int:
        if str(path).endswith(target):
            raise PermissionError(13, "Permission denied", str(path))
        return system_open(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refusing)
    for name in ("state.npz", "manifest.json", ".npz"):
        target = name
        with pytest.raises(UserError, match=r"cannot be read: Permission denied; nothing was changed: make it reada"):
            newest(tmp_path)
    assert files(tmp_path) == before
