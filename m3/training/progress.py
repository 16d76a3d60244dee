"""What a person sees while a run trains."""

import math
import os
import sys
from collections.abc import Generator, Mapping
from time import monotonic
from typing import TypeVar

from tqdm import tqdm

from m3.config.schema import RunSettings


def parts_of_epoch(settings: RunSettings, epoch: int) -> dict[str, int]:
    """Steps that an epoch takes of each part, in order; parts that do nothing in it are left out."""
    last = settings.collection.last_epoch
    schedules = {
        "tokenizer": settings.tokenizer.schedule if settings.tokenizer else None,
        "world_model": settings.world_model.schedule,
        "controller": settings.controller.schedule,
    }
    parts = {"collect": settings.collection.steps_per_epoch} if last is None or epoch <= last else {}
    for name, schedule in schedules.items():
        if schedule is not None and epoch > schedule.start_after_epoch:
            parts[name] = schedule.steps_per_epoch
    if epoch % settings.evaluation.every_epochs == 0 or epoch == settings.epochs:
        parts["evaluate"] = settings.evaluation.episodes
    return parts


T = TypeVar("T")
Work = Generator[None, None, T]
"""Work that yields after each of its steps and returns a result."""


def finish(work: Work[T], description: str, steps: int) -> T:
    """Do all of the work, with a bar where the output is a terminal; what the work returns."""
    with tqdm(desc=description, total=steps, leave=False, disable=None) as bar:
        while True:
            try:
                next(work)
            except StopIteration as end:
                return end.value
            bar.update()


_SHOWN = {
    "tokenizer/loss": "tokenizer loss",
    "world_model/loss": "world model loss",
    "controller/imagined_return": "imagined return",
    "evaluation/return": "evaluation return",
}
"""Metrics of an epoch's line."""


class Progress:
    """One line per epoch; on a terminal also a bar within the epoch.

    The time left assumes that every part's steps go on taking the time they took last. Parts that have not run yet are
    unknown: the time is then given as a lower bound.
    """

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._name = f"{settings.task} seed {settings.seed}"
        self._seconds_per_step: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    def say(self, text: str) -> None:
        """One line that starts with the run's name."""
        try:
            tqdm.write(f"{self._name} | {text}", file=sys.stdout)
            sys.stdout.flush()
        except BrokenPipeError:  # whoever read it is gone; training goes on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def follow(self, part: str, steps: int, work: Work[T]) -> T:
        """Do a part's ``steps`` steps, timing and showing them; what the work returns."""
        start = monotonic()
        result = finish(work, f"{self._name} | {part}", steps)
        self._seconds[part] = monotonic() - start
        self._seconds_per_step[part] = self._seconds[part] / steps
        return result

    def end_epoch(self, epoch: int, agent_steps: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Print the epoch's line; the seconds it took, in all and per part, as metrics."""
        parts, self._seconds = self._seconds, {}
        total = sum(parts.values())
        fields = [
            f"epoch {epoch}/{self._settings.epochs}",
            f"{agent_steps} steps",
            f"{total:.1f} s",
            *([f"{self._settings.collection.steps_per_epoch / total:.0f} steps/s"] if "collect" in parts else []),
            f"{self._time_left(epoch)} left",
            *(f"{name} {metrics[key]:.4g}" for key, name in _SHOWN.items() if key in metrics),
        ]
        self.say(" | ".join(fields))
        return {"seconds": total} | {f"{part}/seconds": seconds for part, seconds in parts.items()}

    def expected_seconds(self, epoch: int) -> float:
        """How long an epoch will take; NaN while a part of it has not run yet."""
        parts = parts_of_epoch(self._settings, epoch)
        return sum(steps * self._seconds_per_step.get(part, math.nan) for part, steps in parts.items())

    def _time_left(self, epoch: int) -> str:
        known, complete = 0.0, True
        for later in range(epoch + 1, self._settings.epochs + 1):
            for part, steps in parts_of_epoch(self._settings, later).items():
                known += steps * self._seconds_per_step.get(part, 0.0)
                complete &= part in self._seconds_per_step
        return f"{'' if complete else '> '}{duration(known)}"


def duration(seconds: float) -> str:
    """A time for people, such as "2 h 05 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
