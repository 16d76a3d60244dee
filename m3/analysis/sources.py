"""Where scores come from: published files, the folders of own runs, and CSV files of other methods."""

import errno
import gzip
import io
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from m3.analysis.benchmarks import Benchmark
from m3.analysis.own_runs import OwnRun, read_run
from m3.analysis.score_files import read_rows
from m3.analysis.scores import (
    CURVE_COLUMNS,
    FROM_FILES,
    FROM_RUNS,
    METHOD_COLUMNS,
    PUBLISHED,
    RUN_COLUMNS,
    SCORE_COLUMNS,
    TASK_COLUMNS,
    Scores,
    ScoreTable,
    combine,
    empty,
)
from m3.config.experiment import Benchmark as BenchmarkConfig
from m3.config.experiment import is_plain
from m3.config.loading import CONFIG_FOLDER, load_benchmark
from m3.errors import UserError, shown, unknown_name
from m3.reading import MOST_NUMBER, open_regular

ALL = ("all",)
"""In place of names of published methods."""
SOURCE = "own run"
_METHODS = ["benchmark", "method", "comparable", "remark"]
_SCORES = ["benchmark", "method", "task", "seed", "decisions", "simulation_steps", "score", "source"]
_RUN = ["method", "task", "seed"]
ReadRun = Callable[[Path, str], OwnRun]
"""From a run's folder and its benchmark."""

_MOST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Sources:
    """All sources of one table of scores."""

    published: Path | None = None
    """The folder of results/published; none: no published scores."""
    methods: Sequence[str] = ()
    """The published methods that are shown; empty: those that the benchmark's file names; ``ALL``: all."""
    runs: Sequence[Path] = ()
    """Folders of finished runs."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Names in figures, by variant."""
    files: Sequence[Path] = ()
    """CSV files of other methods' scores."""


def collect(benchmark: str, sources: Sources, config: Path = CONFIG_FOLDER, read: ReadRun = read_run) -> ScoreTable:
    """The table of a benchmark from all given sources.

    Args:
        benchmark: its name.
        sources: where its scores come from.
        config: the folder of benchmarks/{benchmark}.yaml, which has its references and names.
        read: reads a run, or knows what was read.

    Raises:
        UserError: a source is missing or faulty, or there are no scores.
    """
    given = load_benchmark(benchmark, config)
    info, tasks = Benchmark.of(benchmark, given), references(benchmark, given)
    extra = [task for task in given.tasks if given.lacks_reference(task)]
    parts = []
    if sources.published is not None:
        methods = sources.methods or given.published or ALL
        if (sources.runs or sources.files) and info.reference in methods and info.reproduction:
            methods = tuple(dict.fromkeys([*methods, info.reproduction]))
        parts.append(read_published(sources.published, info, methods))
    if sources.runs:
        parts.append(_without(extra, read_own(sources.runs, info, sources.labels, read)))
    if sources.files:
        taken = {str(name) for part in parts for name in part.methods.method}
        parts.append(read_score_files(sources.files, info, tasks.task.tolist(), taken))
    return combine(info, tasks, parts)


def _without(extra: Sequence[str], own: Scores) -> Scores:
    """Own scores but those on extra tasks, which no reference scores normalise: notes have these, as they are."""
    others = own.scores[own.scores.task.isin(extra)]
    if others.empty:
        return own
    new = [
        f"{row.method} on {row.task}, seed {row.seed}: {row.score:.4g}, which no reference scores normalise"
        for row in others.itertuples()
    ]
    scores, curves, runs = (
        frame[~frame.task.isin(extra)].reset_index(drop=True) for frame in (own.scores, own.curves, own.runs)
    )
    methods = own.methods[own.methods.method.isin(scores.method)].reset_index(drop=True)
    notes = (*own.notes, *new)
    return Scores(methods=methods, scores=scores, curves=curves, runs=runs, notes=notes)


def references(benchmark: str, config: BenchmarkConfig) -> pd.DataFrame:
    """The tasks of a benchmark and the scores that count as 0 and 1 there, as TASK_COLUMNS.

    Raises:
        UserError: its file has no references.
    """
    found = config.references
    if found is None:
        raise UserError(f"benchmark {benchmark!r} has no `references` in its file, which its figures need")
    rows = [
        (task, found.tasks[task].low, found.tasks[task].high, found.low_means, found.high_means)
        for task in config.tasks
        if task in found.tasks
    ]
    return pd.DataFrame(rows, columns=TASK_COLUMNS)


