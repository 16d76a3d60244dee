"""Scores of other methods in CSV files: one row per final score, or per point of a learning curve (docs/scores.md).

Imports nothing heavy: a Snakefile reads it.
"""

import csv
import io
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from m3.analysis.benchmarks import Benchmark
from m3.config.experiment import check_label
from m3.errors import UserError, shown, unknown_name
from m3.reading import MOST_NUMBER, read_bytes

MOST_BYTES = 64 * 2**20
"""Of a file."""
_MOST_NAME = 100
_LARGEST = 2**53
"""Whole numbers up to this are exact everywhere."""

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
        with io.StringIO(read_bytes(path, MOST_BYTES).decode("utf-8-sig"), newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise UserError(f"{path}, line 1: no column {missing[0]!r}; the columns are {', '.join(COLUMNS)}")
            twice = [column for column in COLUMNS if (reader.fieldnames or []).count(column) > 1]
            if twice:
                raise UserError(f"{path}, line 1: two columns {twice[0]!r}")
            for row in reader:
                yield reader.line_num, {name: text.strip() for name, text in row.items() if isinstance(text, str)}
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: no CSV file of UTF-8 text: {error}") from error


def _row(
    line: dict[str, str], place: str, info: Benchmark, tasks: Sequence[str], taken: Collection[str]
) -> dict[str, Any]:
    """A row with its types, checked."""
    for column in COLUMNS:
        if not line.get(column):
            raise UserError(f"{place}: no {column}")
    try:
        if len(check_label(line["method"])) > _MOST_NAME:
            raise ValueError(f"has more than {_MOST_NAME} characters")
    except ValueError as error:
        raise UserError(f"{place}: method {error}") from error
    if line["task"] not in tasks:
        raise UserError(f"{place}: {unknown_name(f'task of {info.name}', line['task'], tasks)}")
    if line["method"] in taken:
        raise UserError(
            f"{place}: another method is called {shown(line['method'])} already; give this one another name"
        )
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
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not abs(value) <= MOST_NUMBER:
        raise UserError(f"{place}: {column} must be a number, got {shown(text)}")
    return value


def _whole(text: str, column: str, place: str) -> int:
    value = _number(text, column, place)
    if not 0 <= value <= _LARGEST or not value.is_integer():
        raise UserError(f"{place}: {column} must be a whole number from 0 to {_LARGEST}, got {shown(text)}")
    return int(value)
