"""Runs in bad surroundings: one line with the cause, and the last good checkpoint stays."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_runs import toy_settings
from trained import RARELY, SETTINGS, assert_same, in_epoch, train

from m3.cli import main
from m3.config.identity import canonical
from m3.config.simulators import AtariEnvironment
from m3.environments import make_environment
from m3.environments.toy import Toy
from m3.errors import ExitStatus, RunFailedError, UserError
from m3.files.names import FAILURE, LEASE_LOCK, METRICS, PROGRESS, WEIGHTS
from m3.files.run_folder import resolved_name
from m3.runs import lease
from m3.runs.dataset import export_dataset
from m3.runs.failure import FailureRecord
from m3.runs.lease import Lease
from m3.training.component import Component


def raising(error: Exception) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


@contextmanager
def patched(name: str, value: object) -> Iterator[None]:
    """Something else by that name within the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name, value)
        yield


def checkpoints(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted((folder / "checkpoints").rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "out of memory (the system gave none): give the run more, or lower its batch sizes"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nGPU 0 has ..."),
            "out of memory (CUDA out of memory. Tried to allocate 2 GiB.): give the run more, or lower its batch sizes",
        ),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            "out of memory ([enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.)"
            ": give the run more, or lower its batch sizes",
        ),
        (
            OSError(errno.EIO, "Input/output error", "game.bin"),
            "the system reports: [Errno 5] Input/output error: 'game.bin'",
        ),
        (RuntimeError("CUDA error: device lost\nSearch for ..."), "RuntimeError: CUDA error: device lost"),
        (UserError("the weights are damaged; delete them"), "the weights are damaged; delete them"),
    ],
)
def test_a_failure_is_one_line_and_costs_no_checkpoint(
    undisturbed: Path, tmp_path: Path, error: Exception, expected: str
) -> None:
    with in_epoch(4, raising(error)), pytest.raises(UserError) as caught:
        train(tmp_path)
    assert str(caught.value) == f"{expected}; start again to continue after epoch 3"
    assert train(tmp_path)
    assert_same(undisturbed, tmp_path)
    assert not (tmp_path / FAILURE).exists()


def test_an_unexpected_error_is_logged_in_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with in_epoch(2, raising(KeyError("rewards"))), pytest.raises(UserError, match="KeyError: 'rewards'; start again"):
        train(tmp_path)
    assert "Traceback" in caplog.text
    assert "in action" in caplog.text


def test_the_same_failure_three_times_without_progress_ends_the_attempts(tmp_path: Path) -> None:
    def fail(epoch: int, error: Exception) -> UserError:
        with in_epoch(epoch, raising(error)), pytest.raises(UserError) as caught:
            train(tmp_path)
        return caught.value

    assert fail(2, OSError("a")).exit_status == ExitStatus.ERROR
    assert fail(2, OSError("a")).exit_status == ExitStatus.ERROR
    assert fail(2, MemoryError()).exit_status == ExitStatus.ERROR  # another one
    assert fail(2, MemoryError()).exit_status == ExitStatus.ERROR
    assert fail(3, MemoryError()).exit_status == ExitStatus.ERROR  # it came further
    assert fail(3, MemoryError()).exit_status == ExitStatus.ERROR
    assert fail(3, MemoryError()).exit_status == ExitStatus.FAILED
    with pytest.raises(RunFailedError, match="has failed 3 times, last in epoch 3: out of memory"):
        train(tmp_path)
    content = json.loads((tmp_path / FAILURE).read_text())
    assert (content["epoch"], content["kind"], content["count"]) == (3, "MemoryError", 3)


def test_a_failure_of_other_settings_or_a_damaged_record_does_not_stop_a_run(tmp_path: Path) -> None:
    path = tmp_path / FAILURE
    with Lease(tmp_path) as mine:
        for _ in range(3):
            FailureRecord(path, "this", mine).record(7, OSError("a"), 6)
        with pytest.raises(RunFailedError):
            FailureRecord(path, "this", mine).raise_if_final()
        FailureRecord(path, "another", mine).raise_if_final()
        for content in ("", "{", "[]", '{"identity": "this"}', "[" * 100_000):
            path.write_text(content)
            FailureRecord(path, "this", mine).raise_if_final()


