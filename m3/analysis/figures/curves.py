"""Learning curves of all methods."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.intervals import format_scores
from m3.analysis.figures.page import Grid, axis_label, page
from m3.analysis.style import FAINT, WIDE, Look, emphasized, look

_LABEL_GAP = 9.0
"""Least distance between labels at the ends of curves, in points."""
_MARKERS = 8
"""Markers along a curve."""
_HIGHLIGHTED = 4


def curves_figure(aggregates: Aggregates) -> Figure:
    """IQM of the normalised score against steps; methods without curves are a point at the end."""
    benchmark = aggregates.info
    curves = {str(method): rows for method, rows in aggregates.curves.groupby("method")}
    without = [method for method in aggregates.complete if method not in curves]
    height, left, right, bottom = 2.9, 0.48, 1.3, 0.4
    points = f" {', '.join(without)}: final score only." if without else ""
    sheet = page(
        WIDE,
        height + bottom + 0.08,
        f"{benchmark.label}: learning curves",
        f"Interquartile mean over all runs. {words.tasks(aggregates)}, "
        f"{words.seeds_of_all(aggregates, aggregates.complete)}. "
        f"Bands: {words.intervals(aggregates.band_repetitions)}.{points} "
        "A curve starts where all runs of its method have been logged.",
        words.warnings(aggregates),
        words.not_shown(aggregates),
    )
    axes = sheet.axes(left, bottom, WIDE - left - right, height)
    last_step = max(rows.steps.max() for rows in curves.values())
    ends = {method: _curve(axes, method, rows, aggregates.own) for method, rows in curves.items()}
    finals = aggregates.metric("iqm")
    ends |= {method: _final_point(axes, method, finals.loc[method], last_step, aggregates.own) for method in without}
    axes.set_xlim(0, last_step * 1.02)
    shown = aggregates.curves
    axes.set_ylim(min(0, shown.low.min()), 1.08 * max(shown.high.max(), *ends.values()))
    axes.grid(axis="y")
    axes.xaxis.set_major_formatter(lambda number, _: words.steps(number))
    format_scores(axes.yaxis, benchmark)
    axes.set_xlabel(benchmark.step_axis)
    axes.set_ylabel(f"{benchmark.normalized_score} {benchmark.scale}")
    _label_ends(axes, ends, (WIDE - left - right) * 72, height * 72, aggregates)
    return sheet.figure


def task_curves_figure(aggregates: Aggregates) -> Figure:
    """Mean raw score of every task against steps: the best methods in colour, the others in grey."""
    benchmark = aggregates.info
    curves = dict(list(aggregates.task_curves.groupby(["method", "task"])))
    methods = [m for m in aggregates.methods.method if m in set(aggregates.task_curves.method)]
    highlighted = [*methods[:_HIGHLIGHTED], *(method for method in aggregates.own if method in methods[_HIGHLIGHTED:])]
    grey = [method for method in methods if method not in highlighted]
    points = [method for method in aggregates.methods.method if method not in methods]
    grid = Grid.balanced(
        len(aggregates.tasks), most_columns=5, left=0.46, bottom=0.42, panel_height=0.86, column_gap=0.14, row_gap=0.38
    )
    whiskers = f" (whiskers of {', '.join(points)}: lowest to highest seed)" if points else ""
    others = f" Grey: {', '.join(grey)}." if grey else ""
    finals = f" Points: final scores of {', '.join(points)}, which has no curves." if points else ""
    sheet = page(
        WIDE,
        grid.height,
        f"{benchmark.label}: learning curves of every {benchmark.task_word}",
        f"Mean over seeds{whiskers}. {words.seeds_of_all(aggregates, [*methods, *points])}.{others}{finals}",
        words.warnings(aggregates),
        key=[_handle(name, look(name, aggregates.own), name in points) for name in [*points, *highlighted]],
    )
    last_step = int(aggregates.task_curves.steps.max())
    cells = aggregates.cells.set_index(["method", "task"])
    for index, task in enumerate(aggregates.tasks):
        axes = grid.axes(sheet, index)
        for method in methods:
            if (method, task) in curves:
                _task_curve(axes, look(method, aggregates.own), curves[method, task], method in grey)
        for method in points:
            if (method, task) in cells.index:
                _task_point(axes, look(method, aggregates.own), cells.loc[(method, task)], last_step)
        axes.set_title(task, size=6.5)
        axes.set_xlim(0, last_step * 1.04)
        axes.set_ylim(0, aggregates.task_curves.highest.max() * 1.02)
        axes.grid(axis="y")
        axes.locator_params(nbins=2)
        axes.xaxis.set_major_formatter(lambda number, _: words.steps(number))
        axes.yaxis.set_major_formatter(words.tick)
        axes.tick_params(labelleft=grid.is_first_column(index), labelsize=6)
        if grid.is_first_column(index):
            axes.set_ylabel(benchmark.raw_score)
    axis_label(sheet, benchmark.step_axis, grid.left, WIDE)
    return sheet.figure


def _task_curve(axes: Axes, appearance: Look, rows: pd.DataFrame, faint: bool) -> None:
    if faint:
        axes.plot(rows.steps, rows["mean"], color=FAINT, linewidth=0.7, zorder=1)
    else:
        axes.plot(rows.steps, rows["mean"], color=appearance.color, linestyle=appearance.line, zorder=3)


def _task_point(axes: Axes, appearance: Look, cell: pd.Series, step: int) -> None:
    axes.vlines(step, cell.lowest, cell.highest, color=appearance.color, linewidth=1.2, zorder=4, clip_on=False)
    axes.plot(step, cell["mean"], appearance.marker, color=appearance.color, markersize=4, zorder=5, clip_on=False)


def _handle(method: str, appearance: Look, is_point: bool) -> Line2D:
    line = {"linestyle": "none", "marker": appearance.marker} if is_point else {"linestyle": appearance.line}
    return Line2D([], [], color=appearance.color, markersize=4, label=method, **line)


def _curve(axes: Axes, method: str, rows: pd.DataFrame, own: Sequence[str]) -> float:
    """Draw a curve; returns its last value."""
    appearance = look(method, own)
    front = 3 if emphasized(method, own) else 2
    axes.fill_between(
        rows.steps, rows.low, rows.high, color=appearance.color, alpha=0.13, linewidth=0, zorder=front - 1
    )
    axes.plot(
        rows.steps,
        rows.estimate,
        color=appearance.color,
        linestyle=appearance.line,
        linewidth=1.8 if emphasized(method, own) else 1.1,
        marker=appearance.marker,
        markersize=3.2,
        markevery=max(1, len(rows) // _MARKERS),
        zorder=front,
    )
    return float(rows.estimate.iloc[-1])


def _final_point(axes: Axes, method: str, row: pd.Series, step: float, own: Sequence[str]) -> float:
    """Draw a final score; returns it."""
    appearance = look(method, own)
    axes.plot([step, step], [row.low, row.high], color=appearance.color, linewidth=3, alpha=0.5, zorder=4)
    axes.plot(
        step, row.estimate, marker=appearance.marker, color=appearance.color, markersize=5, zorder=5, clip_on=False
    )
    return float(row.estimate)


def _label_ends(axes: Axes, ends: dict[str, float], width: float, height: float, aggregates: Aggregates) -> None:
    """Marker, name and value right of the axes, at the height of the curves' ends or as near as there is room.

    Args:
        axes: where.
        ends: last value by method.
        width, height: size of the axes in points.
        aggregates: where the values come from.
    """
    benchmark = aggregates.info
    low, high = axes.get_ylim()
    methods = sorted(ends, key=lambda method: -ends[method])
    wanted = np.array([(ends[method] - low) / (high - low) * height for method in methods])
    outside: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    for method, start, place in zip(methods, wanted, spread(wanted, _LABEL_GAP), strict=True):
        appearance = look(method, aggregates.own)
        line, marker, text = (1 + points / width for points in (20, 26, 33))
        axes.plot([1.005, line], [start / height, place / height], color=FAINT, linewidth=0.6, **outside)
        axes.plot(marker, place / height, appearance.marker, color=appearance.color, markersize=3.8, **outside)
        axes.text(
            text,
            place / height,
            f"{method}  {words.normalized(benchmark, ends[method])}",
            color=appearance.color,
            size=6.5,
            weight="medium" if emphasized(method, aggregates.own) else "normal",
            va="center_baseline",
            transform=axes.transAxes,
        )


def spread(wanted: np.ndarray, gap: float) -> np.ndarray:
    """Places for labels: at least ``gap`` apart and, by least squares, nearest to the wanted ones.

    Args:
        wanted: (n,) in descending order.
    """
    offsets = gap * np.arange(len(wanted))
    groups: list[list[float]] = []  # of labels that touch; pooling neighbours that violate the order is optimal
    for target in wanted + offsets:
        groups.append([target])
        while len(groups) > 1 and np.mean(groups[-1]) > np.mean(groups[-2]):
            groups[-2:] = [groups[-2] + groups[-1]]
    return np.concatenate([np.full(len(group), np.mean(group)) for group in groups]) - offsets
