"""Scores of every task: bars with the runs, and a heat map of normalised scores."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.page import GROUND, emphasize, format_scores, grid_rows, page, panels, wrapped
from m3.analysis.scores import ScoreTable
from m3.analysis.style import INK, QUIET, WIDE, look, tint

_NAME_SIZE = 5.5
_ROW = 0.098
_SHORT_NAME = 16
_LEAST_SHARE = 0.5
"""Methods with less than this share of the tasks have no bars: the caption gives their scores."""
_MOST_POINTS = 10
"""Runs of a task that are drawn one by one; more are a line from the lowest to the highest."""


def shown_methods(aggregates: Aggregates) -> list[str]:
    """The methods that have bars."""
    counts = aggregates.methods.set_index("method").n_tasks
    return list(counts.index[counts >= max(1, _LEAST_SHARE * len(aggregates.tasks))])


def tasks_figure(aggregates: Aggregates, table: ScoreTable) -> Figure:
    """Mean raw score of every method on every compared task, with its runs."""
    benchmark, methods = aggregates.info, shown_methods(aggregates)
    count = len(aggregates.tasks)
    columns = 6 if max(map(len, aggregates.tasks)) <= _SHORT_NAME else 5
    row = _ROW if count > 2 else 2 * _ROW
    figure = page(
        WIDE,
        (len(methods) * row + 0.5) * grid_rows(count, columns) + 0.3,
        f"{benchmark.label}: scores of every {benchmark.task_word}",
        words.warnings(aggregates),
    )
    ranges = _ranges(aggregates.cells, table)
    axes_of_tasks = panels(figure, count, columns, sharey=True)
    for axes, task in zip(axes_of_tasks, aggregates.tasks, strict=True):
        cells = aggregates.cells[aggregates.cells.task == task].set_index("method")
        _bars(axes, cells, methods, aggregates.own, ranges.loc[task])
        _runs(axes, table.scores[table.scores.task == task], cells, methods)
        axes.set_title(task, size=6.5)
        axes.set(xlabel="", ylabel="")
        axes.tick_params(axis="y", length=0, pad=2, labelsize=_NAME_SIZE)
    axes_of_tasks[0].set_ylim(len(methods) - 0.3, -0.5)
    axes_of_tasks[0].set_yticks(range(len(methods)), list(map(aggregates.label, methods)))
    for axes in axes_of_tasks:
        emphasize(axes.get_yticklabels(), methods, aggregates)
    figure.supxlabel(benchmark.raw_score)
    return figure


def _ranges(cells: pd.DataFrame, table: ScoreTable) -> pd.DataFrame:
    """By task: start and end of the axis, and human play (NaN where it is not known). Tasks of one scale share it."""
    references = table.tasks.set_index("task")
    human = references.high.where(references.high_means == "human play")
    by_task = cells.groupby("task")
    lowest = pd.concat([by_task.lowest.min(), references.low.clip(upper=0)], axis=1).min(axis=1)
    highest = pd.concat([by_task.highest.max(), human], axis=1).max(axis=1)
    if len(references[["low", "high"]].drop_duplicates()) == 1:
        lowest[:], highest[:] = lowest.min(), highest.max()
    return pd.DataFrame({"start": lowest, "end": highest, "human": human})


def _bars(axes: Axes, cells: pd.DataFrame, methods: list[str], own: list[str], ranges: pd.Series) -> None:
    start, end, human = ranges
    shown = cells.reindex(methods)
    colors = [tint(look(method, own).color, 0.75) for method in methods]
    axes.barh(range(len(methods)), shown["mean"] - start, left=start, height=0.74, color=colors, zorder=2)
    for row, cell in enumerate(shown.itertuples()):
        known = np.isfinite(cell.mean)
        place, text = (cell.highest, words.value(cell.mean)) if known else (start, "no score")
        appearance: dict[str, Any] = {"size": 5.2, "color": INK if known else QUIET, "bbox": GROUND, "zorder": 5}
        axes.annotate(text, (place, row), (3, 0), textcoords="offset points", va="center_baseline", **appearance)
    if np.isfinite(human):
        axes.axvline(human, color=INK, linewidth=0.7, linestyle=(0, (3, 2)), zorder=1)
    axes.set_xlim(start, start + 1.24 * (end - start))
    ticks = MaxNLocator(nbins=3, steps=[1, 2, 5, 10]).tick_values(start, end)
    axes.set_xticks([tick for tick in ticks if start <= tick <= end])
    axes.tick_params(axis="x", labelsize=5.5, pad=1.5)
    axes.xaxis.set_major_formatter(words.tick)


def _runs(axes: Axes, scores: pd.DataFrame, cells: pd.DataFrame, methods: list[str]) -> None:
    """Runs as points; a line instead where they are many."""
    many = cells[cells.n_seeds > _MOST_POINTS]
    many = many[many.index.isin(methods)]
    rows = [methods.index(method) for method in many.index]
    axes.hlines(rows, many.lowest, many.highest, color=INK, linewidth=0.6, zorder=3)
    points = scores[scores.method.isin(set(cells.index[cells.n_seeds.between(2, _MOST_POINTS)]) & set(methods))]
    rows_of_points = points.method.map(methods.index)
    axes.scatter(
        points.score, rows_of_points, s=2.2, color=INK, linewidth=0, zorder=4
    )  # stripplot takes 100 times as long


def _cell(number: float) -> str:
    """A number in few characters: "0.07", "14.3"."""
    digits = 1 if abs(number) >= 10 else 2
    return f"{round(number, digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")  # no negative zero


def heatmap_figure(aggregates: Aggregates, table: ScoreTable) -> Figure:
    """Mean normalised score of every method on every compared task, as numbers on a coloured ground."""
    benchmark, methods = aggregates.info, shown_methods(aggregates)
    human = bool((table.tasks.high_means == "human play").all())
    means = aggregates.cells.pivot(index="task", columns="method", values="normalized")
    means = means.reindex(index=aggregates.tasks, columns=methods)
    longest = max(len(line) for method in methods for line in wrapped(aggregates.label(method)).split("\n"))
    figure = page(
        WIDE,
        0.16 * len(means) + 0.05 * longest + 0.85,
        f"{benchmark.label}: normalised scores of every {benchmark.task_word}",
        words.warnings(aggregates),
    )
    axes = figure.subplots()
    scale = 100 if benchmark.percent else 1
    top = float(np.nanmax(means)) if not human else min(2.0, float(np.nanmax(means)))
    sns.heatmap(
        means,
        ax=axes,
        vmin=min(0.0, float(np.nanmin(means))) if not human else 0,
        vmax=top or 1,
        cmap="crest",
        annot=(scale * means).map(_cell),
        fmt="",
        annot_kws={"size": 5},
        linewidths=0.4,
        cbar_kws={"extend": "max" if np.nanmax(means) > top else "neither", "pad": 0.01, "aspect": 40},
    )
    axes.set(xlabel="", ylabel="")
    axes.set_xticks(
        np.arange(len(methods)) + 0.5, [wrapped(aggregates.label(method)) for method in methods], rotation=90
    )
    axes.tick_params(length=0)
    bar = axes.collections[0].colorbar
    assert bar is not None  # seaborn made it
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(min(8, 2 * len(means)))
    figure.supxlabel(f"{benchmark.normalized_score} {benchmark.scale}")
    format_scores(bar.ax.yaxis, benchmark)
    emphasize(axes.get_xticklabels(), methods, aggregates)
    return figure
