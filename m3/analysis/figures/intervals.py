"""Figures of estimates with intervals: one row per method."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.page import GROUND, HALO, fit_rows, format_scores, label_methods, note, page, places
from m3.analysis.metrics import METRICS
from m3.analysis.scores import ScoreTable
from m3.analysis.style import INK, NARROW, QUIET, WIDE, Color, look, tint

ROW = 0.175
"""Inches per method."""
_NAMES = 1.2
"""Inches that names of methods take of a narrow figure, about."""
_NUMBER_ROOM = 0.22
"""Share of an axis that is kept free for the number behind the longest bar."""
_PANELS = [metric for metric in METRICS.values() if metric.title]


def height_of(aggregates: Aggregates, methods: Sequence[str]) -> float:
    """Inches of the rows of methods; long names take two lines."""
    lines = sum(0.62 * (len(aggregates.label(method)) > 28) for method in methods)
    return (max(places(aggregates, methods), default=0) + 1.1 + lines) * ROW


def aggregates_figure(aggregates: Aggregates, _: ScoreTable) -> Figure:
    """Mean, median, interquartile mean and optimality gap of every method that has all compared tasks."""
    benchmark, methods = aggregates.info, aggregates.complete
    figure = page(
        WIDE,
        height_of(aggregates, methods) + 0.75,
        f"{benchmark.label}: aggregate scores",
        words.warnings(aggregates),
        note=f"Bars: {words.intervals(aggregates.repetitions)}",
    )
    axes = figure.subplots(1, len(_PANELS), sharey=True)
    for panel, metric in zip(axes, _PANELS, strict=True):
        draw_intervals(panel, aggregates.metric(metric.name).loc[methods], aggregates)
        panel.set_title(metric.title)
        panel.set_xlabel(metric.direction, color=QUIET)
        panel.tick_params(axis="y", which="both", length=0)
    label_methods(axes[0], methods, aggregates)
    figure.supxlabel(f"{benchmark.normalized_score} {benchmark.scale}")
    return figure


def iqm_figure(aggregates: Aggregates, table: ScoreTable) -> Figure:
    """Bars of the interquartile mean of every method that has all compared tasks; of one task, with its runs."""
    benchmark, methods = aggregates.info, aggregates.complete
    figure = page(
        NARROW,
        height_of(aggregates, methods) + 0.65,
        f"{benchmark.label}: interquartile mean",
        words.warnings(aggregates),
        note=f"Whiskers: {words.intervals(aggregates.repetitions)}",
    )
    axes = figure.subplots()
    draw_bars(axes, aggregates, methods, table if len(aggregates.tasks) == 1 else None)
    axes.set_xlabel(f"{benchmark.normalized_score}\n{benchmark.scale}")
    return figure


def improvement_figure(aggregates: Aggregates, _: ScoreTable) -> Figure:
    """Probability that the reference scores higher than each other method, on the tasks that both have."""
    rows, reference = aggregates.improvement.set_index("method"), aggregates.reference
    methods = rows.index.tolist()
    figure = page(
        NARROW,
        height_of(aggregates, methods) + 0.65,
        f"{aggregates.info.label}: is {reference} better?",
        words.warnings(aggregates),
        note=f"Bars: {words.intervals(aggregates.repetitions)}",
    )
    axes = figure.subplots()
    if not methods:
        note(axes, "There is no other method to compare with.")
        return figure
    draw_intervals(axes, rows, aggregates, lambda _: "")
    _note_missing_tasks(axes, rows, aggregates)
    axes.axvline(0.5, color=QUIET, linewidth=0.8, zorder=1)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel(f"P({reference} > method)\nabove 0.5: {reference} is better")
    label_methods(axes, methods, aggregates)
    return figure


def _note_missing_tasks(axes: Axes, rows: pd.DataFrame, aggregates: Aggregates) -> None:
    """Beside a method that lacks some tasks: on how many it was compared."""
    for place, value in zip(places(aggregates, rows.index), rows.itertuples(), strict=True):
        if value.n_tasks < len(aggregates.tasks):
            text = f"{value.n_tasks} of {aggregates.info.tasks(len(aggregates.tasks))} only"
            left = value.estimate < 0.5
            x, side = (np.nanmax([value.estimate, value.high]) + 0.03, "left") if left else (0.47, "right")
            axes.text(x, place, text, ha=side, va="center_baseline", size=6, color=QUIET, bbox=GROUND)


def draw_intervals(
    axes: Axes, rows: pd.DataFrame, aggregates: Aggregates, text: Callable[[float], str] | None = None
) -> None:
    """One row per method, from the top: a bar from low to high, a tick and a number at the estimate.

    Args:
        axes: where; its x limits are set to fit.
        rows: estimate, low, high (NaN for no interval), indexed by method.
        aggregates: where the rows come from.
        text: the words of an estimate; none: as a normalised score.
    """
    colors = [look(str(method), aggregates.own).color for method in rows.index]
    texts = [(text or partial(words.normalized, aggregates.info))(value) for value in rows.estimate]
    interval_rows(axes, places(aggregates, rows.index), rows, colors, texts)
    if text is None:
        format_scores(axes.xaxis, aggregates.info)


def interval_rows(
    axes: Axes, where: Sequence[float], rows: pd.DataFrame, colors: Sequence[Color], texts: Sequence[str]
) -> None:
    """Bars from low to high, ticks at the estimates, and texts behind the bars."""
    low, high = rows.low.fillna(rows.estimate), rows.high.fillna(rows.estimate)
    bars = axes.barh(where, high - low, left=low, height=0.62, color=list(map(tint, colors)), zorder=2)
    half = np.full(len(rows), 0.36)
    axes.vlines(rows.estimate, where - half, where + half, color=colors, linewidth=1.8, zorder=3)
    axes.bar_label(bars, texts, padding=3, size=6, color=INK, bbox=GROUND)
    lowest, highest = low.min(), high.max()
    size = highest - lowest or max(0.1 * abs(highest), 0.01)
    axes.set_xlim(lowest - 0.06 * size, highest + (0.06 + _NUMBER_ROOM) * size)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="x")
    fit_rows(axes, where)


def draw_bars(axes: Axes, aggregates: Aggregates, methods: Sequence[str], runs: ScoreTable | None = None) -> None:
    """One row per method, from the top: its name, a bar from 0 to its IQM, a whisker from low to high, a number.

    Args:
        axes: where.
        aggregates: the statistics.
        methods: those that are shown.
        runs: scores of a single task; they are shown as points. None: they are not.
    """
    rows, where = aggregates.metric("iqm").loc[list(methods)], places(aggregates, methods)
    low, high = rows.low.fillna(rows.estimate), rows.high.fillna(rows.estimate)
    bars = axes.barh(
        where,
        rows.estimate,
        xerr=np.array([rows.estimate - low, high - rows.estimate]),
        height=0.68,
        color=[look(method, aggregates.own).color for method in methods],
        error_kw={"ecolor": INK, "elinewidth": 0.9, "path_effects": HALO, "zorder": 3},
        zorder=2,
    )
    texts = [words.normalized(aggregates.info, value) for value in rows.estimate]
    lowest, highest = min(0, 1.2 * low.min()), max(high.max(), 0.01)
    if runs is None:
        axes.bar_label(bars, texts, padding=3, size=6, bbox=GROUND)
    else:
        scores = _run_points(axes, aggregates, runs, dict(zip(methods, where, strict=True)))
        lowest, highest = min(lowest, 1.2 * scores.min()), max(highest, scores.max())
        for row, text in zip(where, texts, strict=True):
            axes.text(1, row, text, transform=axes.get_yaxis_transform(), size=6, ha="right", va="center_baseline")
    axes.set_xlim(lowest, (1 + _NUMBER_ROOM) * highest)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="x")
    format_scores(axes.xaxis, aggregates.info)
    fit_rows(axes, where)
    label_methods(axes, methods, aggregates)


def _run_points(axes: Axes, aggregates: Aggregates, table: ScoreTable, where: Mapping[str, float]) -> pd.Series:
    """Draw the runs as points in the rows of their methods; returns their scores."""
    runs = table.scores[table.scores.task.isin(aggregates.tasks) & table.scores.method.isin(where)]
    points = pd.DataFrame({"x": table.normalize(runs.task, runs.score), "y": runs.method.map(where).to_numpy()})
    appearance = {"size": 2.6, "color": "white", "edgecolor": INK, "linewidth": 0.5, "zorder": 4}
    sns.stripplot(points, x="x", y="y", orient="h", native_scale=True, jitter=False, ax=axes, **appearance)
    axes.set(xlabel="", ylabel="")
    return points.x
