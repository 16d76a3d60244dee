"""The statistics of one benchmark: what they are, and their files. ``aggregation`` computes them."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from m3.analysis.benchmarks import Benchmark
from m3.analysis.frames import Content, to_tree
from m3.analysis.scores import FROM_RUNS
from m3.errors import UserError
from m3.files import hdf5
from m3.files.provenance import Provenance

FORMAT, VERSION = "m3.aggregates", 5

FRAMES = {
    "methods": [
        *("method", "label", "origin", "variant", "remark", "steps", "least_steps", "simulation_steps"),
        *("n_seeds", "n_seeds_max", "n_tasks", "complete", "fair", "ranked"),
    ],
    "metrics": ["method", "metric", "estimate", "low", "high"],
    "cells": ["method", "task", "n_seeds", "mean", "sd", "lowest", "highest", "normalized"],
    "profiles": ["method", "threshold", "estimate", "low", "high"],
    "improvement": ["method", "estimate", "low", "high", "n_tasks"],
    "ablations": ["base", "method", "n_tasks", "base_estimate", "base_low", "base_high", "estimate", "low", "high"],
    "curves": ["method", "steps", "estimate", "low", "high", "n_seeds", "n_tasks"],
    "task_curves": ["method", "task", "steps", "mean", "lowest", "highest", "n_seeds"],
}
_CSV_COLUMNS = ["benchmark", "method", "metric", "estimate", "low", "high", "n_seeds", "n_tasks"]


@dataclass(frozen=True)
class Aggregates:
    """The statistics of one benchmark over the compared tasks.

    Methods are in order of their IQM, best first: those that can be ranked, then those of another budget or protocol,
    then those that lack some of the tasks. Bounds (low, high) are of 95% bootstrap intervals, NaN where there is none
    because every task has one seed.
    """

    info: Benchmark
    repetitions: int
    """Bootstrap repetitions of intervals."""
    band_repetitions: int
    """Bootstrap repetitions of the bands of profiles and learning curves."""
    tasks: list[str]
    """The compared tasks."""
    total_tasks: int
    """Number of tasks of the benchmark."""
    own: list[str]
    """Methods from own runs and files, in the order in which they were given."""
    reference: str
    """The method that all others are compared with: M3, or the best where M3 is not there."""
    methods: pd.DataFrame
    """One row per method: its name with what keeps it out of the ranking (``label``); variant (empty for all but own
    runs); the most and the least decisions, and the most steps of the simulator, after which its scores were taken;
    the fewest and the most seeds of its tasks; its number of tasks (0 if it has none of those that are compared);
    whether these are all compared tasks; whether it has the benchmark's budget and protocol (``fair``); and whether
    both (``ranked``)."""
    metrics: pd.DataFrame
    """mean, median, iqm, optimality_gap of normalised scores; superhuman (number of tasks at human level) where the
    references are human; raw_mean (mean return) where all tasks have one scale. Over the tasks that the method has."""
    cells: pd.DataFrame
    """One row per method and task: raw scores over seeds; sd is the standard deviation (NaN for one seed);
    ``normalized`` is the normalised mean."""
    profiles: pd.DataFrame
    """The share of runs above each threshold of the normalised score, of methods with all compared tasks."""
    improvement: pd.DataFrame
    """Probability that the reference scores higher than the method, over the tasks that both have."""
    ablations: pd.DataFrame
    """IQM of the first own method (the base) and of each other own one, over the tasks that both have."""
    curves: pd.DataFrame
    """IQM of the normalised score against steps, of methods with curves of all compared tasks."""
    task_curves: pd.DataFrame
    """Mean, lowest and highest raw score over seeds against steps."""

    @property
    def benchmark(self) -> str:
        """Its name."""
        return self.info.name

    def metric(self, name: str) -> pd.DataFrame:
        """One metric of all methods, indexed by method, in order."""
        return self.metrics[self.metrics.metric == name].set_index("method")

    @property
    def complete(self) -> list[str]:
        """Methods that have all compared tasks, in order: first the ranked ones."""
        return self.methods.method[self.methods.complete].tolist()

    @property
    def ranked(self) -> list[str]:
        """Those of them that were trained and scored as the benchmark demands."""
        return self.methods.method[self.methods.ranked].tolist()

    @property
    def trained(self) -> list[str]:
        """Methods from own runs, in the order in which they were given."""
        runs = set(self.methods.method[self.methods.origin == FROM_RUNS])
        return [method for method in self.own if method in runs]

    def label(self, method: str) -> str:
        """A method's name in figures, with what keeps it out of the ranking."""
        return str(self.methods.set_index("method").label[method])


def write(path: Path, aggregates: Aggregates, provenance: Provenance) -> None:
    """Write as HDF5 of format m3.aggregates: a group per frame, a dataset per column."""
    content: hdf5.Tree = {
        "benchmark": aggregates.benchmark,
        "info": aggregates.info.tree(),
        "repetitions": aggregates.repetitions,
        "band_repetitions": aggregates.band_repetitions,
        "tasks": aggregates.tasks,
        "total_tasks": aggregates.total_tasks,
        "own": aggregates.own,
        "reference": aggregates.reference,
        **{name: to_tree(getattr(aggregates, name)) for name in FRAMES},
    }
    hdf5.write(path, FORMAT, content, provenance, VERSION)


def read(path: Path, benchmark: str | None = None) -> Aggregates:
    """Read what ``write`` wrote.

    Args:
        path: the file.
        benchmark: the benchmark that it must be of; none: any.

    Raises:
        UserError: the file is missing, damaged, or of another format or benchmark.
    """
    content = Content(path, hdf5.read(path, FORMAT, VERSION)[0])
    if benchmark not in (None, content.text("benchmark")):
        raise UserError(f"{path}: statistics of {content.text('benchmark')}, where those of {benchmark} are needed")
    statistics = Aggregates(
        info=content.model("info", Benchmark),
        repetitions=content.count("repetitions"),
        band_repetitions=content.count("band_repetitions"),
        tasks=content.texts("tasks"),
        total_tasks=content.count("total_tasks"),
        own=content.texts("own"),
        reference=content.text("reference"),
        **{name: content.frame(name, columns) for name, columns in FRAMES.items()},
    )
    methods = statistics.methods.method
    content.refuse_others("own", statistics.own, methods)
    for name in FRAMES:
        frame = getattr(statistics, name)
        content.refuse_others(f"{name}/method", frame.method, methods)
        if "task" in frame:
            content.refuse_others(f"{name}/task", frame.task, statistics.tasks)
    return statistics


def to_csv(aggregates: Aggregates) -> str:
    """The metrics as CSV with six decimals: benchmark, method, metric, estimate, low, high, n_seeds, n_tasks.

    n_seeds is the fewest seeds of the method's tasks. The metric ``improvement_of_{reference}`` is the probability
    that the reference scores higher than the row's method.
    """
    methods = aggregates.methods.set_index("method")
    metrics = aggregates.metrics.assign(n_tasks=aggregates.metrics.method.map(methods.n_tasks))
    improvement = aggregates.improvement.assign(metric=f"improvement_of_{aggregates.reference}")
    rows = pd.concat([frame for frame in (metrics, improvement) if not frame.empty], ignore_index=True)
    rows = rows.assign(benchmark=aggregates.benchmark, n_seeds=rows.method.map(methods.n_seeds))
    return rows[_CSV_COLUMNS].to_csv(index=False, float_format="%.6f", lineterminator="\n")
