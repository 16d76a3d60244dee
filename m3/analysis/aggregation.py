"""Compute all statistics of one benchmark from its table of scores, several methods at once in separate processes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from m3.analysis import bootstrap
from m3.analysis.aggregates import FRAMES, Aggregates
from m3.analysis.bootstrap import Draws, Estimate, blocks
from m3.analysis.curves import aligned, common_steps
from m3.analysis.extent import extent
from m3.analysis.metrics import iqm, metrics_of
from m3.analysis.scores import ScoreTable, empty
from m3.config.experiment import Statistics

_Scores = dict[str, np.ndarray]
"""Normalised scores of a method's runs, by task, tasks in the order of the benchmark."""


@dataclass(frozen=True)
class _Job:
    """All that the statistics of one method depend on."""

    method: str
    table: ScoreTable
    """With the scores and curves of this method alone, of the compared tasks."""
    tasks: list[str]
    statistics: Statistics
    thresholds: np.ndarray | None
    """Of the performance profile; none: it has none."""
    reference: tuple[str, _Scores] | None
    """What it is compared with; none: it is the reference itself."""
    base: tuple[str, _Scores] | None
    """The own method that it is an ablation of; none: it is none."""


def aggregate(
    table: ScoreTable,
    repetitions: int,
    seed: int,
    band_repetitions: int = Statistics().band_repetitions,
    cores: int = 1,
    tell: Callable[[str], None] = lambda _: None,
) -> Aggregates:
    """Compute all statistics. The same table and settings give the same numbers, on any number of cores.

    Args:
        table: the scores.
        repetitions: draws per interval.
        seed: of the draws.
        band_repetitions: draws per band of profiles and learning curves.
        cores: processes that compute methods side by side.
        tell: is told of progress, a line per method.
    """
    statistics = Statistics(repetitions=repetitions, band_repetitions=band_repetitions, seed=seed)
    tasks = table.compared_tasks()
    scores = table.scores[table.scores.task.isin(tasks)]
    scores = scores.assign(normalized=table.normalize(scores.task, scores.score))
    by_method = {str(method): _by_task(rows, tasks) for method, rows in scores.groupby("method", sort=False)}
    methods = extent(table, scores, tasks, {method: float(iqm(_blocks(runs))) for method, runs in by_method.items()})
    order = [method for method in methods.method if method in by_method]
    reference = table.info.reference if table.info.reference in by_method else order[0]
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in _STATISTICS}
    jobs = list(_jobs(table, statistics, tasks, methods, by_method, reference))
    for number, (job, found) in enumerate(zip(jobs, _work(jobs, cores), strict=True), 1):
        tell(f"{table.benchmark}: {job.method}, {number} of {len(jobs)} methods")
        for name, frame in found.items():
            frames[name].append(frame)
    return Aggregates(
        info=table.info,
        repetitions=repetitions,
        band_repetitions=band_repetitions,
        tasks=tasks,
        total_tasks=len(table.tasks),
        own=table.own,
        reference=reference,
        methods=methods,
        cells=_cells(scores, order),
        **{name: _joined(found, FRAMES[name]) for name, found in frames.items()},
    )


def _by_task(rows: pd.DataFrame, tasks: Sequence[str]) -> _Scores:
    runs = {str(task): group.normalized.to_numpy() for task, group in rows.groupby("task")}
    return {task: runs[task] for task in tasks if task in runs}


def _blocks(runs: _Scores) -> list[np.ndarray]:
    return blocks(list(runs.values()))


def _jobs(
    table: ScoreTable,
    statistics: Statistics,
    tasks: list[str],
    methods: pd.DataFrame,
    by_method: dict[str, _Scores],
    reference: str,
) -> Iterator[_Job]:
    """One per method that has scores, in order."""
    complete = methods.method[methods.complete]
    highest = max(runs.max() for method in complete for runs in by_method[method].values())
    base = table.trained[0] if table.trained and table.trained[0] in by_method else None
    for method in methods.method[methods.method.isin(by_method)]:
        yield _Job(
            method=method,
            table=table.of_method(method, tasks),
            tasks=tasks,
            statistics=statistics,
            thresholds=_thresholds(highest) if method in set(complete) else None,
            reference=None if method == reference else (reference, by_method[reference]),
            base=(base, by_method[base]) if base and method in table.trained and method != base else None,
        )


def _thresholds(highest: float) -> np.ndarray:
    """Where profiles are evaluated: a fine grid up to 1, then geometrically up to the highest score."""
    above = np.geomspace(1, highest, 101)[1:] if highest > 1 else np.array([])
    return np.concatenate([np.linspace(0, min(1, highest), 101), above])


def _work(jobs: Sequence[_Job], cores: int) -> Iterator[dict[str, pd.DataFrame]]:
    """The statistics of every job, in order."""
    if cores == 1 or len(jobs) == 1:
        yield from map(_statistics, jobs)
        return
    with ProcessPoolExecutor(min(cores, len(jobs))) as processes:
        yield from processes.map(_statistics, jobs)


def _statistics(job: _Job) -> dict[str, pd.DataFrame]:
    """All frames of one method's statistics that are not empty."""
    rows = job.table.scores.assign(normalized=job.table.normalize(job.table.scores.task, job.table.scores.score))
    runs = _by_task(rows, job.tasks)
    frames = {name: compute(job, runs) for name, compute in _STATISTICS.items()}
    return {name: frame for name, frame in frames.items() if not frame.empty}


