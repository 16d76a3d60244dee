"""Folders of runs as nobody means them to be: pipes where files should be, others at work, things of other users."""

import contextlib
import fcntl
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from trained import SETTINGS, assert_same, train

from m3.cli import main
from m3.config.experiment import Tracking
from m3.errors import ExitStatus, OccupiedError
from m3.files import atomic
from m3.files.names import FAILURE, LEASE, LEASE_LOCK, METRICS, PROGRESS, SCORES, WEIGHTS
from m3.files.run_folder import write_settings
from m3.runs import lease
from m3.runs.lease import Lease
from m3.runs.living import machine
from m3.runs.tracking import TensorBoardTracker
from m3.watch.following import following

FORK = multiprocessing.get_context("fork")


@contextmanager
def not_longer_than(seconds: int) -> Iterator[None]:
    """Fail where something waits for a file for ever; generous, as no machine is that slow."""

    def late(*_: object) -> None:
        raise AssertionError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def finished_run(undisturbed: Path, folder: Path) -> Path:
    shutil.copytree(undisturbed, folder)
    write_settings(folder, SETTINGS)
    return folder


def digests(folder: Path) -> dict[str, str]:
    """Of every whole file below a folder."""
    whole = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".partial" not in str(path)]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in whole}


def paths_of(run: Path) -> list[str]:
    files = sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
    return [*files, LEASE, FAILURE, SCORES]


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "dangling link", "loop of links"])
def test_nothing_waits_for_what_is_no_file(undisturbed: Path, tmp_path: Path, kind: str) -> None:
    names = paths_of(finished_run(undisturbed, tmp_path / "run"))
    assert len(names) >= 9
    for name in names:
        run = finished_run(undisturbed, tmp_path / kind.replace(" ", "-") / name.replace("/", "_"))
        place = run / name
        place.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(place)
        elif kind == "device":
            place.symlink_to("/dev/zero")
        elif kind == "folder":
            place.mkdir()
        else:
            place.symlink_to("nowhere" if kind == "dangling link" else place.name)
        config = next(iter([*run.glob("resolved-*.yaml"), place]))
        commands = [
            ["train", "--config", str(config), "--run", str(run), "--device", "cpu", "--no-media", "--track", "none"],
            ["evaluate", "--run", str(run), "--episodes", "1"],
            ["inspect", str(place)],
        ]
        for command in commands:
            with not_longer_than(120):
                assert main(command) in (0, 2, 4), (name, command)


def test_an_output_onto_a_device_is_refused_and_the_device_stays(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished_run(undisturbed, tmp_path / "run")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for output in ("pipe", "link"):
        for command in (["evaluate", "--episodes", "1"], ["dataset"]):
            assert main([*command, "--run", str(run), "--output", str(tmp_path / output)]) == 2
            [line] = capsys.readouterr().err.splitlines()
            assert "it is a folder, device or pipe, not a file" in line
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()
    assert Path("/dev/null").is_char_device()


def test_writers_of_the_same_file_do_not_share_what_they_have_written(tmp_path: Path) -> None:
    path = tmp_path / SCORES
    with atomic.atomic_file(path) as one:
        one.write(b"one")
        with atomic.atomic_file(path) as other:
            other.write(b"the other")
        assert path.read_bytes() == b"the other"
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == [SCORES]


def abandon(path: Path) -> None:
    with atomic.atomic_file(path) as file:
        file.write(b"half")
        file.flush()
        os._exit(0)


def test_what_killed_writers_left_does_not_pile_up(tmp_path: Path) -> None:
    path = tmp_path / SCORES
    for _ in range(3):
        process = FORK.Process(target=abandon, args=(path,))
        process.start()
        process.join()
        assert len(list(tmp_path.iterdir())) == 1
    with atomic.atomic_file(path) as file:
        file.write(b"whole")
    assert [entry.name for entry in tmp_path.iterdir()] == [SCORES]


def test_a_hidden_process_lives_as_long_as_its_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with /proc mounted with hidepid=2, of a process of somebody else."""
    napping = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        holder = lease.Holder(lease.platform.node(), machine(), napping.pid, "1", "token", 1)
        (tmp_path / LEASE).write_text(json.dumps(lease.asdict(holder)))
        read_text = Path.read_text

        def hiding(path: Path, *arguments: Any, **options: Any) -> str:
            if str(path).startswith(f"/proc/{napping.pid}/"):
                raise FileNotFoundError(2, "No such file or directory", str(path))
            return read_text(path, *arguments, **options)

        monkeypatch.setattr(Path, "read_text", hiding)
        with pytest.raises(OccupiedError):
            Lease(tmp_path)
        then = (tmp_path / LEASE).stat().st_mtime - 2 * lease.DEAD_AFTER_SECONDS
        os.utime(tmp_path / LEASE, (then, then))
        Lease(tmp_path).release()
    finally:
        napping.kill()
        napping.wait()


def test_a_lock_that_somebody_keeps_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LOCK_SECONDS", 0.1)
    with open(tmp_path / LEASE_LOCK, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OccupiedError, match="has been locked for 0 s by another process, which may have"):
            Lease(tmp_path)
    Lease(tmp_path).release()


@pytest.mark.parametrize("content", ['{"identity": "other"}', "damaged", None])
def test_a_finished_run_has_no_record_of_a_failure(tmp_path: Path, content: str | None) -> None:
    if content is None:
        os.mkfifo(tmp_path / FAILURE)
    else:
        (tmp_path / FAILURE).write_text(content)
    assert train(tmp_path)
    assert not (tmp_path / FAILURE).exists()


@pytest.mark.slow
def test_who_is_no_longer_wanted_leaves_with_status_4(undisturbed: Path, tmp_path: Path) -> None:
    """A real process is stopped at a save; its lease grows old; another trains the run to its end; it wakes up."""
    run = tmp_path / "run"
    config = write_settings(run, SETTINGS)
    command = [sys.executable, str(Path(__file__).with_name("stops_itself.py"))]
    options = ["--config", str(config), "--run", str(run), "--device", "cpu", "--no-media", "--track", "none"]
    for operation in (3, 14, 25):
        shutil.rmtree(run / "checkpoints", ignore_errors=True)
        for name in (WEIGHTS, METRICS, PROGRESS):
            (run / name).unlink(missing_ok=True)
        paused = subprocess.Popen([*command, str(operation), "train", *options, "--checkpoint-epochs", "1"])
        try:
            assert os.WIFSTOPPED(os.waitpid(paused.pid, os.WUNTRACED)[1])
            holder = json.loads((run / LEASE).read_text())
            (run / LEASE).write_text(json.dumps(holder | {"machine": "another"}))
            os.utime(run / LEASE, (1, 1))
            assert train(run)
            before = digests(run)
            paused.send_signal(signal.SIGCONT)
            _, status = os.waitpid(paused.pid, 0)
            assert os.waitstatus_to_exitcode(status) == ExitStatus.OCCUPIED
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(paused.pid, signal.SIGKILL)
            paused.returncode = 0
        assert digests(run) == before
        assert_same(undisturbed, run)


def test_what_only_looks_does_not_end_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("scalars", "close"):
        monkeypatch.setattr(TensorBoardTracker, name, fail)
    monkeypatch.setattr("m3.watch.media.write_if_due", fail)
    assert train(tmp_path, following=following(tmp_path, SETTINGS, Tracking(tool="tensorboard"), with_media=True))
    said = capsys.readouterr().out
    assert said.count("goes on without its tracker: OSError: [Errno 28] No space left on device") == 1
    assert said.count("goes on without pictures and videos: OSError") == 1
