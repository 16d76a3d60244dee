"""One table of scores per benchmark, of published and of own runs. Nothing is filled in, dropped or averaged."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from m3.analysis.benchmarks import Benchmark
from m3.analysis.frames import Content, to_tree
from m3.errors import UserError, unknown_name
from m3.files import hdf5
from m3.files.provenance import Provenance

FORMAT, VERSION = "m3.score-table", 3

PUBLISHED, FROM_RUNS, FROM_FILES = "published", "run", "file"
"""Origins of methods."""

METHOD_COLUMNS = ["method", "origin", "variant", "comparable", "remark"]
TASK_COLUMNS = ["task", "low", "high", "low_means", "high_means"]
SCORE_COLUMNS = ["method", "task", "seed", "score", "steps", "simulation_steps", "source"]
CURVE_COLUMNS = ["method", "task", "seed", "steps", "score"]
RUN_COLUMNS = [
    *["method", "variant", "task", "seed", "score", "score_sd", "episodes", "agent_steps", "wall_seconds", "device"],
    *["host", "created_by", "git_revision", "git_dirty", "config_hash"],
]


def empty(columns: list[str]) -> pd.DataFrame:
    """A frame with these columns and no rows."""
    return pd.DataFrame({column: [] for column in columns})


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of any number of methods, as a reader finds them or as ``combine`` joins them."""

    methods: pd.DataFrame
    """METHOD_COLUMNS, one row per method in order; ``variant`` is empty for all but own runs, ``comparable`` tells
    whether the protocol is the benchmark's, ``remark`` what else to know of it."""
    scores: pd.DataFrame
    """SCORE_COLUMNS, one row per run: its final score, and the decisions (``steps``) and steps of the simulator before
    it."""
    curves: pd.DataFrame
    """CURVE_COLUMNS, one row per logged point; ``steps`` are decisions."""
    runs: pd.DataFrame = field(default_factory=lambda: empty(RUN_COLUMNS))
    """RUN_COLUMNS, one row per own run: where its score comes from."""
    notes: tuple[str, ...] = ()
    """What a reader of the results must know about how they were read."""


@dataclass(frozen=True, kw_only=True)
class ScoreTable(Scores):
    """All scores of one benchmark, with the references that normalise them."""

    info: Benchmark
    tasks: pd.DataFrame
    """TASK_COLUMNS, one row per task of the benchmark; a score of ``low`` counts as 0, one of ``high`` as 1."""

    @property
    def benchmark(self) -> str:
        """Its name."""
        return self.info.name

    @property
    def own(self) -> list[str]:
        """Methods from own runs and files, in order."""
        return self.methods.method[self.methods.origin != PUBLISHED].tolist()

    @property
    def trained(self) -> list[str]:
        """Methods from own runs, in order."""
        return self.methods.method[self.methods.origin == FROM_RUNS].tolist()

    @property
    def has_published(self) -> bool:
        """Whether there are published methods."""
        return bool((self.methods.origin == PUBLISHED).any())

    def compared_tasks(self) -> list[str]:
        """The tasks on which methods are compared: those of the own method that has most, or all without own runs."""
        all_tasks = self.tasks.task.tolist()
        own = self.scores[self.scores.method.isin(self.own)]
        if own.empty:
            return all_tasks
        counts = own.groupby("method").task.nunique()
        most = max(self.own, key=lambda method: counts[method])  # the first of those that have equally many
        present = set(own.task[own.method == most])
        return [task for task in all_tasks if task in present]

    def of_method(self, method: str, tasks: Sequence[str]) -> "ScoreTable":
        """The scores and curves of one method on some tasks."""
        scores, curves = (
            frame[(frame.method == method) & frame.task.isin(tasks)] for frame in (self.scores, self.curves)
        )
        return replace(self, scores=scores, curves=curves, runs=empty(RUN_COLUMNS))

    def normalize(self, tasks: pd.Series, scores: pd.Series) -> np.ndarray:
        """Scores on the scale of the references, (score - low) / (high - low)."""
        references = self.tasks.set_index("task").loc[tasks]
        low, high = references.low.to_numpy(), references.high.to_numpy()
        return (scores.to_numpy() - low) / (high - low)


def combine(info: Benchmark, tasks: pd.DataFrame, parts: Sequence[Scores]) -> ScoreTable:
    """The table of a benchmark from the scores of several readers.

    Raises:
        UserError: no scores at all, an unknown task, two methods of one name, two scores of a run.
    """
    if not parts or all(part.scores.empty for part in parts):
        raise UserError(f"no scores of {info.name}: give published scores, finished runs, or files of scores")
    methods = pd.concat([part.methods for part in parts], ignore_index=True)
    scores = pd.concat([part.scores for part in parts], ignore_index=True)
    curves = pd.concat([part.curves for part in parts], ignore_index=True)
    for task in pd.concat([scores.task, curves.task]).unique():
        if task not in set(tasks.task):
            raise unknown_name(f"task of {info.name}", task, tasks.task)
    repeated = methods.method[methods.method.duplicated()]
    if not repeated.empty:
        raise UserError(f"two methods are called {repeated.iloc[0]!r}: give one of them another label")
    twice = scores[scores.duplicated(["method", "task", "seed"])]
    if not twice.empty:
        row = twice.iloc[0]
        raise UserError(f"two scores of {row.method} on {row.task} with seed {row.seed}: every run counts once")
    runs = [part.runs for part in parts if not part.runs.empty]
    return ScoreTable(
        methods=methods,
        scores=scores,
        curves=curves,
        runs=pd.concat(runs, ignore_index=True) if runs else empty(RUN_COLUMNS),
        notes=tuple(note for part in parts for note in part.notes),
        info=info,
        tasks=tasks,
    )


def write(path: Path, table: ScoreTable, provenance: Provenance) -> None:
    """Write a table as HDF5 of format m3.score-table: a group per frame, a dataset per column."""
    content: hdf5.Tree = {
        "benchmark": table.benchmark,
        "info": table.info.tree(),
        "methods": to_tree(table.methods),
        "tasks": to_tree(table.tasks),
        "scores": to_tree(table.scores),
        "curves": to_tree(table.curves),
        "runs": to_tree(table.runs),
        "notes": list(table.notes),
    }
    hdf5.write(path, FORMAT, content, provenance, VERSION)


def read(path: Path) -> ScoreTable:
    """Read what ``write`` wrote.

    Raises:
        UserError: the file is missing, damaged or of another format, or its content is not that of a table.
    """
    content = Content(path, hdf5.read(path, FORMAT, VERSION)[0])
    table = ScoreTable(
        methods=content.frame("methods", METHOD_COLUMNS),
        scores=content.frame("scores", SCORE_COLUMNS),
        curves=content.frame("curves", CURVE_COLUMNS),
        runs=content.frame("runs", RUN_COLUMNS),
        notes=tuple(content.texts("notes")),
        info=content.model("info", Benchmark),
        tasks=content.frame("tasks", TASK_COLUMNS),
    )
    if content.text("benchmark") != table.info.name:
        raise content.error(f"benchmark is {table.info.name}'s in info and {content.text('benchmark')}'s beside it")
    if table.scores.empty or not (table.tasks.low < table.tasks.high).all():
        raise content.error("there are no scores, or a task has no low reference below a high one")
    for name, frame in (("scores", table.scores), ("curves", table.curves), ("runs", table.runs)):
        content.refuse_others(f"{name}/method", frame.method, table.methods.method)
        content.refuse_others(f"{name}/task", frame.task, table.tasks.task)
    return table