def read_published(folder: Path, info: Benchmark, methods: Sequence[str] = ALL) -> Scores:
    """The published final scores and learning curves of some methods.

    The final score of a run of a method that has only curves is the last point at or before the benchmark's budget.

    Args:
        folder: of methods.csv, runs.csv and curves.csv.gz.
        info: the benchmark.
        methods: their names; those of other benchmarks are left out.

    Raises:
        UserError: a file is missing or malformed, or a method is in none of the benchmarks.
    """
    known = _methods(folder / "methods.csv", info.name, methods)
    finals, logged = (_rows(folder / name, info.name, known) for name in ("runs.csv", "curves.csv.gz"))
    logged, notes = _without_repeated_steps(logged)
    last, last_notes = _last_points(logged[~logged.method.isin(finals.method.unique())], info)
    scored = pd.concat([finals, last], ignore_index=True).rename(columns={"decisions": "steps"})
    return Scores(
        methods=known.assign(origin=PUBLISHED, variant="")[METHOD_COLUMNS],
        scores=scored[SCORE_COLUMNS],
        curves=logged.rename(columns={"decisions": "steps"})[CURVE_COLUMNS].reset_index(drop=True),
        notes=notes + last_notes,
    )


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        frame = pd.read_csv(io.BytesIO(_unpacked(path)))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    missing = [column for column in columns if column not in frame]
    if missing:
        raise UserError(f"{path}: no column {missing[0]!r}; its columns must be {', '.join(columns)}")
    return frame


def _unpacked(path: Path) -> bytes:
    """Read a file's bytes, without gzip where its name says so; an archive may be small and endless."""
    with open_regular(path) as raw:
        content = (gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw).read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"has more than {_MOST_BYTES} bytes")
    return content


def _methods(path: Path, benchmark: str, wanted: Sequence[str]) -> pd.DataFrame:
    """The wanted methods of a benchmark: method, comparable, remark; in alphabetical order."""
    frame = _read(path, _METHODS)
    frame = frame.assign(remark=frame.remark.fillna(""))
    for column in ("benchmark", "method", "remark"):
        _refuse_rows(path, frame, column, ~_are_texts(frame[column]), "one line of text without < and >")
    _refuse_rows(path, frame, "comparable", ~frame.comparable.isin(["yes", "no"]), "yes or no")
    for name in wanted:
        if name not in {*frame.method, *ALL}:
            raise unknown_name("published method", name, frame.method.unique())
    chosen = (frame.benchmark == benchmark) & (frame.method.isin(wanted) | (tuple(wanted) == ALL))
    found = frame[chosen].sort_values("method", ignore_index=True)
    return found.assign(comparable=found.comparable == "yes")


def _rows(path: Path, benchmark: str, methods: pd.DataFrame) -> pd.DataFrame:
    frame = _read(path, _SCORES)
    for column in ("method", "task", "source"):
        _refuse_rows(path, frame, column, ~_are_texts(frame[column]), "one line of text without < and >")
    for column in ("score", "seed", "decisions", "simulation_steps"):
        numbers = pd.to_numeric(frame[column], errors="coerce").astype(float)
        valid = numbers.abs() <= MOST_NUMBER
        if column != "score":
            valid &= (numbers >= 0) & (numbers <= 2**53) & (numbers == numbers.round())
        kind = "a number" if column == "score" else "a whole number of at least 0"
        _refuse_rows(path, frame, column, ~valid, kind)
    return frame.loc[(frame.benchmark == benchmark) & frame.method.isin(methods.method), _SCORES].reset_index(drop=True)


def _are_texts(column: pd.Series) -> pd.Series:
    return column.isin([text for text in column.unique() if isinstance(text, str) and is_plain(text)])


def _refuse_rows(path: Path, frame: pd.DataFrame, column: str, bad: pd.Series, kind: str) -> None:
    """Raise UserError for the first row that is bad in a column."""
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise UserError(f"{path}, line {row + 2}: the {column} must be {kind}, got {shown(frame[column].iloc[row])}")


