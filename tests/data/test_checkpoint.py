"""Checkpoints: exact, whole or invisible, and never a wrong one."""

import logging
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from checkpoint_writer import Unrivalled, add_epoch, state_at
from experience import new_replay
from faults import disk_full_at_sync, files, flip_bit, largest_file

from m3.data.replay import Replay
from m3.errors import UserError
from m3.runs import manifest
from m3.runs.checkpoint import CheckpointFolder

CAPACITY = 60


def write(path: Path, epochs: int) -> None:
    """Checkpoints after epochs 1, 2, ..."""
    replay, folder = new_replay(capacity_rows=CAPACITY), CheckpointFolder(path, "run", Unrivalled())
    folder.load_latest(replay)
    for epoch in range(1, epochs + 1):
        add_epoch(replay, epoch)
        folder.save(epoch, state_at(epoch), replay)


def load(path: Path, identity: str = "run") -> tuple[dict | None, Replay]:
    replay = new_replay(capacity_rows=CAPACITY)
    return CheckpointFolder(path, identity).load_latest(replay), replay


def assert_is_epoch(state: dict | None, replay: Replay, epoch: int) -> None:
    """Compare with what training without any checkpoint has then."""
    assert state is not None
    np.testing.assert_equal(state, state_at(epoch))
    expected = new_replay(capacity_rows=CAPACITY)
    for past in range(1, epoch + 1):
        add_epoch(expected, past)
    np.testing.assert_equal(replay.state_dict(), expected.state_dict())
    np.testing.assert_equal(replay.rows_since(0).columns, expected.rows_since(0).columns)


def checkpoint_files(path: Path, number: int) -> list[Path]:
    """The files of which a checkpoint consists and the one before does not."""
    return [*sorted((path / f"checkpoint-000001-{number:06d}").iterdir()), path / f"replay-000001-{number:06d}.npz"]


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert load(tmp_path / "checkpoints")[0] is None


@pytest.mark.parametrize("epochs", [1, 2, 7, 40])
def test_the_newest_is_restored(tmp_path, epochs):
    write(tmp_path, epochs)
    assert_is_epoch(*load(tmp_path), epochs)


def test_rows_are_written_once_and_shared(tmp_path):
    write(tmp_path, 5)
    assert sorted(files(tmp_path)) == [
        "checkpoint-000001-000004/manifest.json",
        "checkpoint-000001-000004/state.npz",
        "checkpoint-000001-000005/manifest.json",
        "checkpoint-000001-000005/state.npz",
        *[f"replay-000001-{number:06d}.npz" for number in range(1, 6)],
    ]
    replay = load(tmp_path)[1]
    assert sum(len(np.load(part)["arr_1"]) for part in tmp_path.glob("replay-*")) == replay.num_rows


def test_evicted_rows_are_deleted_when_no_checkpoint_needs_them(tmp_path):
    write(tmp_path, 40)
    parts = sorted(path.name for path in tmp_path.glob("replay-*"))
    assert parts[-1] == "replay-000001-000040.npz"
    assert 10 <= len(parts) <= 16  # 60 rows of 5 a part on average, and what the older checkpoint needs
    shutil.rmtree(tmp_path / "checkpoint-000001-000040")
    assert_is_epoch(*load(tmp_path), 39)


def test_an_epoch_without_new_rows_adds_no_part(tmp_path):
    write(tmp_path, 2)
    replay, folder = new_replay(capacity_rows=CAPACITY), CheckpointFolder(tmp_path, "run", Unrivalled())
    folder.load_latest(replay)
    folder.save(3, state_at(3), replay)
    assert len(list(tmp_path.glob("replay-*"))) == 2
    np.testing.assert_equal(load(tmp_path)[0], state_at(3))


