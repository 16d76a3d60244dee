"""Games above and below human level, a difference that means over all games hide."""

from functools import partial
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.intervals import draw_intervals, height_of
from m3.analysis.figures.page import label_methods, note, page
from m3.analysis.metrics import METRICS
from m3.analysis.scores import ScoreTable
from m3.analysis.style import FAINT, QUIET, WIDE, look

_ROW = 0.15


def split(aggregates: Aggregates, method: str) -> dict[str, pd.Series]:
    """The tasks on which a method's mean reaches human level, and those on which not: mean by task, best first."""
    means = (
        aggregates.cells[aggregates.cells.method == method].set_index("task").normalized.sort_values(ascending=False)
    )
    return {"at or above human level": means[means >= 1], "below human level": means[means < 1]}


def levels_figure(aggregates: Aggregates, table: ScoreTable) -> Figure:
    """Games on which the reference reaches human level, and the others, each on its scale; how many others reach."""
    shown = aggregates.trained[0] if aggregates.trained else aggregates.reference
    halves, methods = split(aggregates, shown), aggregates.complete
    rows = max(map(len, halves.values()))
    word = aggregates.info.task_word
    others = [method for method in methods if method != shown]
    figure = page(
        WIDE,
        max(rows * _ROW + 0.55, height_of(aggregates, methods) + 0.55),
        f"{aggregates.info.label}: {word}s at and below human level",
        words.warnings(aggregates),
        _key(shown, others, aggregates),
        note=f"Bars: {words.intervals(aggregates.repetitions)}",
    )
    axes = figure.subplots(1, 3, width_ratios=(1, 1, 0.7))
    for panel, (title, means) in zip(axes, halves.items(), strict=False):
        panel.set_title(f"{shown} {title}: {len(means)}")
        _half(panel, means, shown, others, aggregates, table)
    counts = aggregates.metric("superhuman").loc[methods]
    draw_intervals(axes[2], counts, aggregates, partial(METRICS["superhuman"].text, aggregates.info))
    label_methods(axes[2], methods, aggregates)
    axes[2].set_xlabel(f"{word.capitalize()}s at human\nlevel, of {len(aggregates.tasks)}")
    return figure


def _key(shown: str, others: list[str], aggregates: Aggregates) -> list[Line2D]:
    own: dict[str, Any] = {"color": look(shown, aggregates.own).color, "linestyle": "none"}
    found = [
        Line2D([], [], marker="o", markersize=2.8, label=f"{shown}: runs", **own),
        Line2D([], [], marker="|", markersize=7, markeredgewidth=1.8, label=f"{shown}: mean", **own),
    ]
    rest: dict[str, Any] = {"color": QUIET, "linestyle": "none", "alpha": 0.5}
    return [
        *found,
        *([Line2D([], [], marker="o", markersize=2.8, label="other methods: means", **rest)] if others else []),
    ]


def _half(
    axes: Axes, means: pd.Series, shown: str, others: list[str], aggregates: Aggregates, table: ScoreTable
) -> None:
    if means.empty:
        note(axes, "none")
        return
    color = look(shown, aggregates.own).color
    rows = {task: row for row, task in enumerate(means.index)}
    cells = aggregates.cells[aggregates.cells.method.isin(others) & aggregates.cells.task.isin(rows)]
    runs = table.scores[(table.scores.method == shown) & table.scores.task.isin(rows)]
    runs = pd.DataFrame({"x": table.normalize(runs.task, runs.score), "y": runs.task.map(rows).to_numpy()})
    axes.scatter(cells.normalized, cells.task.map(rows), s=7, color=QUIET, alpha=0.35, linewidth=0, zorder=2)
    sns.stripplot(
        runs, x="x", y="y", orient="h", native_scale=True, jitter=False, ax=axes, size=2.8, color=color, zorder=3
    )
    sns.pointplot(
        runs, x="x", y="y", orient="h", native_scale=True, errorbar=None, linestyle="none", marker="|",
        markersize=8, markeredgewidth=1.8, color=color, ax=axes, zorder=4,
    )  # fmt: skip
    axes.axvline(1, color=QUIET, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.hlines(range(len(rows)), *axes.get_xlim(), color=FAINT, linewidth=0.4, zorder=0)
    axes.margins(x=0.02)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set(xlabel=aggregates.info.normalized_score, ylabel="")
    axes.xaxis.set_major_formatter(words.tick)
