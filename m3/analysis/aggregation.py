"""Computes all statistics of one benchmark from its table of scores."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from m3.analysis import statistics
from m3.analysis.aggregates import FRAMES, Aggregates
from m3.analysis.curves import aligned, common_steps
from m3.analysis.scores import ScoreTable, empty
from m3.analysis.statistics import Bootstrap, Sample

REFERENCE = "M3"
"""The published method that all others are compared with, where its scores are there."""

METRICS = {
    "mean": statistics.mean,
    "median": statistics.median,
    "iqm": statistics.iqm,
    "optimality_gap": statistics.optimality_gap,
    "superhuman": statistics.tasks_at_one,
}
BAND_REPETITIONS = 2_000
"""Most repetitions for profiles and learning curves, whose bands have hundreds of points (rliable's number)."""


def aggregate(table: ScoreTable, repetitions: int, seed: int) -> Aggregates:
    """Compute all statistics. The same table, repetitions and seed give the same numbers.

    Args:
        table: the scores.
        repetitions: bootstrap repetitions per interval.
        seed: of the bootstrap.
    """
    tasks = table.compared_tasks()
    scores = table.scores[table.scores.task.isin(tasks)]
    scores = scores.assign(normalized=table.normalize(scores.task, scores.score))
    draws = {method: _draw(rows, tasks, repetitions, seed) for method, rows in scores.groupby("method")}
    metrics = {method: _metrics(table, bootstrap) for method, bootstrap in draws.items()}
    methods = _methods(table, scores, metrics, tasks)
    draws = {method: draws[method] for method in methods.method if method in draws}  # in order from here on
    reference = REFERENCE if REFERENCE in draws else next(iter(draws))
    band_repetitions = min(repetitions, BAND_REPETITIONS)
    return Aggregates(
        benchmark=table.benchmark,
        label=table.label,
        scale=table.scale,
        repetitions=repetitions,
        band_repetitions=band_repetitions,
        tasks=tasks,
        total_tasks=len(table.tasks),
        own=table.own,
        reference=reference,
        methods=methods,
        metrics=pd.concat([metrics[method].assign(method=method) for method in draws], ignore_index=True),
        cells=_cells(scores, list(draws)),
        profiles=_profiles({method: draws[method] for method in methods.method[methods.complete]}, band_repetitions),
        improvement=_improvement(reference, draws),
        ablations=_ablations(table.own, draws),
        curves=_curves(table, methods, tasks, band_repetitions, seed),
        task_curves=_task_curves(table, methods, tasks),
    )


def _draw(rows: pd.DataFrame, tasks: Sequence[str], repetitions: int, seed: int) -> Bootstrap:
    """The normalised scores of one method, and their draws. The indices of tasks are those in ``tasks``."""
    by_task = {task: group.normalized.to_numpy() for task, group in rows.groupby("task")}
    sample = Sample.of([by_task.get(task, np.array([])) for task in tasks])
    return Bootstrap.draw(sample, repetitions, statistics.generator(seed, "scores", rows.method.iloc[0]))


def _metrics(table: ScoreTable, bootstrap: Bootstrap) -> pd.DataFrame:
    """All metrics of one method: metric, estimate, low, high."""
    results = statistics.estimate(bootstrap, list(METRICS.values()))
    frame = pd.DataFrame(results, columns=["estimate", "low", "high"], dtype=np.float64).assign(metric=list(METRICS))
    if not (table.tasks.high_means == "human play").all():
        frame = frame[frame.metric != "superhuman"]
    scales = table.tasks[["low", "high"]].drop_duplicates()
    if len(scales) > 1:
        return frame
    low, high = scales.iloc[0]
    raw = frame[frame.metric == "mean"].assign(metric="raw_mean")
    raw[["estimate", "low", "high"]] = low + (high - low) * raw[["estimate", "low", "high"]]
    return pd.concat([frame, raw])


def _methods(
    table: ScoreTable, scores: pd.DataFrame, metrics: Mapping[str, pd.DataFrame], tasks: list[str]
) -> pd.DataFrame:
    """The methods in order, with the extent of their data."""
    seeds = scores.groupby(["method", "task"]).seed.nunique().groupby("method")
    extent = pd.DataFrame({"n_seeds": seeds.min(), "n_seeds_max": seeds.max(), "n_tasks": seeds.size()})
    extent[["steps", "least_steps"]] = scores.groupby("method").steps.agg(["max", "min"])
    extent["complete"] = extent.n_tasks == len(tasks)
    extent["iqm"] = {method: frame.set_index("metric").estimate["iqm"] for method, frame in metrics.items()}
    frame = table.methods.merge(extent, how="left", left_on="method", right_index=True)
    frame["complete"] = frame.complete.eq(True)
    counts = ["n_seeds", "n_seeds_max", "n_tasks", "steps", "least_steps"]
    frame[counts] = frame[counts].fillna(0).astype(np.int64)  # of a method without any of the tasks
    return frame.sort_values(["complete", "iqm", "method"], ascending=[False, False, True], ignore_index=True)


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


def _profiles(draws: Mapping[str, Bootstrap], repetitions: int) -> pd.DataFrame:
    highest = max(bootstrap.sample.scores[-1] for bootstrap in draws.values())
    thresholds = _thresholds(highest)
    profile = statistics.performance_profile(thresholds)
    frames = []
    for method, bootstrap in draws.items():
        few = Bootstrap(bootstrap.sample, bootstrap.counts[:repetitions])
        estimate, low, high = statistics.estimate(few, [profile])[0]
        columns = {"method": method, "threshold": thresholds, "estimate": estimate, "low": low, "high": high}
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def _thresholds(highest: float) -> np.ndarray:
    """Where profiles are evaluated: a fine grid up to 1, then geometrically up to the highest score."""
    above = np.geomspace(1, highest, 101)[1:] if highest > 1 else np.array([])
    return np.concatenate([np.linspace(0, min(1, highest), 101), above])


def _improvement(reference: str, draws: Mapping[str, Bootstrap]) -> pd.DataFrame:
    """The reference against every other method, where they share tasks."""
    rows = []
    for method, draw in draws.items():
        shared = _shared_tasks(draws[reference], draw)
        if method != reference and len(shared):
            interval = statistics.probability_of_improvement(draws[reference], draw, shared)
            rows.append((method, *interval, len(shared)))
    return pd.DataFrame(rows, columns=FRAMES["improvement"])


def _shared_tasks(x: Bootstrap, y: Bootstrap) -> np.ndarray:
    """Indices of the tasks that both have."""
    return np.intersect1d(x.sample.present, y.sample.present)


def _ablations(own: Sequence[str], draws: Mapping[str, Bootstrap]) -> pd.DataFrame:
    """Every other own method against the first, where they share tasks."""
    if not own or own[0] not in draws:
        return empty(FRAMES["ablations"])
    rows = []
    for method in own[1:]:
        shared = _shared_tasks(draws[own[0]], draws[method]) if method in draws else np.array([], dtype=np.int64)
        if len(shared):
            pair = (draws[own[0]].restricted_to(shared), draws[method].restricted_to(shared))
            base, ablation = (statistics.estimate(bootstrap, [statistics.iqm])[0] for bootstrap in pair)
            rows.append((own[0], method, len(shared), *map(float, base), *map(float, ablation)))
    return pd.DataFrame(rows, columns=FRAMES["ablations"])


def _curves(table: ScoreTable, methods: pd.DataFrame, tasks: list[str], repetitions: int, seed: int) -> pd.DataFrame:
    frames = []
    for method, runs in _curves_by_method(table, methods, tasks):
        if set(runs.task) != set(tasks):
            continue
        steps = common_steps(runs, table.info.agent_steps)
        values, indices = aligned(runs.assign(score=table.normalize(runs.task, runs.score)), tasks, steps)
        known = ~np.isnan(values).any(axis=1)  # only where every run has a value: the runs in the IQM never change
        sample = Sample(np.zeros(len(indices)), indices)
        bootstrap = Bootstrap.draw(sample, repetitions, statistics.generator(seed, "curves", method))
        estimate, low, high = statistics.iqm_curve(values[known], bootstrap)
        frame = pd.DataFrame({"steps": steps[known], "estimate": estimate, "low": low, "high": high})
        frames.append(frame.assign(method=method, n_seeds=np.bincount(indices).min(), n_tasks=len(tasks)))
    return pd.concat(frames, ignore_index=True) if frames else empty(FRAMES["curves"])


def _task_curves(table: ScoreTable, methods: pd.DataFrame, tasks: list[str]) -> pd.DataFrame:
    frames = []
    for method, runs in _curves_by_method(table, methods, tasks):
        for task, rows in runs.groupby("task"):
            steps = common_steps(rows, table.info.agent_steps)
            values, _ = aligned(rows, [task], steps)
            known = ~np.isnan(values).any(axis=1)
            values = values[known]
            columns = {"mean": values.mean(axis=1), "lowest": values.min(axis=1), "highest": values.max(axis=1)}
            frame = pd.DataFrame({"steps": steps[known], **columns})
            frames.append(frame.assign(method=method, task=task, n_seeds=values.shape[1]))
    return pd.concat(frames, ignore_index=True) if frames else empty(FRAMES["task_curves"])


def _curves_by_method(table: ScoreTable, methods: pd.DataFrame, tasks: list[str]) -> list[tuple[str, pd.DataFrame]]:
    curves = table.curves[table.curves.task.isin(tasks)]
    by_method = dict(list(curves.groupby("method")))
    return [(method, by_method[method]) for method in methods.method if method in by_method]
