"""Aggregates of scores with bootstrap intervals: the definitions of rliable, vectorised over repetitions.

rliable (Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice") draws the runs of
every task anew, with replacement, and evaluates the aggregate once per draw. Here a draw is a row of *counts*: how
often each run was drawn. All aggregates are then matrix products of the counts, thousands of draws at a time.

The definitions also cover tasks with different numbers of runs, where rliable's do not apply: a run then weighs
1 / (number of tasks x number of runs of its task), so that all tasks weigh the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

import numpy as np

CONFIDENCE = 0.95
_DRAWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Sample:
    """Scores of one method: every run of every task, in ascending order of score."""

    scores: np.ndarray
    """float64 (N,)"""
    tasks: np.ndarray
    """int64 (N,): index of each run's task. Tasks without a run take no part in aggregates."""

    @classmethod
    def of(cls, scores_by_task: Sequence[np.ndarray]) -> "Sample":
        """A sample from one array of scores per task."""
        scores = np.concatenate([np.asarray(scores, dtype=np.float64) for scores in scores_by_task])
        tasks = np.repeat(np.arange(len(scores_by_task)), [len(scores) for scores in scores_by_task])
        order = np.argsort(scores, kind="stable")
        return cls(scores[order], tasks[order])

    @cached_property
    def runs_per_task(self) -> np.ndarray:
        """int64, by index of the task."""
        return np.bincount(self.tasks)

    @cached_property
    def present(self) -> np.ndarray:
        """int64 (T,): indices of the tasks that have runs."""
        return np.flatnonzero(self.runs_per_task)

    @cached_property
    def weights(self) -> np.ndarray:
        """float64 (N,): what each run weighs; the sum is 1."""
        return 1.0 / (len(self.present) * self.runs_per_task[self.tasks])

    @property
    def has_interval(self) -> bool:
        """Whether a bootstrap says anything: some task has more than one run."""
        return bool(self.runs_per_task.max() > 1)


@dataclass(frozen=True)
class Bootstrap:
    """A sample and its draws."""

    sample: Sample
    counts: np.ndarray
    """uint8 (R, N): how often each run was drawn."""

    @classmethod
    def draw(cls, sample: Sample, repetitions: int, rng: np.random.Generator) -> "Bootstrap":
        """Stratified bootstrap: for every task, as many runs as it has are drawn with replacement."""
        counts = np.empty((repetitions, len(sample.scores)), dtype=np.uint8)
        rows = np.arange(repetitions)[:, None]
        for task in sample.present:
            runs = sample.runs_per_task[task]
            drawn = rng.integers(runs, size=(repetitions, runs)) + runs * rows
            counts_of_task = np.bincount(drawn.ravel(), minlength=runs * repetitions)
            counts[:, sample.tasks == task] = counts_of_task.reshape(repetitions, runs)
        return cls(sample, counts)

    def restricted_to(self, tasks: np.ndarray) -> "Bootstrap":
        """The same draws of only some tasks."""
        kept = np.isin(self.sample.tasks, tasks)
        return Bootstrap(Sample(self.sample.scores[kept], self.sample.tasks[kept]), self.counts[:, kept])

    def chunks(self) -> Iterator[np.ndarray]:
        """The counts as float64, some rows at a time, which stay in the processor's cache."""
        for start in range(0, len(self.counts), _DRAWS_AT_ONCE):
            yield self.counts[start : start + _DRAWS_AT_ONCE].astype(np.float64)


Aggregate = Callable[[Sample, np.ndarray], np.ndarray]
"""From a sample and counts (R, N) to the R values of an aggregate, or to R rows of values."""


def generator(seed: int, *names: str) -> np.random.Generator:
    """A generator for one purpose, so that an interval does not move when another method joins or leaves."""
    return np.random.default_rng([seed, *(crc32(name.encode()) for name in names)])


