"""Ends that are not failures: budgets and signals."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import torch
from trained import RARELY, SETTINGS, assert_same, in_epoch, signal_at_end_of, train

from m3.cli import main
from m3.config.identity import canonical
from m3.errors import ExitStatus, OccupiedError, UserError
from m3.files.run_folder import resolved_name
from m3.runs.lease import Lease
from m3.runs.progress import RunProgress
from m3.runs.saving import CheckpointInterval
from m3.runs.stops import Stop
from m3.runs.train import FAILURE
from m3.training.trainer import Trainer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_the_epoch_with_a_checkpoint(
    undisturbed: Path, tmp_path: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = Stop()
    with signal_at_end_of(2, number), stop.handling_signals():
        assert not train(tmp_path, RARELY, stop=stop)
    assert f"stopped after epoch 2: received {number.name}; start again to continue" in capsys.readouterr().out
    assert train(tmp_path, RARELY)
    assert "continues after epoch 2" in capsys.readouterr().out
    assert_same(undisturbed, tmp_path)


def test_without_time_for_the_epoch_it_is_lost_and_nothing_else(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = Stop(grace_seconds=0)
    with in_epoch(4, lambda: signal.raise_signal(signal.SIGTERM)), stop.handling_signals():
        assert not train(tmp_path, stop=stop)
    said = capsys.readouterr().out
    assert "stopped within epoch 4: received SIGTERM; what was done since epoch 3 is lost" in said
    assert train(tmp_path)
    assert_same(undisturbed, tmp_path)


@pytest.mark.parametrize("within", [signal_at_end_of, lambda epoch: in_epoch(epoch, stop_now)])
def test_epochs_that_no_checkpoint_has_yet_are_kept(
    undisturbed: Path, tmp_path: Path, within: Callable[[int], AbstractContextManager[None]]
) -> None:
    """The stop comes when epoch 4 has changed everything, or nothing yet, and no checkpoint was saved so far."""
    stop = Stop(grace_seconds=0)
    with within(4), stop.handling_signals():
        assert not train(tmp_path, RARELY, stop=stop)
    assert newest_epoch(tmp_path) == 3
    assert train(tmp_path, RARELY)
    assert_same(undisturbed, tmp_path)


def stop_now() -> None:
    signal.raise_signal(signal.SIGTERM)
    time.sleep(0.05)


def test_a_stop_while_others_look_at_a_whole_epoch_keeps_it(undisturbed: Path, tmp_path: Path) -> None:
    stop = Stop(grace_seconds=0)

    def look(trainer: Trainer) -> None:
        if trainer.epoch == 3:
            stop_now()

    with stop.handling_signals():
        assert not train(tmp_path, RARELY, stop=stop, following=nullcontext(look))
    assert newest_epoch(tmp_path) == 3
    assert train(tmp_path, RARELY)
    assert_same(undisturbed, tmp_path)


def test_a_checkpoint_is_written_to_its_end(undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal and the end of the grace come while the checkpoint of epoch 3 is written."""
    stop = Stop(grace_seconds=0)
    state_dict = Trainer.state_dict

    def interrupted(trainer: Trainer) -> object:
        if trainer.epoch == 3:
            signal.raise_signal(signal.SIGTERM)
            time.sleep(0.05)
        return state_dict(trainer)

    monkeypatch.setattr(Trainer, "state_dict", interrupted)
    with stop.handling_signals():
        assert not train(tmp_path, stop=stop)
    monkeypatch.undo()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore the signal
    with pytest.raises(KeyboardInterrupt), in_epoch(4, lambda: signal.raise_signal(signal.SIGINT)):
        train(tmp_path)  # continues with epoch 4; its own handler was taken away again
    signal.signal(signal.SIGINT, handler)
    assert train(tmp_path)
    assert_same(undisturbed, tmp_path)


class Clock:
    """Passes only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_budget_is_used_and_kept(undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an epoch takes 10 seconds, 25 seconds are two epochs."""
    clock = Clock()
    monkeypatch.setattr("m3.runs.stops.monotonic", clock)
    monkeypatch.setattr(RunProgress, "expected_seconds", lambda *_: 10.0)
    run_epoch = Trainer.run_epoch
    epochs: list[int] = []

    def ten_seconds(trainer: Trainer, progress: RunProgress) -> None:
        run_epoch(trainer, progress)
        epochs.append(trainer.epoch)
        clock.now += 10

    monkeypatch.setattr(Trainer, "run_epoch", ten_seconds)
    finished = []
    while not any(finished):
        finished.append(train(tmp_path, RARELY, stop=Stop(25)))
        epochs.append(0)
    assert finished == [False, False, True]
    assert epochs == [1, 2, 0, 3, 4, 0, 5, 0]
    assert_same(undisturbed, tmp_path)


