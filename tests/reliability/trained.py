"""Runs on a toy environment, trained in this process."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from toy_runs import toy_settings

from m3.checks.comparison import run_differences
from m3.config.schema import RunSettings
from m3.runs.progress import RunProgress
from m3.runs.train import CheckpointInterval
from m3.runs.train import train as train_run
from m3.training.schedule import parts_of_epoch

SETTINGS = toy_settings("mixed", epochs=5)
EVERY_EPOCH = CheckpointInterval(60, 1)
RARELY = CheckpointInterval(60)


def train(folder: Path, interval: CheckpointInterval = EVERY_EPOCH, **options: Any) -> bool:
    """Train the run of ``SETTINGS`` on the CPU."""
    settings = options.pop("settings", SETTINGS)
    return train_run(settings, folder, device="cpu", interval=interval, pretrained=folder, **options)


def assert_same(undisturbed: Path, folder: Path) -> None:
    """Every compared array of two finished runs is the same."""
    assert run_differences(undisturbed, folder, SETTINGS) == []


@contextmanager
def signal_at_end_of(epoch: int, number: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    """Within the block, this process gets a signal whenever it ends that epoch."""
    end_epoch = RunProgress.end_epoch

    def with_signal(progress: RunProgress, ended: int, *args: Any) -> dict[str, float]:
        if ended == epoch:
            signal.raise_signal(number)
        return end_epoch(progress, ended, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunProgress, "end_epoch", with_signal)
        yield


@contextmanager
def in_epoch(epoch: int, action: Callable[[], object]) -> Iterator[None]:
    """Within the block, something happens at the beginning of that epoch, whenever it is trained."""

    def with_action(settings: RunSettings, begun: int) -> dict[str, int]:
        if begun == epoch:
            action()
        return parts_of_epoch(settings, begun)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("m3.training.trainer.parts_of_epoch", with_action)
        yield
