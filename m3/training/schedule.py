"""What an epoch consists of, and what training reports to its followers."""

from collections.abc import Generator, Mapping
from typing import Protocol, TypeVar

from m3.config.schema import Optimizer, RunSettings

T = TypeVar("T")
Work = Generator[None, None, T]
"""Work that yields after each of its steps and returns a result."""


def parts_of_epoch(settings: RunSettings, epoch: int) -> dict[str, int]:
    """Return the steps that an epoch takes of each part, in order; parts that do nothing in it are left out."""
    last = settings.collection.last_epoch
    schedules = {
        "tokenizer": settings.tokenizer.schedule if settings.tokenizer else None,
        "world_model": settings.world_model.schedule,
        "controller": settings.controller.schedule,
    }
    collecting = settings.dataset is None and (last is None or epoch <= last)
    parts = {"collect": settings.collection.steps_per_epoch} if collecting else {}
    for name, schedule in schedules.items():
        if schedule is not None and epoch > schedule.start_after_epoch:
            parts[name] = schedule.steps_per_epoch
    if epoch % settings.evaluation.every_epochs == 0 or epoch == settings.epochs:
        parts["evaluate"] = settings.evaluation.episodes
    return parts


def is_curious(settings: RunSettings, epoch: int) -> bool:
    """Tell whether curiosity counts in an epoch; it may stop when collecting stops (Simulus-A)."""
    last = settings.collection.last_epoch
    return last is None or epoch <= last or not settings.controller.curiosity_while_collecting_only


def learning_rate(optimizer: Optimizer, epoch: int, epochs: int) -> float:
    """Return the learning rate in an epoch, counted from 1, of a run of ``epochs``."""
    left = 1 - (epoch - 1) / epochs if optimizer.schedule == "linear" else 1
    return optimizer.learning_rate * left


class Progress(Protocol):
    """Does the work of an epoch for the trainer, and times it."""

    def follow(self, part: str, steps: int, work: Work[T]) -> T:
        """Do all ``steps`` steps of a part's work; return what the work returns."""

    def end_epoch(self, epoch: int, agent_steps: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Take note of an epoch's end; return the seconds it took, in all and per part, as metrics."""