@pytest.mark.parametrize("name", ["world_model", "controller"])
def test_a_loss_that_is_not_finite_is_final_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def means(component: Component, names: Sequence[str], totals: torch.Tensor, epoch: int) -> dict[str, float]:
        if component.name == name and epoch == 4:
            totals = totals.clone()
            totals[list(names).index("loss")] = torch.nan
        return original(component, names, totals, epoch)

    original = Component._means
    monkeypatch.setattr(Component, "_means", means)
    with pytest.raises(RunFailedError, match=f"failed in epoch 4: the {name} diverged in epoch 4: {name}/loss is nan"):
        train(tmp_path)
    monkeypatch.undo()
    before = checkpoints(tmp_path)
    with pytest.raises(RunFailedError, match="has failed in epoch 4"):
        train(tmp_path)
    assert checkpoints(tmp_path) == before
    assert not (tmp_path / WEIGHTS).exists()


def test_an_environment_that_returns_nonsense_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Toy.step
    monkeypatch.setattr(Toy, "step", lambda toy, action: step(toy, action)._replace(reward=np.nan))
    with pytest.raises(RunFailedError, match=r"world_model diverged in epoch \d: "):
        train(tmp_path)


@pytest.mark.parametrize("write", range(5))
def test_a_full_disk_at_any_write_of_a_checkpoint(undisturbed: Path, tmp_path: Path, write: int) -> None:
    """Each checkpoint is flushed to the disk at least five times; one or two are whole by then."""
    fsync, left = os.fsync, [10 + write]

    def full(descriptor: int) -> None:
        left[0] -= "checkpoints" in os.readlink(f"/proc/self/fd/{descriptor}")
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with patched("os.fsync", full), pytest.raises(UserError) as caught:
        train(tmp_path)
    assert "No space left on device; free space there and run again" in str(caught.value)
    assert train(tmp_path)
    assert_same(undisturbed, tmp_path)