def test_what_follows_an_epoch_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the 13 seconds that are left, an epoch of 10 could end, but not its pictures, which take 5 more."""
    clock = Clock()
    for module in ("train", "stops"):
        monkeypatch.setattr(f"m3.runs.{module}.monotonic", clock)
    monkeypatch.setattr(RunProgress, "expected_seconds", lambda *_: 10.0)
    epochs: list[int] = []

    def make_pictures(trainer: Trainer) -> None:
        epochs.append(trainer.epoch)
        clock.now += 5

    assert not train(tmp_path, RARELY, stop=Stop(18), following=nullcontext(make_pictures))
    assert epochs == [1]


def test_an_epoch_longer_than_the_budget_is_begun_with_all_of_it_and_then_refused(tmp_path: Path) -> None:
    """Epoch 4 never ends in time. Nothing is trained in vain three times, and nobody tries for ever."""
    kept = []
    for attempt in range(3):
        stop = Stop(3600)
        with in_epoch(4, lambda: signal.raise_signal(signal.SIGALRM)), stop.handling_signals():
            if attempt < 2:
                assert not train(tmp_path, RARELY, stop=stop)
                kept.append(newest_epoch(tmp_path))
            else:
                with pytest.raises(UserError, match="the time budget does not suffice for epoch 4"):
                    train(tmp_path, RARELY, stop=stop)
    assert kept == [2, 3]


def newest_epoch(folder: Path) -> int:
    newest = max(folder.glob("checkpoints/*/checkpoint-*/manifest.json"))
    return json.loads(newest.read_text())["content"]["epoch"]


def test_waiting_for_another_process(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("m3.runs.train._WAIT_SECONDS", 0.02)
    lease = Lease(tmp_path)
    with pytest.raises(OccupiedError):
        train(tmp_path)
    stop = Stop()
    threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGTERM)).start()
    with stop.handling_signals():
        assert not train(tmp_path, wait=True, stop=stop)
    assert "stopped before it began" in capsys.readouterr().out
    threading.Timer(0.3, lease.release).start()
    assert train(tmp_path, wait=True)
    assert "waits: " in capsys.readouterr().out
    assert_same(undisturbed, tmp_path)


def test_checkpoints_take_a_small_share_of_the_time() -> None:
    interval = CheckpointInterval(minutes=1)
    assert interval.due(7, seconds=61, cost=1.1)
    assert not interval.due(7, seconds=61, cost=3)  # a slow disk
    assert not interval.due(7, seconds=59, cost=0)
    assert CheckpointInterval(60, epochs=7).due(14, seconds=0, cost=100)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[list[str]]:
    """The command that trains the run in ``tmp_path``."""
    config = tmp_path / resolved_name(SETTINGS)
    config.write_text(canonical(SETTINGS))
    options = ["--device", "cpu", "--checkpoint-epochs", "1", "--no-media"]
    yield ["train", "--config", str(config), "--run", str(tmp_path), *options]
    torch.use_deterministic_algorithms(False)


def test_exit_statuses(
    command: list[str], tmp_path: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with signal_at_end_of(2):
        assert main(command) == ExitStatus.STOPPED == 3
    with Lease(tmp_path):
        assert main(command) == ExitStatus.OCCUPIED == 4
    with in_epoch(3, lambda: fail("the disk burns")):
        assert main(command) == ExitStatus.ERROR == 2
        assert main(command) == ExitStatus.ERROR
        assert main(command) == ExitStatus.FAILED == 5
    assert main(command) == ExitStatus.FAILED
    lines = capsys.readouterr().err.splitlines()
    failure = "the system reports: the disk burns"
    assert [line for line in lines if not line.startswith("error: ")] == []
    assert lines[1] == f"error: {failure}; start again to continue after epoch 2"
    assert lines[3] == lines[4]
    assert lines[4] == (
        f"error: the run has failed 3 times, last in epoch 3: {failure}; once the cause is gone, "
        f"delete {tmp_path / FAILURE} to go on"
    )
    (tmp_path / FAILURE).unlink()
    assert main(command) == ExitStatus.FINISHED == 0
    assert_same(undisturbed, tmp_path)


def fail(cause: str) -> None:
    raise OSError(cause)


@pytest.mark.parametrize("option", ["--checkpoint-minutes", "--budget-minutes", "--grace-seconds"])
def test_times_are_not_negative(command: list[str], option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, option, "-1"]) == 2
    assert main([*command, option, "nan"]) == 2
    assert f"error: {option} must not be negative, got -1.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("budget", "expected", "may"), [(3, 0.1, True), (20, 0.1, False), (20, 9, True), (1e9, 9, False), (1e9, 11, True)]
)
def test_what_is_done_is_held_where_an_epoch_may_be_much_slower_than_expected(
    budget: float, expected: float, may: bool
) -> None:
    """Also short ones just before the end; a signal may come at any time, and leaves 25 seconds."""
    assert Stop(budget).may_cut_short(expected) is may