def _metrics(job: _Job, runs: _Scores) -> pd.DataFrame:
    metrics = metrics_of(job.table.tasks)
    found = bootstrap.estimate(
        _blocks(runs), lambda drawn: np.array([metric.function(drawn) for metric in metrics]), _scores_draws(job)
    )
    frame = _frame(job, found, metric=[metric.name for metric in metrics])
    low, high = job.table.tasks.iloc[0][["low", "high"]]
    raw = [metric.raw for metric in metrics]
    frame.loc[raw, ["estimate", "low", "high"]] = low + (high - low) * frame.loc[raw, ["estimate", "low", "high"]]
    return frame


def _profile(job: _Job, runs: _Scores) -> pd.DataFrame:
    if job.thresholds is None:
        return empty(FRAMES["profiles"])
    found = bootstrap.profile(_blocks(runs), job.thresholds, _band_draws(job, "profile"))
    return _frame(job, found, threshold=job.thresholds)


def _improvement(job: _Job, runs: _Scores) -> pd.DataFrame:
    """The reference against the method, where they share tasks."""
    name, reference = job.reference or ("", {})
    shared = [task for task in runs if task in reference]
    if not shared:
        return empty(FRAMES["improvement"])
    draws = Draws(job.statistics.repetitions, job.statistics.seed, ("improvement", name, job.method))
    found = bootstrap.improvement([(reference[task], runs[task]) for task in shared], draws)
    return _frame(job, found, n_tasks=len(shared))


def _ablation(job: _Job, runs: _Scores) -> pd.DataFrame:
    """The IQM of the method and of the one that it is an ablation of, over the tasks that both have."""
    name, base = job.base or ("", {})
    shared = [task for task in runs if task in base]
    if not shared:
        return empty(FRAMES["ablations"])
    of_base, of_method = (
        bootstrap.estimate(_blocks({task: scores[task] for task in shared}), iqm, _scores_draws(job, method))
        for method, scores in ((name, base), (job.method, runs))
    )
    bounds = {f"base_{key}": value for key, value in zip(("estimate", "low", "high"), of_base, strict=True)}
    return _frame(job, of_method, base=name, n_tasks=len(shared), **bounds)


def _curve(job: _Job, _: _Scores) -> pd.DataFrame:
    """IQM against steps, where every run has a value: the runs in it never change."""
    runs = job.table.curves
    if set(runs.task) != set(job.tasks):
        return empty(FRAMES["curves"])
    steps = common_steps(runs, job.table.info.agent_steps)
    values, indices = aligned(runs.assign(score=job.table.normalize(runs.task, runs.score)), job.tasks, steps)
    known = ~np.isnan(values).any(axis=1)
    if not known.any():
        return empty(FRAMES["curves"])
    scores = blocks([values[known][:, indices == task].T for task in range(len(job.tasks))])
    found = bootstrap.estimate(scores, iqm, _band_draws(job, "curve"))
    return _frame(job, found, steps=steps[known], n_seeds=np.bincount(indices).min(), n_tasks=len(job.tasks))


def _task_curves(job: _Job, _: _Scores) -> pd.DataFrame:
    frames = []
    for task, rows in job.table.curves.groupby("task"):
        steps = common_steps(rows, job.table.info.agent_steps)
        values, _indices = aligned(rows, [str(task)], steps)
        known = ~np.isnan(values).any(axis=1)
        values = values[known]
        columns = {"mean": values.mean(axis=1), "lowest": values.min(axis=1), "highest": values.max(axis=1)}
        frame = pd.DataFrame({"steps": steps[known], **columns})
        frames.append(frame.assign(method=job.method, task=task, n_seeds=values.shape[1]))
    return _joined(frames, FRAMES["task_curves"])


_STATISTICS: dict[str, Callable[[_Job, _Scores], pd.DataFrame]] = {
    "metrics": _metrics,
    "profiles": _profile,
    "improvement": _improvement,
    "ablations": _ablation,
    "curves": _curve,
    "task_curves": _task_curves,
}


def _scores_draws(job: _Job, method: str | None = None) -> Draws:
    """The draws of final scores: a method's are the same for all its metrics, and as the base of ablations."""
    return Draws(job.statistics.repetitions, job.statistics.seed, ("scores", method or job.method))


def _band_draws(job: _Job, purpose: str) -> Draws:
    return Draws(job.statistics.band_repetitions, job.statistics.seed, (purpose, job.method))


def _frame(job: _Job, found: Estimate, **columns: object) -> pd.DataFrame:
    """One row per value."""
    values = {"estimate": found.value, "low": found.low, "high": found.high}
    return pd.DataFrame(values).assign(method=job.method, **columns)


def _joined(frames: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)[columns] if frames else empty(columns)


def _cells(scores: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    groups = scores.groupby(["method", "task"], sort=False)
    cells = groups.agg(
        n_seeds=("seed", "nunique"),
        mean=("score", "mean"),
        sd=("score", "std"),
        lowest=("score", "min"),
        highest=("score", "max"),
        normalized=("normalized", "mean"),
    )
    return cells.loc[list(methods)].reset_index()