def _without_repeated_steps(curves: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Curves with one row per step: the first of the file."""
    repeated = curves.duplicated([*_RUN, "simulation_steps"])
    runs = curves[repeated].groupby(_RUN).size()
    notes = tuple(
        f"{method} on {task}, seed {seed}: {rows} steps were logged twice; the first row of a step counts"
        for (method, task, seed), rows in runs.items()
    )
    return curves[~repeated], notes


def _last_points(curves: pd.DataFrame, info: Benchmark) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The last point of every curve at or before the budget."""
    within = curves if info.agent_steps is None else curves[curves.decisions <= info.agent_steps]
    last = within.sort_values("decisions", kind="stable").groupby(_RUN, sort=False).tail(1).sort_index()
    runs, scored = (set(frame[_RUN].itertuples(index=False, name=None)) for frame in (curves, last))
    notes = tuple(
        f"{method} on {task}, seed {seed}: no final score, its curve has no point within the budget"
        for method, task, seed in sorted(runs - scored)
    )
    return last, notes


def read_own(folders: Sequence[Path], info: Benchmark, labels: Mapping[str, str], read: ReadRun = read_run) -> Scores:
    """The scores of finished runs: mean return of the final evaluation, and the evaluations during training.

    Args:
        folders: run folders; each holds scores and metrics.
        info: the benchmark that all of them must be runs of.
        labels: name in figures, by variant, in the order of the figures; other variants follow as "{variant} (ours)".
        read: reads a run, or knows what was read.

    Raises:
        UserError: a file is missing or damaged, the run's two files disagree, or it is of another benchmark.
    """
    runs: list[dict[str, Any]] = []
    points: list[tuple[Any, ...]] = []
    for folder in folders:
        run = read(folder, info.name)
        row = {**run.row, "method": method_name(run.row["variant"], labels)}
        runs.append(row)
        points += [(row["method"], row["task"], row["seed"], *point) for point in run.curve]
    table = pd.DataFrame(runs)
    order = list(dict.fromkeys([*labels, *table.variant]))
    table = table.sort_values("variant", key=lambda column: column.map(order.index), kind="stable", ignore_index=True)
    methods = table.drop_duplicates("variant").assign(origin=FROM_RUNS, comparable=True, remark="")
    return Scores(
        methods=methods[METHOD_COLUMNS].reset_index(drop=True),
        scores=table.assign(steps=table.agent_steps, source=SOURCE)[SCORE_COLUMNS],
        curves=pd.DataFrame(points, columns=CURVE_COLUMNS) if points else empty(CURVE_COLUMNS),
        runs=table[RUN_COLUMNS],
    )


def method_name(variant: str, labels: Mapping[str, str]) -> str:
    """The name of a variant's own runs in figures."""
    return labels.get(variant, f"{variant} (ours)")


def read_score_files(paths: Sequence[Path], info: Benchmark, tasks: Sequence[str], taken: Collection[str]) -> Scores:
    """The scores in CSV files, checked as ``read_rows`` does.

    A run is the rows of one method, task and seed. Its final score is its last one at or before the benchmark's
    budget, or its first one where none is. Runs of several rows are learning curves.
    """
    frame = pd.DataFrame(read_rows(paths, info, tasks, taken))
    runs = frame.sort_values("steps", kind="stable").groupby(_RUN, sort=False)
    finals = [_final(run, info.agent_steps) for _, run in runs]
    methods = frame.drop_duplicates("method").assign(origin=FROM_FILES, variant="", comparable=True, remark="")
    return Scores(
        methods=methods[METHOD_COLUMNS].reset_index(drop=True),
        scores=pd.DataFrame(finals)[SCORE_COLUMNS].sort_index().reset_index(drop=True),
        curves=frame.loc[runs.steps.transform("size") > 1, CURVE_COLUMNS].reset_index(drop=True),
    )


def _final(run: pd.DataFrame, budget: int | None) -> pd.Series:
    """The row of a run's final score; rows are in order of their steps."""
    within = run if budget is None else run[run.steps <= budget]
    return run.iloc[0] if within.empty else within.iloc[-1]