def test_a_full_disk_when_the_results_are_written(undisturbed: Path, tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("save_weights", "write_metrics"):
        with patched(f"m3.runs.train.{name}", full), pytest.raises(UserError, match="continue after epoch 5"):
            train(tmp_path)
    assert train(tmp_path)
    assert_same(undisturbed, tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*lease.lock: Not a directory; make the folder writable"):
        train(tmp_path / "file" / "run")

    def read_only(path: Path, *_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(lease, "open", read_only, raising=False)
    with pytest.raises(UserError, match=r"cannot write .*lease.lock: Read-only file system; make the folder writable"):
        train(tmp_path / "run")


def test_a_missing_gpu(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / resolved_name(SETTINGS)
    config.write_text(canonical(SETTINGS))
    assert main(["train", "--config", str(config), "--run", str(tmp_path), "--device", "cuda:99"]) == 2
    assert capsys.readouterr().err.startswith("error: device 'cuda:99' is not available: there is the CPU and ")
    assert {file.name for file in tmp_path.iterdir()} == {config.name, LEASE_LOCK, PROGRESS}


def test_a_missing_environment_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ale_py", None)
    monkeypatch.delitem(sys.modules, "m3.environments.atari", raising=False)
    with pytest.raises(UserError, match=r"atari environments need packages .*: pip install ale-py pillow"):
        make_environment(AtariEnvironment(family="atari"), "Pong", "train")


@pytest.mark.parametrize("kind", [FileNotFoundError, OSError])
def test_a_missing_or_damaged_rom(monkeypatch: pytest.MonkeyPatch, kind: type[OSError]) -> None:
    def read(name: str) -> None:
        raise kind(f"The hash of {name}.bin does not match\n...")

    monkeypatch.setattr("ale_py.roms.get_rom_path", read)
    with pytest.raises(UserError, match="the ROM of Pong is missing or damaged in the package ale-py: pip install"):
        make_environment(AtariEnvironment(family="atari"), "Pong", "train")


def test_images_without_a_tokenizer_and_a_tokenizer_without_images(tmp_path: Path) -> None:
    with_images = toy_settings("image")
    with pytest.raises(UserError, match="need a `tokenizer` section"):
        train(tmp_path, settings=with_images.model_copy(update={"tokenizer": None}))
    with pytest.raises(UserError, match="shows no images: leave the `tokenizer` section out"):
        train(tmp_path, settings=SETTINGS.model_copy(update={"tokenizer": with_images.tokenizer}))


def test_times_of_files_mean_nothing(undisturbed: Path, tmp_path: Path) -> None:
    """The clock was set back by years after half of the run, so that everything seems to come from the future."""
    with in_epoch(3, raising(OSError("power loss"))), pytest.raises(UserError):
        train(tmp_path)
    for path in tmp_path.rglob("*"):
        os.utime(path, (2**32, 2**32))
    assert train(tmp_path)
    assert_same(undisturbed, tmp_path)


def test_a_checkpoint_of_another_format_version_is_named_and_kept(tmp_path: Path) -> None:
    with in_epoch(3, raising(OSError("power loss"))), pytest.raises(UserError):
        train(tmp_path)
    before = checkpoints(tmp_path)
    with patched("m3.runs.manifest.VERSION", 2), pytest.raises(UserError, match=r"version 1, .* reads .* version 2"):
        train(tmp_path)
    assert checkpoints(tmp_path) == before


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999])
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_newest_checkpoint_costs_time_only(
    undisturbed: Path, tmp_path: Path, share: float, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with in_epoch(4, raising(OSError("power loss"))), pytest.raises(UserError):
        train(tmp_path)
    newest = max(tmp_path.glob("checkpoints/*/checkpoint-*")) / "state.npz"
    damage_file(newest, share, damage)
    assert train(tmp_path, RARELY)
    assert "DAMAGED CHECKPOINT, not used" in caplog.text
    assert_same(undisturbed, tmp_path)


def damage_file(path: Path, share: float, damage: str) -> None:
    """Cut a file off, or change one bit, at a share of its length."""
    content = bytearray(path.read_bytes())
    position = int(share * len(content))
    if damage == "truncated":
        content = content[:position]
    else:
        content[position] ^= 1 << position % 8
    path.write_bytes(content)


@pytest.mark.parametrize("name", [WEIGHTS, METRICS])
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_no_damaged_result_is_read(
    undisturbed: Path, tmp_path: Path, name: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (undisturbed / name).read_bytes()
    for share in np.linspace(0, 1, 60, endpoint=False):
        (tmp_path / name).write_bytes(whole)
        damage_file(tmp_path / name, share, damage)
        assert main(["inspect", str(tmp_path / name)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"error: {tmp_path / name}")


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.\nGPU 0 has ...")])
def test_other_commands_tell_in_one_line_when_memory_is_used_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    monkeypatch.setattr("m3.files.hdf5.describe", lambda _: raising(error)())
    assert main(["inspect", "scores.h5"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: out of memory: ")


def test_training_goes_on_when_nobody_reads_its_output(undisturbed: Path, tmp_path: Path) -> None:
    config = tmp_path / resolved_name(SETTINGS)
    config.write_text(canonical(SETTINGS))
    command = [sys.executable, "-u", "-m", "m3", "train", "--config", str(config), "--run", str(tmp_path)]
    process = subprocess.Popen([*command, "--device", "cpu", "--no-media"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert_same(undisturbed, tmp_path)


def test_a_run_can_be_read_while_it_trains(tmp_path: Path) -> None:
    (tmp_path / resolved_name(SETTINGS)).write_text(canonical(SETTINGS))
    episodes = []
    with in_epoch(4, lambda: episodes.append(export_dataset(tmp_path, tmp_path / "dataset.h5"))):
        assert train(tmp_path)
    assert episodes == [6]  # three epochs of 20 steps, in episodes of 10
