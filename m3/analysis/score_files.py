"""Scores of other methods in CSV files: one row per final score, or per point of a learning curve (docs/scores.md).

Imports nothing heavy: a Snakefile reads it.
"""

import csv
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from m3.analysis.benchmarks import Benchmark
from m3.errors import UserError, unknown_name

COLUMNS = ("method", "task", "seed", "steps", "score")
"""Every file has these. It may have two more: ``benchmark``, of which only the rows of the collected one count, and
``simulation_steps``. Other columns are left alone."""


def tasks_in(path: Path) -> set[tuple[str, str]]:
    """The benchmarks ("" in files without them) and tasks that a file has scores of, unchecked.

    Raises:
        UserError: the file is missing or lacks a column.
    """
    return {(row.get("benchmark") or "", row["task"] or "") for _, row in _lines(path)}


def read_rows(
    paths: Sequence[Path], info: Benchmark, tasks: Sequence[str], taken: Collection[str]
) -> list[dict[str, Any]]:
    """All rows of a benchmark in some files, with their types: method, task, seed, steps, simulation_steps, score,
    source.

    Args:
        paths: the files.
        info: the benchmark.
        tasks: its tasks.
        taken: names of methods that come from elsewhere.

    Raises:
        UserError: names the file and the line of what is wrong.
    """
    rows: list[dict[str, Any]] = []
    places: dict[tuple[object, ...], str] = {}
    for path in paths:
        for number, line in _lines(path):
            if line.get("benchmark") not in (None, "", info.name):
                continue
            place = f"{path}, line {number}"
            row = _row(line, place, info, tasks, taken)
            key = tuple(row[name] for name in ("method", "task", "seed", "steps"))
            if key in places:
                raise UserError(f"{place}: repeats {places[key]} (the same method, task, seed and steps)")
            places[key] = place
            rows.append({**row, "source": path.name})
    if not rows:
        raise UserError(f"{', '.join(map(str, paths))}: no scores of {info.name}")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a file and the numbers of their lines."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise UserError(f"{path}, line 1: no column {missing[0]!r}; the columns are {', '.join(COLUMNS)}")
            for row in reader:
                yield reader.line_num, {name: text.strip() for name, text in row.items() if isinstance(text, str)}
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def _row(
    line: dict[str, str], place: str, info: Benchmark, tasks: Sequence[str], taken: Collection[str]
) -> dict[str, Any]:
    """A row with its types, checked."""
    for column in COLUMNS:
        if not line.get(column):
            raise UserError(f"{place}: no {column}")
    if line["task"] not in tasks:
        raise UserError(f"{place}: {unknown_name(f'task of {info.name}', line['task'], tasks)}")
    if line["method"] in taken:
        raise UserError(f"{place}: another method is called {line['method']!r} already; give this one another name")
    steps = _whole(line["steps"], "steps", place)
    simulation_steps = (
        _whole(line["simulation_steps"], "simulation_steps", place)
        if line.get("simulation_steps")
        else steps * (info.simulation_steps_per_step or 1)
    )
    return {
        "method": line["method"],
        "task": line["task"],
        "seed": _whole(line["seed"], "seed", place),
        "steps": steps,
        "simulation_steps": simulation_steps,
        "score": _number(line["score"], "score", place),
    }


def _number(text: str, column: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{place}: {column} must be a number, got {text!r}")
    return value


def _whole(text: str, column: str, place: str) -> int:
    value = _number(text, column, place)
    if value < 0 or not value.is_integer():
        raise UserError(f"{place}: {column} must be a whole number of at least 0, got {text!r}")
    return int(value)
