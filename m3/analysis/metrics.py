"""All metrics of a method's normalised scores: their functions, their labels, and the format of their values.

The functions are those of rliable, on *blocks*: arrays (runs, tasks, ...), one for each number of runs that tasks have.
Tasks weigh the same, as if each task's runs were repeated to the least common multiple of all numbers of runs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rliable import metrics as rliable_metrics

from m3.analysis import words
from m3.analysis.benchmarks import Benchmark

Blocks = Sequence[np.ndarray]


def task_means(scores: Blocks) -> np.ndarray:
    """Mean score of every task, as the one run (1, tasks) that rliable's metrics make the same of."""
    means = [block.sum(axis=0) / len(block) for block in scores]  # a third of the time of ``mean``
    return (means[0] if len(means) == 1 else np.concatenate(means))[None]


def mean(scores: Blocks) -> float:
    """Mean over tasks of the mean score."""
    return rliable_metrics.aggregate_mean(task_means(scores))


def median(scores: Blocks) -> float:
    """Median over tasks of the mean score."""
    return rliable_metrics.aggregate_median(task_means(scores))


def optimality_gap(scores: Blocks) -> float:
    """By how much the runs stay below 1, on average; scores above 1 count as 1."""
    return rliable_metrics.aggregate_optimality_gap(task_means([np.minimum(block, 1) for block in scores]))


def iqm(scores: Blocks) -> np.ndarray:
    """Interquartile mean: mean of the runs that remain when a quarter is cut off at either end.

    The same as rliable's, in a tenth of the time, and along further axes (points of a learning curve) at once.

    Args:
        scores: blocks (runs, tasks, ...).

    Returns:
        float64 (...).
    """
    flat = [block.reshape(-1, *block.shape[2:]) for block in scores]
    if len(flat) > 1:
        return _iqm_of_unequal_runs(flat, [len(block) for block in scores])
    cut = len(flat[0]) // 4
    kept = slice(cut, len(flat[0]) - cut)
    return np.partition(flat[0], (kept.start, kept.stop - 1), axis=0)[kept].sum(axis=0) / (kept.stop - kept.start)


def _iqm_of_unequal_runs(flat: Blocks, counts: list[int]) -> np.ndarray:
    """The same of runs that are repeated to the least common multiple of their tasks' numbers of runs."""
    repeated = [math.lcm(*counts) // count for count in counts]
    weights = np.repeat(repeated, [len(runs) for runs in flat])
    values = np.concatenate(flat)
    order = np.argsort(values, axis=0)
    up_to = np.cumsum(weights[order], axis=0)
    cut = int(up_to.flat[-1]) // 4
    bounded = np.clip(np.concatenate([np.zeros_like(up_to[:1]), up_to]), cut, int(up_to.flat[-1]) - cut)
    kept = np.diff(bounded, axis=0)
    return (kept * np.take_along_axis(values, order, axis=0)).sum(axis=0) / (int(up_to.flat[-1]) - 2 * cut)


def tasks_at_one(scores: Blocks) -> float:
    """Number of tasks with a mean score of at least 1 (Atari: human level)."""
    return float(np.count_nonzero(task_means(scores) >= 1 - 1e-9))


def _normalized(benchmark: Benchmark, value: float) -> str:
    return f"{100 * value:.2f}%" if benchmark.percent else f"{value:.3f}"


def _everywhere(tasks: pd.DataFrame) -> bool:
    return True


def _human(tasks: pd.DataFrame) -> bool:
    return bool((tasks.high_means == "human play").all())


def _one_scale(tasks: pd.DataFrame) -> bool:
    return len(tasks[["low", "high"]].drop_duplicates()) == 1


@dataclass(frozen=True)
class Metric:
    """A metric of normalised scores."""

    name: str
    """In files."""
    label: str
    """In tables."""
    function: Callable[[Blocks], float | np.ndarray]
    title: str = ""
    """Above its panel in the figure of aggregates; none: it has no panel there."""
    lower_is_better: bool = False
    format: Callable[[Benchmark, float], str] = _normalized
    """The text of a value."""
    raw: bool = False
    """Whether its values are on the scale of raw scores."""
    exists: Callable[[pd.DataFrame], bool] = _everywhere
    """Whether it means something for tasks of these references (``TASK_COLUMNS``)."""

    @property
    def direction(self) -> str:
        """Which values are good, in words."""
        return "lower is better" if self.lower_is_better else "higher is better"

    def text(self, benchmark: Benchmark, value: float) -> str:
        """A value in words."""
        return self.format(benchmark, value).replace("-", "\N{MINUS SIGN}")


METRICS = {
    metric.name: metric
    for metric in (
        Metric("mean", "Mean", mean, title="Mean"),
        Metric("median", "Median", median, title="Median"),
        Metric("iqm", "IQM", iqm, title="Interquartile mean (IQM)"),
        Metric("optimality_gap", "Optimality gap", optimality_gap, title="Optimality gap", lower_is_better=True),
        Metric("superhuman", "Superhuman", tasks_at_one, format=lambda _, value: f"{value:.0f}", exists=_human),
        Metric(
            "raw_mean", "Mean return", mean, format=lambda _, value: words.score(value), raw=True, exists=_one_scale
        ),
    )
}
"""By name, in the order of tables and figures."""


def metrics_of(tasks: pd.DataFrame) -> list[Metric]:
    """The metrics that mean something for tasks of these references."""
    return [metric for metric in METRICS.values() if metric.exists(tasks)]