def task_means(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Mean score of every task that has runs, (R, T)."""
    of_task = sample.tasks[:, None] == sample.present[None, :]
    return counts @ np.where(of_task, (sample.scores / sample.runs_per_task[sample.tasks])[:, None], 0)


def mean(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Mean over tasks of the mean score."""
    return task_means(sample, counts).mean(axis=1)


def median(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Median over tasks of the mean score."""
    return np.median(task_means(sample, counts), axis=1)


def iqm(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Interquartile mean: mean of the runs that remain when a quarter is cut off at either end."""
    runs = len(sample.scores)
    cut = np.floor(0.25 * runs) / runs  # whole runs, as scipy.stats.trim_mean cuts them
    mass = np.cumsum(counts * sample.weights, axis=1)  # of the runs up to each score
    np.clip(mass, cut, 1 - cut, out=mass)
    # sum over runs of score x (mass up to it - mass below it), summed by parts
    total = (1 - cut) * sample.scores[-1] - cut * sample.scores[0] - mass[:, :-1] @ np.diff(sample.scores)
    return total / (1 - 2 * cut)


def optimality_gap(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """By how much the runs stay below 1, on average; scores above 1 count as 1."""
    return 1 - counts @ (sample.weights * np.minimum(sample.scores, 1))


def tasks_at_one(sample: Sample, counts: np.ndarray) -> np.ndarray:
    """Number of tasks with a mean score of at least 1 (Atari: human level)."""
    return (task_means(sample, counts) >= 1 - 1e-9).sum(axis=1).astype(np.float64)


def performance_profile(thresholds: np.ndarray) -> Aggregate:
    """The share of runs that score above each threshold, (R, number of thresholds)."""

    def profile(sample: Sample, counts: np.ndarray) -> np.ndarray:
        return counts @ (sample.weights[:, None] * (sample.scores[:, None] > thresholds))

    return profile


def estimate(bootstrap: Bootstrap, aggregates: Sequence[Aggregate]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Aggregates of a sample with percentile bootstrap intervals, all from the same draws.

    Returns:
        per aggregate: estimate, lower and upper bound of the interval; the bounds are NaN where every task has one run.
    """
    sample = bootstrap.sample
    once = np.ones((1, len(sample.scores)))
    estimates = [aggregate(sample, once)[0] for aggregate in aggregates]
    if not sample.has_interval:
        return [(value, np.full_like(value, np.nan), np.full_like(value, np.nan)) for value in estimates]
    draws = [[aggregate(sample, counts) for aggregate in aggregates] for counts in bootstrap.chunks()]
    by_aggregate = (np.concatenate(values) for values in zip(*draws, strict=True))
    return [(value, *_interval(values)) for value, values in zip(estimates, by_aggregate, strict=True)]


def probability_of_improvement(x: Bootstrap, y: Bootstrap, tasks: np.ndarray) -> tuple[float, float, float]:
    """Probability that a run of ``x`` scores higher than a run of ``y`` on the same task, averaged over tasks.

    A tie counts one half (Mann-Whitney).

    Args:
        x, y: independent draws, equally many, of two methods; their tasks have the same indices.
        tasks: indices of the tasks that both have.

    Returns:
        estimate, lower and upper bound of the interval (NaN where neither method has more than one run of a task).
    """
    shares = _win_shares(x.sample, y.sample, tasks)
    if not (x.sample.has_interval or y.sample.has_interval):
        return float(shares.sum()), np.nan, np.nan
    pairs = zip(x.chunks(), y.chunks(), strict=True)
    draws = np.concatenate([((x_counts @ shares) * y_counts).sum(axis=1) for x_counts, y_counts in pairs])
    low, high = _interval(draws)
    return float(shares.sum()), float(low), float(high)


def iqm_curve(values: np.ndarray, bootstrap: Bootstrap) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """IQM at every point of learning curves; a draw takes whole curves.

    Args:
        values: (P, N) score of each run at each point, runs in the order of the bootstrap's sample.
        bootstrap: draws of runs; the scores of its sample are not used.

    Returns:
        estimate, lower and upper bound of the interval, each (P,).
    """
    tasks = bootstrap.sample.tasks
    orders = np.argsort(values, axis=1, kind="stable")
    points = [Sample(row[order], tasks[order]) for row, order in zip(values, orders, strict=True)]

    def curve(_: Sample, counts: np.ndarray) -> np.ndarray:
        columns = [iqm(point, counts[:, order]) for point, order in zip(points, orders, strict=True)]
        return np.stack(columns, axis=1)

    return estimate(bootstrap, [curve])[0]


def _win_shares(x: Sample, y: Sample, tasks: np.ndarray) -> np.ndarray:
    """What each pair of runs adds to the probability of improvement, (runs of x, runs of y)."""
    difference = x.scores[:, None] - y.scores[None, :]
    wins = (difference > 0) + 0.5 * (difference == 0)
    compared = (x.tasks[:, None] == y.tasks[None, :]) & np.isin(x.tasks, tasks)[:, None]
    pairs = x.runs_per_task[x.tasks][:, None] * y.runs_per_task[y.tasks][None, :]
    return np.where(compared, wins / (pairs * len(tasks)), 0)


def _interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of draws along axis 0."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail], axis=0)
    return low, high
