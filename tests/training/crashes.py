"""Trainings whose process is gone at the beginning of an epoch."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from m3.runs.progress import RunProgress
from m3.training.trainer import Trainer


class Crash(BaseException):
    """The process is gone, as far as training can tell."""


@contextmanager
def crashing(epoch: int, crash: type[BaseException] = Crash) -> Iterator[None]:
    """Within the block, training must crash at the beginning of an epoch."""
    run_epoch = Trainer.run_epoch

    def crash_or_run(trainer: Trainer, progress: RunProgress) -> None:
        if trainer.epoch + 1 == epoch:
            raise crash
        run_epoch(trainer, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", crash_or_run)
        with pytest.raises(crash):
            yield
