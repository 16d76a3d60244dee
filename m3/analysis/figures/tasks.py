"""Scores of every task: one panel per task, one bar per method."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.page import Grid, axis_label, page, text_width, write
from m3.analysis.scores import ScoreTable
from m3.analysis.style import INK, QUIET, WIDE, emphasized, look

_NAMES = 0.92
"""Inches left of the first panels for names of methods, where none is longer."""
_NAME_SIZE = 5.5
_ROW = 0.098
_BELOW = 0.25
"""Rows of room below the last bar, so that the ground of its number leaves the axis alone."""
_SHORT_NAME = 16
_LEAST_SHARE = 0.5
"""Methods with less than this share of the tasks have no bars: a footnote gives their scores."""


def tasks_figure(aggregates: Aggregates, table: ScoreTable) -> Figure:
    """Mean raw score of every method on every compared task, with the range of its seeds."""
    benchmark = aggregates.info
    counts = aggregates.methods.set_index("method").n_tasks
    methods = counts.index[counts >= _LEAST_SHARE * len(aggregates.tasks)].tolist()
    row_height = _ROW if len(aggregates.tasks) > 2 else 2 * _ROW
    grid = Grid.balanced(
        len(aggregates.tasks),
        most_columns=6 if max(map(len, aggregates.tasks)) <= _SHORT_NAME else 5,
        left=max(_NAMES, 0.1 + max(text_width(method, _NAME_SIZE, "medium") for method in methods)),
        bottom=0.38,
        panel_height=(len(methods) + _BELOW) * row_height,
        column_gap=0.1,
        row_gap=0.42,
    )
    sheet = page(
        WIDE,
        grid.height,
        f"{benchmark.label}: scores of every {benchmark.task_word}",
        f"{words.extent(aggregates)}. Bar and number: mean over seeds; whisker: lowest to highest seed. "
        f"{words.seeds_of_all(aggregates, methods)}.{_human(table)}",
        words.warnings(aggregates),
        [_scores_in_words(aggregates, method) for method in counts.index.difference(methods)],
    )
    ranges = _ranges(aggregates.cells, table)
    for index, task in enumerate(aggregates.tasks):
        axes = grid.axes(sheet, index)
        cells = aggregates.cells[aggregates.cells.task == task].set_index("method")
        _bars(axes, cells, methods, aggregates.own, ranges.loc[task])
        axes.set_title(task, size=6.5)
        if grid.is_first_column(index):
            _label(axes, methods, aggregates.own)
    axis_label(sheet, benchmark.raw_score, grid.left, WIDE)
    return sheet.figure


def _scores_in_words(aggregates: Aggregates, method: str) -> str:
    cells = aggregates.cells[aggregates.cells.method == method]
    if cells.empty:
        return f"{method}: no scores here."
    scores = ", ".join(f"{cell.task} {words.value(cell.mean)}" for cell in cells.itertuples())
    return f"{method} ({words.seeds_in_words(aggregates, method)}): {scores}."


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
    scored = [method for method in methods if method in cells.index]
    rows = np.array([methods.index(method) for method in scored])
    shown = cells.loc[scored]
    colors = [look(method, own).color for method in scored]
    axes.barh(rows, shown["mean"] - start, left=start, height=0.74, color=colors, zorder=2)
    several = (shown.n_seeds > 1).to_numpy()
    axes.hlines(rows[several], shown.lowest[several], shown.highest[several], color=INK, linewidth=0.6, zorder=3)
    for row, cell in zip(rows, shown.itertuples(), strict=True):
        write(axes, words.value(cell.mean), (cell.highest, row), (2, 0), size=5.2, halo=True)
    for row in sorted(set(range(len(methods))) - set(rows)):
        write(axes, "no score", (start, row), (2, 0), size=5.2, color=QUIET)
    if np.isfinite(human):
        axes.axvline(human, color=INK, linewidth=0.7, linestyle=(0, (3, 2)), zorder=1)
    axes.set_ylim(len(methods) - 0.5 + _BELOW, -0.5)
    axes.set_xlim(start, start + 1.22 * (end - start))
    axes.set_xticks(
        [tick for tick in MaxNLocator(nbins=3, steps=[1, 2, 5, 10]).tick_values(start, end) if start <= tick <= end]
    )
    axes.tick_params(axis="x", labelsize=5.5, pad=1.5)
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(words.tick)


def _label(axes: Axes, methods: list[str], own: list[str]) -> None:
    axes.set_yticks(range(len(methods)), methods, fontsize=_NAME_SIZE)
    axes.tick_params(axis="y", length=0, pad=2)
    for label, method in zip(axes.get_yticklabels(), methods, strict=True):
        label.set_fontweight("medium" if emphasized(method, own) else "normal")


def _human(table: ScoreTable) -> str:
    human = (table.tasks.high_means == "human play").all()
    return " Dashed line: human play." if human else ""
