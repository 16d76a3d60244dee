"""How far the runs of an experiment are, from the files in their folders alone."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from m3.config.experiment import Run
from m3.config.identity import resolved_name
from m3.config.plan import Plan
from m3.data.lease import living_holder

State = Literal["done", "running", "waiting", "failed"]
STATES: tuple[State, ...] = ("done", "running", "waiting", "failed")

_TAIL_BYTES = 8192
"""Of a log: enough for its latest epochs."""
_EPOCH = re.compile(r"\| epoch (\d+)/\d+ \|.*?\| ([\d.]+) s \|.*?(?:\| (?:> )?([^|]*?) left)")
_LEFT = re.compile("is being trained by|leaves the run to the newer job")
"""In the last words of a job that left the run to another."""
_TIME = re.compile(r"(\d+) (h|min|s)")
_SECONDS = {"h": 3600, "min": 60, "s": 1}


@dataclass(frozen=True)
class RunStatus:
    """How far a run is."""

    run: Run
    state: State
    """``waiting``: for its first job, for the next one, or for its evaluation."""
    note: str
    """Why it failed, or what it waits for, in one line."""
    epoch: int
    epochs: int
    epochs_per_hour: float | None
    """Lately; none before the first epoch."""
    seconds_left: float | None
    """Of training; none where nothing is known."""
    attempts: int
    hours: float
    """All attempts together."""
    gpus: int

    @property
    def hours_left(self) -> float | None:
        """Of training; none where nothing is known."""
        return None if self.seconds_left is None else self.seconds_left / 3600

    @property
    def gpu_hours(self) -> float:
        """So far."""
        return self.hours * self.gpus


@dataclass(frozen=True)
class Totals:
    """An experiment at a glance."""

    states: dict[State, int]
    gpu_hours: float
    gpu_hours_left: float | None
    """Runs that have not begun count as the average of their benchmark's others; none where a benchmark has none."""
    hours_left: float | None
    """With as many runs at a time as now; none where that is unknown."""


def experiment_status(plan: Plan, results: Path) -> list[RunStatus]:
    """The runs of an experiment in its order.

    Args:
        plan: the experiment.
        results: folder of all runs.
    """
    return [_run_status(plan, run, results / run.folder) for run in plan.runs]


def _run_status(plan: Plan, run: Run, folder: Path) -> RunStatus:
    settings = plan.runs[run]
    resolved = folder / resolved_name(settings)
    logs = _logs(folder, resolved)
    epoch, rate, left = _progress(logs)
    state, note = _state(folder, resolved, logs)
    finished = (folder / "weights.safetensors").exists() and resolved.exists()
    hours = sum(log.stat().st_mtime - _start(log) for log in logs) / 3600
    return RunStatus(
        run=run,
        state=state,
        note=note,
        epoch=settings.epochs if finished else epoch,
        epochs=settings.epochs,
        epochs_per_hour=rate,
        seconds_left=0.0 if finished else left,
        attempts=len(logs),
        hours=hours,
        gpus=plan.resources[run.benchmark].train.gpu,
    )


def _logs(folder: Path, resolved: Path) -> list[Path]:
    """The logs of all attempts with these settings that had the run for themselves, oldest first."""
    if not resolved.exists():
        return []
    since = int(resolved.stat().st_mtime)
    logs = [log for log in sorted(folder.glob("logs/train-*.log")) if log.stat().st_mtime >= since]
    return [log for log in logs if not any(map(_LEFT.search, _tail(log)[-1:]))]


def _start(log: Path) -> float:
    """When an attempt began, which its log's name tells."""
    return datetime.strptime(log.stem, "train-%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _state(folder: Path, resolved: Path, logs: Sequence[Path]) -> tuple[State, str]:
    if not resolved.exists():
        return "waiting", ""
    if (folder / "scores.h5").exists():
        return "done", ""
    holder = living_holder(folder)
    if holder is not None:
        return "running", f"on {holder.host}"
    if (folder / "weights.safetensors").exists():
        return "waiting", "for its evaluation"
    cause = _cause(folder, logs)
    if cause:
        return "failed", cause
    return "waiting", "for its next job" if logs else ""


def _cause(folder: Path, logs: Sequence[Path]) -> str:
    """Why the last attempt failed; empty if it did not."""
    try:
        return str(json.loads((folder / "failure.json").read_text(encoding="utf-8"))["cause"])
    except (OSError, ValueError, KeyError):
        words = _tail(logs[-1])[-1:] if logs else []
        return words[0].removeprefix("error: ") if words and words[0].startswith("error: ") else ""


def _progress(logs: Sequence[Path]) -> tuple[int, float | None, float | None]:
    """The latest epoch, how many there are per hour, and the seconds to the end."""
    for log in reversed(logs):
        found = [match for match in map(_EPOCH.search, _tail(log)) if match]
        if found:
            seconds = sum(float(match[2]) for match in found) / len(found)
            left = sum(int(number) * _SECONDS[unit] for number, unit in _TIME.findall(found[-1][3]))
            return int(found[-1][1]), 3600 / max(seconds, 0.1), float(left)
    return 0, None, None


def _tail(log: Path) -> list[str]:
    """The last lines of a log that are not empty."""
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return [line for line in lines if line.strip()]


def totals(runs: Sequence[RunStatus]) -> Totals:
    """The sum over an experiment's runs."""
    left = [(_hours_left(status, runs), status.gpus) for status in runs]
    known = [(hours, gpus) for hours, gpus in left if hours is not None]
    states = {state: sum(status.state == state for status in runs) for state in STATES}
    complete = len(known) == len(runs)
    return Totals(
        states=states,
        gpu_hours=sum(status.gpu_hours for status in runs),
        gpu_hours_left=sum(hours * gpus for hours, gpus in known) if complete else None,
        hours_left=sum(hours for hours, _ in known) / states["running"] if complete and states["running"] else None,
    )


def _hours_left(status: RunStatus, runs: Sequence[RunStatus]) -> float | None:
    if status.hours_left is not None:
        return status.hours_left
    begun = [other for other in runs if other.run.benchmark == status.run.benchmark]
    durations = [other.hours + other.hours_left for other in begun if other.hours_left is not None]
    return sum(durations) / len(durations) if durations else None
