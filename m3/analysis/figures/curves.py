"""Learning curves of all methods."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.page import format_scores, grid_rows, is_first_column, page, panels
from m3.analysis.scores import ScoreTable
from m3.analysis.style import FAINT, WIDE, emphasized, look

_GAP = 9.0
"""Least distance between labels at the ends of curves, in points."""
_MARKERS = 8
"""Markers along a curve."""
_FEW = 3
"""Final scores of more methods than these have no intervals, which would hide each other."""
_HIGHLIGHTED = 6
_COLUMNS = 5


def draw_curves(axes: Axes, rows: pd.DataFrame, own: Sequence[str], marked: bool = True) -> None:
    """Lines and bands.

    Args:
        axes: where.
        rows: method, steps, middle, low, high.
        own: the own methods, in order.
        marked: whether lines carry the markers of their methods.
    """
    looks = {str(method): look(str(method), own) for method in rows.method.unique()}
    for method, curve in rows.groupby("method", sort=False):
        color, front = looks[str(method)].color, 3 if emphasized(str(method), own) else 2
        axes.fill_between(curve.steps, curve.low, curve.high, color=color, alpha=0.13, linewidth=0, zorder=1)
        sns.lineplot(
            curve,
            x="steps",
            y="middle",
            estimator=None,
            color=color,
            linestyle=looks[str(method)].line,
            linewidth=1.8 if emphasized(str(method), own) else 1.1,
            marker=looks[str(method)].marker if marked else None,
            markersize=3.2,
            markeredgewidth=0,
            markevery=max(1, len(curve) // _MARKERS),
            zorder=front,
            ax=axes,
        )
    axes.set(xlabel="", ylabel="")


def curves_figure(aggregates: Aggregates, _: ScoreTable) -> Figure:
    """IQM of the normalised score against steps; methods without curves are a point at the end."""
    benchmark = aggregates.info
    curves = aggregates.curves.rename(columns={"estimate": "middle"})
    finals = aggregates.metric("iqm").loc[aggregates.complete]
    steps = aggregates.methods.set_index("method").steps
    points = [method for method in aggregates.complete if method not in set(curves.method)]
    ends = curves.groupby("method").middle.last().to_dict() | finals.estimate[points].to_dict()
    height = max(2.9, len(ends) * _GAP / 72 + 0.3)
    note = f"Interquartile mean; bands: {words.intervals(aggregates.band_repetitions)}"
    figure = page(WIDE, height + 0.4, f"{benchmark.label}: learning curves", words.warnings(aggregates), note=note)
    axes = figure.subplots()
    draw_curves(axes, curves, aggregates.own)
    for method in points:
        _final_point(axes, method, steps[method], finals.loc[method], aggregates.own, whisker=len(points) <= _FEW)
    last = max(curves.steps.max() if len(curves) else 0, steps[points].max() if points else 0)
    values = pd.concat([curves[["low", "high", "middle"]], finals[["low", "high", "estimate"]]])
    axes.set_xlim(0, last * 1.02)
    axes.set_ylim(min(0, values.min(axis=None)), 1.05 * values.max(axis=None))
    axes.grid(axis="y")
    axes.xaxis.set_major_formatter(lambda number, _: words.steps(number))
    format_scores(axes.yaxis, benchmark)
    axes.set_xlabel(benchmark.step_axis)
    axes.set_ylabel(f"{benchmark.normalized_score} {benchmark.scale}")
    _label_ends(axes, ends, height * 72 - 12, aggregates)
    return figure


def _final_point(
    axes: Axes, method: str, step: float, row: pd.Series, own: Sequence[str], whisker: bool = True
) -> None:
    color, marker = look(method, own).color, look(method, own).marker
    if whisker:
        axes.plot([step, step], [row.low, row.high], color=color, linewidth=3, alpha=0.5, zorder=4)
    axes.plot(step, row.estimate, marker, color=color, markersize=5, markeredgewidth=0, zorder=5, clip_on=False)


def _label_ends(axes: Axes, ends: Mapping[str, float], height: float, aggregates: Aggregates) -> None:
    """Marker, name and value right of the axes, at the height of the curves' ends or as near as there is room.

    Args:
        axes: where.
        ends: last value by method.
        height: of the axes in points, about.
        aggregates: where the values come from.
    """
    low, high = axes.get_ylim()
    methods = sorted(ends, key=lambda method: -ends[method])
    wanted = np.array([(ends[method] - low) / (high - low) * height for method in methods])
    for method, start, place in zip(methods, wanted, spread(wanted, _GAP, height), strict=True):
        appearance = look(method, aggregates.own)
        outside: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False, "color": appearance.color}
        axes.plot([1.005, 1.05], [start / height, place / height], linewidth=0.5, **(outside | {"color": FAINT}))
        axes.plot(1.065, place / height, appearance.marker, markersize=3.8, markeredgewidth=0, **outside)
        axes.text(
            1.08,
            place / height,
            f"{words.normalized(aggregates.info, ends[method])}  {aggregates.label(method)}",
            color=appearance.color,
            size=6,
            weight="medium" if emphasized(method, aggregates.own) else "normal",
            va="center_baseline",
            transform=axes.transAxes,
        )


def spread(wanted: np.ndarray, gap: float, height: float) -> np.ndarray:
    """Places for labels: at least ``gap`` apart and, by least squares, nearest to the wanted ones.

    Args:
        wanted: (n,) in descending order.
        gap: the least distance.
        height: places are from 0 to it, as far as there is room for all.
    """
    offsets = gap * np.arange(len(wanted))
    groups: list[list[float]] = []  # of labels that touch; pooling neighbours that violate the order is optimal
    for target in wanted + offsets:
        groups.append([target])
        while len(groups) > 1 and np.mean(groups[-1]) > np.mean(groups[-2]):
            groups[-2:] = [groups[-2] + groups[-1]]
    free = np.concatenate([np.full(len(group), np.mean(group)) for group in groups])
    return np.clip(free, offsets[-1], height) - offsets


def task_curves_figure(aggregates: Aggregates, _: ScoreTable) -> Figure:
    """Mean raw score of every task against steps: the best methods in colour, the others in grey."""
    benchmark, own = aggregates.info, aggregates.own
    curves = aggregates.task_curves.rename(columns={"mean": "middle", "lowest": "low", "highest": "high"})
    methods = [method for method in aggregates.methods.method if method in set(curves.method)]
    colored = [*methods[:_HIGHLIGHTED], *(method for method in own if method in methods[_HIGHLIGHTED:])]
    points = [
        method
        for method in (aggregates.reference, *own)
        if method not in methods and method in set(aggregates.cells.method)
    ]
    key = [_handle(aggregates, name, name in points) for name in [*points, *colored]]
    if len(colored) < len(methods):
        key.append(Line2D([], [], color=FAINT, label="others"))
    tasks = len(aggregates.tasks)
    figure = page(
        WIDE,
        1.13 * grid_rows(tasks, _COLUMNS) + 0.35,
        f"{benchmark.label}: learning curves of every {benchmark.task_word}",
        words.warnings(aggregates),
        key,
    )
    one_scale = aggregates.metric("raw_mean").size > 0
    last = int(curves.steps.max()) if len(curves) else benchmark.agent_steps or 1
    cells = aggregates.cells.set_index(["method", "task"])
    for axes, task in zip(panels(figure, tasks, _COLUMNS, sharey=one_scale), aggregates.tasks, strict=True):
        rows = curves[curves.task == task]
        for _name, rest in rows[~rows.method.isin(colored)].groupby("method"):
            axes.plot(rest.steps, rest.middle, color=FAINT, linewidth=0.7, zorder=1)
        draw_curves(axes, rows[rows.method.isin(colored)].assign(low=np.nan, high=np.nan), own, marked=False)
        for method in points:
            if (method, task) in cells.index:
                cell = cells.loc[(method, task)]
                _final_point(
                    axes, method, last, cell.rename({"mean": "estimate", "lowest": "low", "highest": "high"}), own
                )
        axes.set_title(task, size=6.5)
        axes.set_xlim(0, last * 1.04)
        axes.grid(axis="y")
        axes.locator_params(nbins=2 if one_scale else 3)
        axes.xaxis.set_major_formatter(lambda number, _: words.steps(number))
        axes.yaxis.set_major_formatter(words.tick)
        axes.tick_params(labelsize=6)
        if is_first_column(axes):
            axes.set_ylabel(benchmark.raw_score)
    figure.supxlabel(benchmark.step_axis)
    return figure


def _handle(aggregates: Aggregates, method: str, is_point: bool) -> Line2D:
    appearance = look(method, aggregates.own)
    line = {"linestyle": "none", "marker": appearance.marker} if is_point else {"linestyle": appearance.line}
    label = f"{aggregates.label(method)}{', final score' if is_point else ''}"
    return Line2D([], [], color=appearance.color, markersize=4, label=label, **line)
