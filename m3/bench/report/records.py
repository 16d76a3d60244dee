"""What a report has measured so far: one file per measurement, so that it can continue where it stopped."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from m3.files.atomic import atomic_file


class LeftOut(Exception):
    """A measurement cannot be made here; the message says what is missing."""


@dataclass(frozen=True)
class Measurement:
    """One measurement: its name, which is a file's too, and what makes it; results are plain values.

    whole: whether a result is all there is to measure; if not, the next report goes on with it.
    """

    name: str
    make: Callable[[], Any]
    whole: Callable[[Any], bool] = lambda result: True


@dataclass(frozen=True)
class Record:
    """What a measurement came to.

    state: "done", "begun" (it has a result, and more is to come), "left out" or "failed". reason: why there is no
    result. seconds: that it took.
    """

    name: str
    state: str
    result: Any = None
    reason: str = ""
    seconds: float = 0.0


class Records:
    """The records in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def made(self, name: str) -> Record | None:
        """The record of a measurement, if it was made; a damaged one was not."""
        path = self._folder / f"{name}.json"
        try:
            return Record(**json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def make(self, measurement: Measurement) -> Record:
        """Make a measurement and keep its record; one that is done already is read. What fails is recorded as such."""
        record = self.made(measurement.name)
        if record is not None and record.state == "done":
            return record
        start = monotonic()
        try:
            result = measurement.make()
            record = Record(measurement.name, "done" if measurement.whole(result) else "begun", result)
        except LeftOut as error:
            record = Record(measurement.name, "left out", reason=str(error))
        except Exception as error:  # a report has to tell what fails, and go on
            record = Record(measurement.name, "failed", reason=f"{type(error).__name__}: {error}")
        record = Record(**{**vars(record), "seconds": round(monotonic() - start, 2)})
        with atomic_file(self._folder / f"{record.name}.json") as file:
            file.write((json.dumps(vars(record), indent=1) + "\n").encode())
        return record