@pytest.mark.parametrize("file", range(3))
@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_a_damaged_newest_falls_back_loudly(tmp_path, caplog, file, damage):
    write(tmp_path / "good", 3)
    size = checkpoint_files(tmp_path / "good", 3)[file].stat().st_size
    for position in {0, 1, size // 3, size // 2, size - 1, *random.Random(file).sample(range(size), 8)}:
        folder = tmp_path / "damaged"
        shutil.copytree(tmp_path / "good", folder)
        victim = checkpoint_files(folder, 3)[file]
        if damage == "truncated":
            victim.write_bytes(victim.read_bytes()[:position])
        elif damage == "flipped":
            flip_bit(victim, position, position % 8)
        else:
            victim.unlink()
        caplog.clear()
        assert_is_epoch(*load(folder), 2)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert str(victim) in record.getMessage()
        shutil.rmtree(folder)


def test_training_goes_on_after_a_fallback(tmp_path):
    write(tmp_path, 3)
    flip_bit(tmp_path / "checkpoint-000001-000003" / "state.npz", 1000)
    replay, folder = new_replay(capacity_rows=CAPACITY), CheckpointFolder(tmp_path, "run", Unrivalled())
    assert_is_epoch(folder.load_latest(replay), replay, 2)
    for epoch in (3, 4):
        add_epoch(replay, epoch)
        folder.save(epoch, state_at(epoch), replay)
        assert_is_epoch(*load(tmp_path), epoch)
        assert not (tmp_path / "checkpoint-000001-000003").exists()


def test_if_none_is_whole_the_run_does_not_start_anew_by_itself(tmp_path):
    write(tmp_path, 3)
    flip_bit(tmp_path / "replay-000001-000001.npz", 300)
    before = files(tmp_path)
    with pytest.raises(UserError, match=r"no checkpoint in .* is whole \(.*replay-.*-000001\.npz.*delete the folder"):
        load(tmp_path)
    assert files(tmp_path) == before


def test_checkpoints_of_another_run_are_refused(tmp_path):
    write(tmp_path, 2)
    with pytest.raises(UserError, match="belongs to another run"):
        load(tmp_path, identity="other")


def test_checkpoints_of_another_format_version_are_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "VERSION", 2)
        write(tmp_path, 1)
    with pytest.raises(UserError, match=r"version 2, written by m3 .*; this M3 reads m3\.checkpoint version 1"):
        load(tmp_path)


def test_saving_blindly_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match="load_latest"):
        CheckpointFolder(tmp_path, "run", Unrivalled()).save(1, {}, new_replay())


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    """At whatever write it is found: of the rows, the state, the manifest, or the names in a folder."""
    write(tmp_path, 2)
    replay, folder = new_replay(capacity_rows=CAPACITY), CheckpointFolder(tmp_path, "run", Unrivalled())
    folder.load_latest(replay)
    add_epoch(replay, 3)
    before = files(tmp_path)
    faults = [largest_file(size) for size in (0, 100, 1500, 2500, 4000, 100_000, 350_000)]
    faults += [disk_full_at_sync(count) for count in range(6)]
    for fault in faults:
        with fault, pytest.raises(UserError, match=rf"cannot write {tmp_path}.*(No space left|File too large)"):
            folder.save(3, state_at(3), replay)
        assert files(tmp_path) == before
        assert_is_epoch(*load(tmp_path), 2)
    folder.save(3, state_at(3), replay)
    assert_is_epoch(*load(tmp_path), 3)


def test_a_process_killed_at_any_moment_leaves_a_right_checkpoint(tmp_path):
    pause = random.Random(0)
    reached = 0
    for _ in range(10):
        command = [sys.executable, "checkpoint_writer.py", str(tmp_path / "run")]
        writer = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(pause.uniform(0, 0.1))
        writer.kill()
        said = [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        state, replay = load(tmp_path / "run")
        assert state is not None
        assert state["epoch"] >= max([*said, reached + 1])
        assert_is_epoch(state, replay, state["epoch"])
        reached = state["epoch"]


def test_what_killed_processes_left_is_deleted_and_nothing_else(tmp_path):
    (tmp_path / ".checkpoint-000001-000009.partial").mkdir()
    (tmp_path / ".checkpoint-000001-000009.partial" / "state.npz").write_bytes(b"half")
    unused = ("replay-000001.npz", "replay-000001-000005.npz", ".replay-000001-000009.npz.g1.partial")
    for name in (*unused, ".replay-000009.npz.partial", "notes.txt"):
        (tmp_path / name).write_bytes(b"half")
    replay, folder = new_replay(capacity_rows=CAPACITY), CheckpointFolder(tmp_path, "run", Unrivalled())
    folder.load_latest(replay)
    add_epoch(replay, 1)
    folder.save(1, state_at(1), replay)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"checkpoint-000001-000001", "replay-000001-000001.npz", "notes.txt"}
    assert_is_epoch(*load(tmp_path), 1)
