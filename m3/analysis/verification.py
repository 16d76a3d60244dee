"""From a figure or table back to its raw scores: recreate everything on the way and compare."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from m3.analysis import aggregates, catalog, scores, tables
from m3.analysis.aggregates import FRAMES, Aggregates
from m3.analysis.aggregation import aggregate
from m3.analysis.captions import caption, diagnosis_caption
from m3.analysis.diagnosis import Diagnoses, read_diagnoses, table_files
from m3.analysis.explore import explore_page
from m3.analysis.figures import draw
from m3.analysis.figures.diagnosis import diagnosis_figure
from m3.analysis.joint import joint_figure
from m3.analysis.links import linked_folders, refuse_foreign
from m3.analysis.run_origins import RunOrigins
from m3.analysis.scores import ScoreTable
from m3.analysis.sources import Sources, collect
from m3.analysis.style import save, style
from m3.config.yaml_files import parse_yaml
from m3.errors import UserError, shown
from m3.files import hdf5
from m3.files.names import AGGREGATES, DIAGNOSIS, METRICS, SCORE_TABLE, SCORES

_KEYS = ("method", "task", "metric", "base", "seed", "steps")
"""Columns that say what a row is about. A profile's thresholds are not among them, as they are subject to rounding."""
_MOST_TOLD = 5
"""Differences of one frame that are told one by one."""
_Statistics = tuple[Aggregates, ScoreTable]


@dataclass
class Findings:
    """What was made again, in order, and what is wrong."""

    steps: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def conclude(self, file: str, step: str, problems: Iterable[str]) -> None:
        """What a step found out about a file."""
        found = list(problems)
        self.steps.append(f"{file} {step}: {'DIFFERENT' if found else 'the same'}")
        self.problems += [f"{file}: {problem}" for problem in found]


def verify(paths: Iterable[Path]) -> Findings:
    """Walk from figures or tables to the statistics, the tables of scores, the runs and their episodes.

    Args:
        paths: figures/{scope}{benchmark}/{name}.{suffix}, made by the suite; beside figures/ is results/.

    Raises:
        UserError: a file is no such one, or what it was made from is missing, damaged, or elsewhere behind a link.
    """
    findings = Findings()
    known: dict[Path, _Statistics] = {}

    def statistics_in(root: Path, folder: Path) -> _Statistics:
        if folder not in known:
            known[folder] = _verify_statistics(root, folder, findings)
        return known[folder]

    for path in paths:
        root, folder = _locate(path)
        findings.steps += [line for line in linked_folders(root) if line not in findings.steps]
        if path.stem in {entry.name for entry in (*catalog.JOINT_FIGURES, catalog.EXPLORE)}:
            folders = sorted(file.parent for file in folder.glob(f"*/{AGGREGATES}"))
            if not folders:
                raise UserError(f"{folder} has no folders with {AGGREGATES}: make the file again")
            differences = _joint_differences(path, [statistics_in(root, benchmark) for benchmark in folders])
        elif path.stem in {entry.name for entry in catalog.DIAGNOSIS}:
            statistics, table = statistics_in(root, folder)
            differences = _diagnosis_differences(path, _diagnoses(root, folder, table, statistics.info.label))
        else:
            differences = _product_differences(path, *statistics_in(root, folder))
        findings.conclude(str(path), "made again", differences)
    return findings


def _locate(path: Path) -> tuple[Path, Path]:
    """The folder of figures/ and results/, and the one below results/ that a file's below figures/ corresponds to."""
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    given = Path(os.path.abspath(path))  # as it was named: a link must not lead to the results of another project
    for parent in given.parents:
        if parent.name == "figures":
            refuse_foreign(given, parent)
            return parent.parent, parent.parent / "results" / given.parent.relative_to(parent)
    raise UserError(f"{path} is not below a folder figures/, as all figures and tables of the suite are")


