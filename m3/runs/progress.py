"""What a person sees while a run trains, and what the run's progress file says."""

import contextlib
import math
import os
import platform
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from time import monotonic
from typing import Any

from tqdm import tqdm

from m3.config.identity import config_hash
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files.progress import Attempt, AttemptState, ProgressRecord, read_progress, write_progress
from m3.files.run_folder import identifying
from m3.training.schedule import T, Work, parts_of_epoch

_SHOWN = {
    "tokenizer/loss": "tokenizer loss",
    "world_model/loss": "world model loss",
    "controller/imagined_return": "imagined return",
    "evaluation/return": "evaluation return",
}
"""Metrics of an epoch's line."""
_DAYS_FROM_HOURS = 72
_LATEST_EPOCHS = 20
"""Over which the time of an epoch is averaged."""


def finish(work: Work[T], description: str, steps: int) -> T:
    """Do all of the work, with a bar where the output is a terminal; return what the work returns."""
    with tqdm(desc=description, total=steps, leave=False, disable=None) as bar:
        while True:
            try:
                next(work)
            except StopIteration as end:
                return end.value
            bar.update()


class RunProgress:
    """Prints one line per epoch, on a terminal also a bar within the epoch, and keeps the run's progress file.

    The time left is that of the whole schedule. Every part's steps are taken to go on as they last did; those of a part
    that has not run yet to take what ``expect`` was told, put right by how far off that was for the others.
    """

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._name = f"{settings.task} seed {settings.seed}"
        self._seconds_per_step: dict[str, float] = {}
        self._expected: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._latest: deque[float] = deque(maxlen=_LATEST_EPOCHS)
        self._file: ProgressFile | None = None

    def keep_file(self, folder: Path) -> None:
        """Keep the progress file from here on, as a new attempt at the run. The run has to be ours."""
        self._file = ProgressFile(folder, self._settings)

    def expect(self, seconds_per_step: Mapping[str, float]) -> None:
        """Take note of guesses how long a step of each part takes, for as long as it has not run."""
        self._expected = dict(seconds_per_step)

    def say(self, text: str) -> None:
        """Print one line that starts with the run's name."""
        try:
            tqdm.write(f"{self._name} | {text}", file=sys.stdout)
            sys.stdout.flush()
        except BrokenPipeError:  # whoever read it is gone; training goes on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def follow(self, part: str, steps: int, work: Work[T]) -> T:
        """Do a part's ``steps`` steps, timing and showing them; return what the work returns."""
        start = monotonic()
        result = finish(work, f"{self._name} | {part}", steps)
        self._seconds[part] = monotonic() - start
        self._seconds_per_step[part] = self._seconds[part] / steps
        return result

    def end_epoch(self, epoch: int, agent_steps: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Print the epoch's line; return the seconds it took, in all and per part, as metrics."""
        parts, self._seconds = self._seconds, {}
        total = sum(parts.values())
        self._latest.append(total)
        left, estimated = self.seconds_left(epoch), self._is_estimated(epoch)
        fields = [
            f"epoch {epoch}/{self._settings.epochs}",
            f"{agent_steps} steps",
            f"{total:.1f} s",
            *([f"{self._settings.collection.steps_per_epoch / total:.0f} steps/s"] if "collect" in parts else []),
            f"{'about ' if estimated else ''}{duration(left)} left",
            *(f"{name} {metrics[key]:.4g}" for key, name in _SHOWN.items() if key in metrics),
        ]
        self.say(" | ".join(fields))
        self._note(
            epoch=epoch,
            agent_steps=agent_steps,
            seconds_per_epoch=fmean(self._latest),
            seconds_left=left,
            estimated=estimated,
        )
        return {"seconds": total} | {f"{part}/seconds": seconds for part, seconds in parts.items()}

    def restored(self, epoch: int, agent_steps: int) -> None:
        """Take note that training goes on after this epoch, which the newest checkpoint is of; 0: it begins."""
        self._note("training", epoch=epoch, saved_epoch=epoch, agent_steps=agent_steps)

    def saved(self, epoch: int) -> None:
        """Take note of a checkpoint."""
        self._note(saved_epoch=epoch)

    def end(self, state: AttemptState, message: str = "") -> None:
        """Take note of how this process ends."""
        self._note(state, message)

    def _note(self, state: AttemptState | None = None, message: str = "", **changes: Any) -> None:
        if self._file is not None:
            self._file.update(state, message, **changes)

    def expected_seconds(self, epoch: int) -> float:
        """Return how long an epoch will take; NaN while a part of it has not run yet."""
        parts = parts_of_epoch(self._settings, epoch)
        return sum(steps * self._seconds_per_step.get(part, math.nan) for part, steps in parts.items())

    def seconds_left(self, epoch: int) -> float:
        """Return the time after an epoch; guessed parts that nothing is known of count as none."""
        timed = self._expected.keys() & self._seconds_per_step.keys()
        guessed, taken = (sum(known[part] for part in timed) for known in (self._expected, self._seconds_per_step))
        correction = taken / guessed if guessed else 1.0
        guesses = {part: correction * seconds for part, seconds in self._expected.items()}
        per_step = guesses | self._seconds_per_step
        return sum(steps * per_step.get(part, 0.0) for part, steps in self._parts_after(epoch))

    def _is_estimated(self, epoch: int) -> bool:
        return any(part not in self._seconds_per_step for part, _ in self._parts_after(epoch))

    def _parts_after(self, epoch: int) -> Iterator[tuple[str, int]]:
        """The parts of all epochs after this one, with their steps."""
        for later in range(epoch + 1, self._settings.epochs + 1):
            yield from parts_of_epoch(self._settings, later).items()


class ProgressFile:
    """The progress file of a run that this process trains; earlier attempts stay in it.

    A file that cannot be written is no reason to stop training.
    """

    def __init__(self, folder: Path, settings: RunSettings) -> None:
        self._folder = folder
        identity = config_hash(settings)
        now = datetime.now(UTC)
        new = Attempt(begun=now, updated=now, host=platform.node(), process=os.getpid(), state="setting up")
        before = read_progress(folder, identity)
        run = {"config_hash": identity, "epochs": settings.epochs, **identifying(settings)}
        record = before or ProgressRecord.model_validate(run)
        self._record = record.model_copy(update={"attempts": (*record.attempts, new)})
        self._write()

    def update(self, state: AttemptState | None, message: str, **changes: Any) -> None:
        """Write what has changed, and ``state`` where that has."""
        *earlier, own = self._record.attempts
        found = read_progress(self._folder, self._record.config_hash)
        if found is not None and found.attempts[-1].begun != own.begun:
            return  # another process has taken the run over
        noted: dict[str, Any] = {"updated": datetime.now(UTC)}
        if state is not None:
            noted |= {"state": state, "message": message}
        attempts = (*earlier, own.model_copy(update=noted))
        self._record = self._record.model_copy(update={**changes, "attempts": attempts})
        self._write()

    def _write(self) -> None:
        with contextlib.suppress(UserError):
            write_progress(self._folder, self._record)


def duration(seconds: float) -> str:
    """Word a time for people, such as "2 h 05 min"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= _DAYS_FROM_HOURS:
        return f"{hours / 24:.0f} days"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
