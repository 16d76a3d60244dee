"""Figures of the report: the steps' times, and learning curves beside published scores."""

import csv
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m3.bench.report.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PUBLISHED = Path(__file__).parents[2] / "shipped" / "published" / "runs.csv"
_METHODS = {"M3": "M3, as published", "M3 (independent reproduction)": "M3, an independent reproduction"}


def draw_figures(folder: Path, rows: list[dict[str, Any]], records: list[Record]) -> list[str]:
    """Draw steps and learning curves; return what there is to say about it."""
    if find_spec("matplotlib") is None:
        return ["", "Left out: figures, which need matplotlib (`pip install matplotlib`)."]
    from matplotlib.figure import Figure

    alone = [row for row in rows if row["at_once"] == 1 and row["hours_of_a_run"] is not None]
    if alone:
        figure = Figure(figsize=(8, 1 + 0.22 * len(alone)), layout="constrained")
        axes = figure.add_subplot(xlabel="milliseconds a step", xscale="log")
        axes.barh(
            [" ".join(str(row[name]) for name in ("benchmark", "part", "precision", "compile")) for row in alone],
            [1e3 * row["seconds"] for row in alone],
        )
        axes.invert_yaxis()
        figure.savefig(folder / "steps.pdf")
    for record in records:
        if record.name.startswith("train ") and record.result and record.result["evaluations"]:
            figure = Figure(figsize=(5, 3.5), layout="constrained")
            draw_curve(figure.add_subplot(), record.name.removeprefix("train "), record.result)
            figure.savefig(folder / f"curve-{record.result['task']}.pdf")
    return []


def draw_curve(axes: "Axes", benchmark: str, result: dict[str, Any]) -> None:
    """Draw a run's evaluations, and the published final scores at the steps that they were reached with."""
    steps, returns = zip(*result["evaluations"], strict=True)
    axes.set(title=result["task"], xlabel="agent steps", ylabel="return")
    axes.plot(steps, returns, marker=".", label="this run")
    for label, points in published_scores(benchmark, result["task"]).items():
        axes.plot(*zip(*points, strict=True), linestyle="none", marker="x", label=f"{label} ({len(points)} seeds)")
    axes.legend()


def published_scores(benchmark: str, task: str) -> dict[str, list[tuple[float, float]]]:
    """Per source, the agent steps and final score of every published run of M3 on a task."""
    scores = defaultdict(list)
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (row["benchmark"], row["task"]) == (benchmark, task) and row["method"] in _METHODS:
                scores[_METHODS[row["method"]]].append((float(row["decisions"]), float(row["score"])))
    return dict(scores)