def _verify_statistics(root: Path, folder: Path, findings: Findings) -> _Statistics:
    """The stored statistics and scores of a benchmark, after both were made again."""
    for name in (SCORE_TABLE, AGGREGATES):
        refuse_foreign(folder / name, root / "results")
    table = scores.read(folder / SCORE_TABLE)
    statistics = aggregates.read(folder / AGGREGATES, table.benchmark)
    origins = RunOrigins(root, table)
    for run in origins.folders:
        for name in (SCORES, METRICS):
            refuse_foreign(run / name, root / "results")
    findings.problems += origins.problems()
    findings.steps += origins.summary()
    name = str((folder / SCORE_TABLE).relative_to(root))
    findings.conclude(name, "collected again", _collected_differences(root, folder, table, origins))
    how = _settings(folder / AGGREGATES, dict.fromkeys(("repetitions", "seed", "band_repetitions"), int))
    again = aggregate(table, how["repetitions"], how["seed"], how["band_repetitions"])
    name = str((folder / AGGREGATES).relative_to(root))
    step = f"computed again with {how['repetitions']:,} repetitions"
    findings.conclude(name, step, _frames_differences(statistics, again, list(FRAMES)))
    return statistics, table


def _settings(path: Path, kinds: Mapping[str, type]) -> dict[str, Any]:
    """The settings with which a file of the analysis was made. Raises UserError where one is not of its kind."""
    how = parse_yaml(hdf5.describe(path).attributes["config"], str(path))
    for name, kind in kinds.items():
        value = how.get(name)
        if type(value) is not kind or (isinstance(value, list) and not all(isinstance(text, str) for text in value)):
            raise UserError(f"{path}: its setting {name} must be of type {kind.__name__}, got {shown(value)}")
    return how


def _collected_differences(root: Path, folder: Path, stored: ScoreTable, origins: RunOrigins) -> Iterator[str]:
    """What differs between a table and the published scores and runs that it was collected from."""
    how = _collecting(folder)
    sources = Sources(
        published=None if how["scores"] == "own" else root / "results" / "published",
        methods=tuple(how["methods"]),
        runs=origins.folders,
        labels=_labels(how),
        files=[root / file for file in how["score_files"]],
    )
    if not (sources.published or sources.runs or sources.files):
        yield "nothing is left of what it was collected from"
        return
    again = collect(stored.benchmark, sources, root / "config", origins.read)
    yield from _frames_differences(stored, again, ["methods", "tasks", "scores", "curves", "runs"])


def _collecting(folder: Path) -> dict[str, Any]:
    """How the table of scores in a folder was collected."""
    return _settings(folder / SCORE_TABLE, {"scores": str, "methods": list, "labels": list, "score_files": list})


def _labels(collecting: Mapping[str, Any]) -> dict[str, str]:
    """Names of variants in figures."""
    return dict(label.partition("=")[::2] for label in collecting["labels"])


def _diagnoses(root: Path, folder: Path, table: ScoreTable, label: str) -> Diagnoses:
    """Of those runs of a benchmark's table that were diagnosed."""
    runs = [run for run in RunOrigins(root, table).folders if (run / DIAGNOSIS).exists()]
    for run in runs:
        refuse_foreign(run / DIAGNOSIS, root / "results")
    if not runs:
        raise UserError(f"no run of {folder / SCORE_TABLE} has a {DIAGNOSIS}")
    return read_diagnoses(runs, _labels(_collecting(folder)), label)


def _frames_differences(
    stored: Aggregates | ScoreTable, again: Aggregates | ScoreTable, names: Sequence[str]
) -> Iterator[str]:
    for name in names:
        yield from frame_differences(name, getattr(stored, name), getattr(again, name))


