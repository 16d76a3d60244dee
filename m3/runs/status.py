"""How far the runs of an experiment are: what the files in their folders say, and Slurm of its jobs."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from m3.config.experiment import Run
from m3.config.identity import config_hash
from m3.config.layers import Layer, validate
from m3.config.loading import load_benchmark, names
from m3.config.plan import Plan
from m3.config.schema import RunSettings
from m3.config.yaml_files import read_yaml
from m3.errors import UserError
from m3.files.contents import read_returns
from m3.files.names import ANY_SETTINGS, SCORES, WEIGHTS
from m3.files.progress import ProgressRecord, read_progress
from m3.files.run_folder import settings_name
from m3.runs.failure import cause_of_failure
from m3.runs.lease import living_holder
from m3.runs.slurm_jobs import RunJobs

State = Literal["done", "running", "waiting", "failed"]
_CLOCKS_APART = 60.0
"""Seconds that the clocks of a cluster's machines may differ by."""
STATES: tuple[State, ...] = ("done", "running", "waiting", "failed")


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
    """The pace of the latest epochs; none before the first."""
    seconds_left: float | None
    """Seconds to the end of training; none where nothing is known."""
    attempts: int
    hours: float
    """How long all attempts took together."""
    gpus: int
    folder: Path

    @cached_property
    def score(self) -> float | None:
        """The mean return of the final evaluation; none before it, or where the file is damaged. Reads that file."""
        if self.state != "done":
            return None
        try:
            returns, _ = read_returns(self.folder / SCORES)
        except UserError:
            return None
        return float(returns.mean())

    @property
    def hours_left(self) -> float | None:
        """Hours to the end of training; none where nothing is known."""
        return None if self.seconds_left is None else self.seconds_left / 3600

    @property
    def gpu_hours(self) -> float:
        """GPU-hours so far."""
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


def experiment_status(plan: Plan, results: Path, jobs: RunJobs | None = None) -> list[RunStatus]:
    """Look how far the runs of an experiment are, in its order.

    Args:
        plan: the experiment.
        results: folder of all runs.
        jobs: on Slurm, if there are any.
    """
    return [
        _run_status(run, settings, plan.resources[run.benchmark].train.gpu, results / run.folder, jobs)
        for run, settings in plan.runs.items()
    ]


def other_runs(results: Path, listed: Iterable[Run] = (), jobs: RunJobs | None = None) -> list[RunStatus]:
    """Look how far the runs are that stand in the folder of all runs, other than those listed."""
    found, known = [], {results / run.folder for run in listed}
    gpus_of = cache(_gpus)
    for file in sorted(results.glob(f"*/*/*/seed-*/{ANY_SETTINGS}")):
        if file.parent not in known:
            with suppress(UserError):  # of a version of the settings that this code does not know
                settings = validate(RunSettings, [Layer(str(file), read_yaml(file))])
                run = Run(settings.benchmark, settings.variant, settings.task, settings.seed)
                found.append(_run_status(run, settings, gpus_of(run.benchmark), file.parent, jobs))
    return found


def _gpus(benchmark: str) -> int:
    """GPUs of a training; one where the benchmark is unknown here. Raises UserError where its file is faulty."""
    return load_benchmark(benchmark).resources.train.gpu if benchmark in names("benchmark") else 1


def _run_status(run: Run, settings: RunSettings, gpus: int, folder: Path, jobs: RunJobs | None) -> RunStatus:
    identity = config_hash(settings)
    resolved = (folder / settings_name(identity)).exists()
    progress = read_progress(folder, identity) if resolved else None
    state, note = _state(folder, identity, progress) if resolved else ("waiting", "")
    if resolved and state == "waiting" and jobs is not None:
        state, note = _with_slurm(note, jobs, run, folder, progress)
    finished = resolved and (folder / (WEIGHTS if settings.command is None else SCORES)).exists()
    per_epoch = progress.seconds_per_epoch if progress else None
    left = progress.seconds_left if progress else None
    attempts = progress.attempts if progress else ()
    return RunStatus(
        run=run,
        state=state,
        note=note,
        epoch=settings.epochs if finished else progress.epoch if progress else 0,
        epochs=settings.epochs,
        epochs_per_hour=None if per_epoch is None else 3600 / max(per_epoch, 0.1),
        seconds_left=0.0 if finished else left,
        attempts=len(attempts),
        hours=sum(attempt.seconds for attempt in attempts) / 3600,
        gpus=gpus,
        folder=folder,
    )


def _state(folder: Path, identity: str, progress: ProgressRecord | None) -> tuple[State, str]:
    """Tell the state of a run that has its settings, and a note on it."""
    if (folder / SCORES).exists():
        return "done", ""
    holder = living_holder(folder)
    if holder is not None:
        return "running", f"on {holder.host}"
    if (folder / WEIGHTS).exists():
        return "waiting", "for its evaluation"
    newest = progress.attempts[-1] if progress else None
    cause = cause_of_failure(folder, identity) or (newest.message if newest and newest.state == "failed" else "")
    if cause:
        return "failed", cause
    return "waiting", "for its next job" if newest else ""


def _with_slurm(note: str, jobs: RunJobs, run: Run, folder: Path, progress: ProgressRecord | None) -> tuple[State, str]:
    """Tell the state of a run that waits, and a note on it, by what Slurm says of its newest job."""
    trained = (folder / WEIGHTS).exists()
    since = progress.attempts[-1].updated.timestamp() - _CLOCKS_APART if progress and progress.attempts else 0.0
    failed, said = jobs.note(run, ("evaluate",) if trained else ("train", "run_program"), since)
    return ("failed" if failed else "waiting"), said or note


def totals(runs: Sequence[RunStatus]) -> Totals:
    """Sum up an experiment's runs."""
    usual = _usual_hours(runs)
    left = [
        (usual.get(status.run.benchmark) if status.hours_left is None else status.hours_left, status.gpus)
        for status in runs
    ]
    known = [(hours, gpus) for hours, gpus in left if hours is not None]
    states = {state: sum(status.state == state for status in runs) for state in STATES}
    complete = len(known) == len(runs)
    return Totals(
        states=states,
        gpu_hours=sum(status.gpu_hours for status in runs),
        gpu_hours_left=sum(hours * gpus for hours, gpus in known) if complete else None,
        hours_left=sum(hours for hours, _ in known) / states["running"] if complete and states["running"] else None,
    )


def _usual_hours(runs: Sequence[RunStatus]) -> dict[str, float]:
    """How long a run takes, by benchmark: the average of those that have begun."""
    durations: dict[str, list[float]] = {}
    for status in runs:
        if status.hours_left is not None:
            durations.setdefault(status.run.benchmark, []).append(status.hours + status.hours_left)
    return {benchmark: sum(hours) / len(hours) for benchmark, hours in durations.items()}
