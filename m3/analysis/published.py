"""Published scores: the CSV files of results/published."""

import errno
import gzip
import io
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from m3.analysis.benchmarks import benchmark_info
from m3.analysis.scores import (
    AGENT_STEPS,
    AUTHORS_STEPS,
    CURVE_COLUMNS,
    METHOD_COLUMNS,
    SCORE_COLUMNS,
    TASK_COLUMNS,
    Scores,
)
from m3.errors import UserError, shown, unknown_name
from m3.reading import open_regular

_COLUMNS = ["benchmark", "method", "task", "seed", "env_steps", "score", "source"]
_MOST_BYTES = 256 * 2**20
_RUN = ["method", "task", "seed"]


def read_references(folder: Path, benchmark: str) -> pd.DataFrame:
    """The tasks of a benchmark and the scores that count as 0 and 1 there, as TASK_COLUMNS.

    Raises:
        UserError: the file is missing or malformed, or has no line for the benchmark.
    """
    path = folder / "references.csv"
    frame = _read(path, ["benchmark", *TASK_COLUMNS])
    found = frame[frame.benchmark == benchmark]
    if found.empty:
        unknown = unknown_name(f"benchmark (not in {path})", benchmark, frame.benchmark.unique())
        raise UserError(f"{unknown} (one of your own needs `references` in its file in config/benchmarks)")
    return found[TASK_COLUMNS].reset_index(drop=True)


def read_published(folder: Path, benchmark: str) -> Scores:
    """The published final scores and learning curves of a benchmark.

    The final score of a run of a method that has only curves is the last point at or before the benchmark's budget.

    Raises:
        UserError: a file is missing or malformed.
    """
    finals = _of_benchmark(folder / "runs.csv", benchmark)
    logged, notes = _without_repeated_steps(_of_benchmark(folder / "curves.csv.gz", benchmark))
    only_curves = logged[~logged.method.isin(finals.method.unique())]
    last, last_notes = _last_points(only_curves, benchmark)
    finals = pd.concat([finals.assign(step_unit=AGENT_STEPS), _in_agent_steps(last, benchmark)], ignore_index=True)
    curves = _in_agent_steps(logged, benchmark)
    return Scores(
        methods=_methods(pd.concat([finals, curves], ignore_index=True)),
        scores=finals.rename(columns={"env_steps": "steps"})[SCORE_COLUMNS],
        curves=curves.rename(columns={"env_steps": "steps"})[CURVE_COLUMNS],
        notes=notes + last_notes,
    )


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        frame = pd.read_csv(io.BytesIO(_unpacked(path)))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
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


def _of_benchmark(path: Path, benchmark: str) -> pd.DataFrame:
    frame = _read(path, _COLUMNS)
    for column, name in (("score", "score"), ("seed", "seed"), ("env_steps", "env_steps")):
        numbers = pd.to_numeric(frame[column], errors="coerce")
        valid = np.isfinite(numbers) & ((column == "score") | (numbers == numbers.round()))
        if not valid.all():
            line = int(np.flatnonzero(~valid)[0]) + 2
            kind = "a number" if column == "score" else "a whole number"
            raise UserError(
                f"{path}, line {line}: the {name} must be {kind}, got {shown(frame[column].iloc[line - 2])}"
            )
    return frame.loc[frame.benchmark == benchmark, _COLUMNS].reset_index(drop=True)


def _without_repeated_steps(curves: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Curves with one row per step: the first of the file."""
    repeated = curves.duplicated([*_RUN, "env_steps"])
    runs = curves[repeated].groupby(_RUN).size()
    notes = tuple(
        f"{method} on {task}, seed {seed}: {rows} steps were logged twice; the first row of a step counts"
        for (method, task, seed), rows in runs.items()
    )
    return curves[~repeated], notes


def _last_points(curves: pd.DataFrame, benchmark: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The last point of every curve at or before the budget."""
    budget = benchmark_info(benchmark).curve_budget
    within = curves if budget is None else curves[curves.env_steps <= budget]
    last = within.sort_values("env_steps", kind="stable").groupby(_RUN, sort=False).tail(1).sort_index()
    runs, scored = (set(frame[_RUN].itertuples(index=False, name=None)) for frame in (curves, last))
    notes = tuple(
        f"{method} on {task}, seed {seed}: no final score, its curve has no point within the budget"
        for method, task, seed in sorted(runs - scored)
    )
    return last, notes


def _in_agent_steps(frame: pd.DataFrame, benchmark: str) -> pd.DataFrame:
    """Steps of curves in agent steps, where it is known how the curves count."""
    factor = benchmark_info(benchmark).curve_steps_per_agent_step
    if factor is None:
        return frame.assign(step_unit=AUTHORS_STEPS)
    return frame.assign(env_steps=frame.env_steps // factor, step_unit=AGENT_STEPS)


def _methods(rows: pd.DataFrame) -> pd.DataFrame:
    methods = rows.drop_duplicates("method").assign(variant="")
    return methods[METHOD_COLUMNS].sort_values("method").reset_index(drop=True)