def frame_differences(name: str, stored: pd.DataFrame, again: pd.DataFrame) -> Iterator[str]:
    """What differs between a stored frame and the same made again, row by row; numbers beyond rounding."""
    first, second = _by_key(stored), _by_key(again[stored.columns])
    found = [f"{name}: {key} is not there any more" for key in first.index.difference(second.index)]
    found += [f"{name}: {key} is missing in the file" for key in second.index.difference(first.index)]
    both = first.index.intersection(second.index)
    first, second = first.loc[both], second.loc[both]
    for column in first.columns:
        one, other = first[column], second[column]
        if pd.api.types.is_numeric_dtype(one) and pd.api.types.is_numeric_dtype(other):
            differs = ~np.isclose(one.to_numpy(float), other.to_numpy(float), rtol=1e-9, atol=1e-12, equal_nan=True)
        else:
            differs = (one != other).to_numpy()
        found += [f"{name}: {column} of {key} is {one[key]} in the file, now {other[key]}" for key in both[differs]]
    yield from found[:_MOST_TOLD]
    if len(found) > _MOST_TOLD:
        yield f"{name}: {len(found) - _MOST_TOLD} more differences"


def _by_key(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with one text per row that says what the row is about; where several say the same, they are counted."""
    keys = [column for column in _KEYS if column in frame]
    columns = [frame[key].astype(str).tolist() for key in keys]
    texts = pd.Series(map(", ".join, zip(*columns, strict=True)), dtype=object)
    repeated = texts.duplicated()
    counts = texts.groupby(texts).cumcount()[repeated] + 1
    texts[repeated] += " (" + counts.astype(str) + ")"
    return frame.set_index(pd.Index(texts, dtype=object))


def _product_differences(path: Path, statistics: Aggregates, table: ScoreTable) -> Iterator[str]:
    """What differs between a figure or table and the same made again."""
    name, suffix = path.stem, path.suffix.removeprefix(".")
    if name in catalog.table_names(len(table.trained)) and suffix in catalog.TABLE_SUFFIXES:
        yield from _text_differences(path, tables.files(name, statistics, table))
    elif name in catalog.figure_names(table.benchmark, len(table.trained), table.has_published):
        yield from _drawing_differences(path, lambda: (draw(name, statistics, table), caption(name, statistics, table)))
    else:
        yield f"there is no figure or table {name!r} of {table.benchmark}"


def _diagnosis_differences(path: Path, diagnoses: Diagnoses) -> Iterator[str]:
    """The same of what shows how well world models predict."""
    _, table = (entry.name for entry in catalog.DIAGNOSIS)
    if path.stem == table:
        yield from _text_differences(path, table_files(diagnoses))
    else:
        yield from _drawing_differences(path, lambda: (diagnosis_figure(diagnoses), diagnosis_caption(diagnoses)))


def _text_differences(path: Path, texts: Mapping[str, str]) -> Iterator[str]:
    """What differs between a table's file and its text, by suffix, made again."""
    suffix = path.suffix.removeprefix(".")
    if suffix not in texts:
        yield f"tables have no files of type {suffix!r}: valid are {', '.join(texts)}"
    elif path.read_text(encoding="utf-8") != texts[suffix]:
        yield "the text differs"


def _drawing_differences(path: Path, made_again: Callable[[], tuple[Figure, str]]) -> Iterator[str]:
    """What differs between a figure's file and the figure, with its caption, made again."""
    with style():
        if path.read_bytes() not in _saved(*made_again(), path):
            yield "the drawing differs: other numbers, or another version of the suite or of matplotlib drew it"


def _joint_differences(path: Path, benchmarks: Sequence[_Statistics]) -> Iterator[str]:
    """The same of what shows several benchmarks, in order of their names."""
    both = [(table, statistics) for statistics, table in benchmarks]
    if path.stem == catalog.EXPLORE.name:
        if path.read_text(encoding="utf-8") != explore_page(both):
            yield "the page differs: other numbers, or another version of the suite or of bokeh made it"
        return
    yield from _drawing_differences(path, lambda: joint_figure(path.stem, both))


def _saved(figure: Figure, text: str, path: Path) -> list[bytes]:
    """The bytes of a figure's file; none for a suffix that figures do not have."""
    with tempfile.TemporaryDirectory() as folder:
        save(figure, Path(folder), path.stem, text)
        file = Path(folder, path.name)
        return [file.read_bytes()] if file.exists() else []
