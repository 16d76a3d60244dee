"""Figures of estimates with intervals: one row per method."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.benchmarks import Benchmark
from m3.analysis.figures.page import page, text_width, write
from m3.analysis.metrics import METRICS
from m3.analysis.style import INK, NARROW, QUIET, WIDE, emphasized, look, tint

ROW = 0.185
_NAMES = 1.2
"""Inches left of the axes for names of methods, where none is longer."""
_NAME_SIZE = 7
_SEEDS = 22
"""Points between a name and the axes, for the seeds."""
_NUMBER_ROOM = 0.24
"""Share of an axis that is kept free for the number behind the longest bar."""
_PANELS = [metric for metric in METRICS.values() if metric.title]


def aggregates_figure(aggregates: Aggregates) -> Figure:
    """Mean, median, interquartile mean and optimality gap of every method that has all compared tasks."""
    benchmark = aggregates.info
    methods = aggregates.complete
    body = len(methods) * ROW
    sheet = page(
        WIDE,
        body + 0.6,
        f"{benchmark.label}: aggregate scores",
        f"{benchmark.normalized_score} {benchmark.scale}. {words.extent(aggregates)}. "
        f"Tick: estimate; bar: {words.intervals(aggregates.repetitions)}{_without_interval(aggregates, methods)}."
        f"{_one_task(aggregates)}",
        words.warnings(aggregates),
        words.not_shown(aggregates),
    )
    names = names_width(map(aggregates.label, methods))
    width = (WIDE - names - 0.1) / len(_PANELS)
    first = None
    for column, metric in enumerate(_PANELS):
        axes = sheet.axes(names + column * width, 0.4, width - 0.14, body, sharey=first)
        draw_intervals(axes, aggregates.metric(metric.name).loc[methods], aggregates)
        axes.set_title(metric.title)
        axes.set_xlabel(metric.direction, color=QUIET)
        if first is None:
            label_methods(axes, methods, aggregates)
        else:
            axes.tick_params(axis="y", labelleft=False)
        first = first or axes
    return sheet.figure


def iqm_figure(aggregates: Aggregates) -> Figure:
    """Bars of the interquartile mean of every method that has all compared tasks."""
    benchmark = aggregates.info
    methods = aggregates.complete
    body = len(methods) * ROW
    names = names_width(map(aggregates.label, methods))
    sheet = page(
        NARROW + names - _NAMES,
        body + 0.7,
        f"{benchmark.label}: interquartile mean (IQM)",
        f"{words.extent(aggregates)}. "
        f"Whiskers: {words.intervals(aggregates.repetitions)}{_without_interval(aggregates, methods)}.",
        words.warnings(aggregates),
        words.not_shown(aggregates),
    )
    axes = sheet.axes(names, 0.52, NARROW - _NAMES - 0.1, body)
    draw_bars(axes, aggregates.metric("iqm").loc[methods], aggregates)
    axes.set_xlabel(f"{benchmark.normalized_score}\n{benchmark.scale}")
    label_methods(axes, methods, aggregates)
    return sheet.figure


def improvement_figure(aggregates: Aggregates) -> Figure:
    """Probability that the reference scores higher than each other method, on the tasks that both have."""
    benchmark = aggregates.info
    rows = aggregates.improvement.set_index("method")
    reference = aggregates.reference
    body = max(1, len(rows)) * ROW
    names = names_width(map(aggregates.label, rows.index))
    sheet = page(
        NARROW + names - _NAMES,
        body + 0.56,
        f"{benchmark.label}: is {reference} better?",
        f"Probability that a run of {reference} scores higher than a run of the other method on the same "
        f"{benchmark.task_word}, averaged over {benchmark.task_word}s; a tie counts one half. "
        f"{words.extent(aggregates)}; {reference}: {words.seeds_in_words(aggregates, reference)}. "
        f"Tick: estimate; bar: {words.intervals(aggregates.repetitions)}.",
        words.warnings(aggregates),
        [] if len(rows) else ["There is no other method to compare with."],
    )
    axes = sheet.axes(names, 0.4, NARROW - _NAMES - 0.2, body)
    if len(rows):
        draw_intervals(axes, rows, aggregates, numbers=False)
        _note_missing_tasks(axes, rows, aggregates)
        axes.text(0, -0.72, "method is better", size=6.5, color=QUIET)
        axes.text(1, -0.72, f"{reference} is better", size=6.5, color=QUIET, ha="right")
    axes.axvline(0.5, color=QUIET, linewidth=0.8, zorder=1)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel(f"P({reference} > method)")
    label_methods(axes, rows.index.tolist(), aggregates)
    return sheet.figure


def _note_missing_tasks(axes: Axes, rows: pd.DataFrame, aggregates: Aggregates) -> None:
    """Beside a method that lacks some tasks: on how many it was compared."""
    benchmark = aggregates.info
    for row, value in enumerate(rows.itertuples()):
        if value.n_tasks < len(aggregates.tasks):
            text = f"{value.n_tasks} of {benchmark.tasks(len(aggregates.tasks))} only"
            place = (value.estimate, row)
            if value.estimate < 0.5:
                write(axes, text, place, (5, 0), color=QUIET)
            else:
                write(axes, text, place, (-5, 0), side="right", color=QUIET)


def draw_intervals(axes: Axes, rows: pd.DataFrame, aggregates: Aggregates, numbers: bool = True) -> None:
    """One row per method, from the top: a bar from low to high, a tick and a number at the estimate.

    Args:
        axes: where; its x limits are set to fit.
        rows: estimate, low, high (NaN for no interval), indexed by method.
        aggregates: where the rows come from.
        numbers: whether to write the estimates.
    """
    benchmark = aggregates.info
    for row, (method, value) in enumerate(rows.iterrows()):
        number = words.normalized(benchmark, value.estimate) if numbers else ""
        draw_interval(axes, row, value.estimate, value.low, value.high, look(str(method), aggregates.own).color, number)
    _rows(axes, len(rows))
    fit_intervals(axes, rows[["estimate", "low", "high"]].to_numpy())
    if numbers:
        format_scores(axes.xaxis, benchmark)


def draw_bars(axes: Axes, rows: pd.DataFrame, aggregates: Aggregates) -> None:
    """As ``draw_intervals``, with bars from 0 to the estimates and whiskers from low to high."""
    benchmark = aggregates.info
    for row, (method, value) in enumerate(rows.iterrows()):
        axes.barh(row, value.estimate, height=0.68, color=look(str(method), aggregates.own).color, zorder=2)
        if np.isfinite(value.low):
            for color, width in (("white", 2.4), (INK, 0.9)):  # a light edge: own bars are as dark as the line
                axes.plot([value.low, value.high], [row, row], color=color, linewidth=width, zorder=3)
        end = float(np.nanmax([value.estimate, value.high, 0]))
        write(axes, words.normalized(benchmark, value.estimate), (end, row))
    _rows(axes, len(rows))
    lowest, highest = np.nanmin(rows[["estimate", "low"]]), np.nanmax(rows[["estimate", "high"]])
    axes.set_xlim(min(0, 1.2 * lowest), (1 + _NUMBER_ROOM) * highest)
    axes.locator_params(axis="x", nbins=4)
    format_scores(axes.xaxis, benchmark)


def draw_interval(
    axes: Axes, row: float, estimate: float, low: float, high: float, color: str, number: str = ""
) -> None:
    """A tick at the estimate, a bar from low to high (NaN: none), and a number behind it."""
    if np.isfinite(low):
        axes.barh(row, high - low, left=low, height=0.62, color=tint(color), zorder=2)
    axes.plot([estimate] * 2, [row - 0.36, row + 0.36], color=color, linewidth=1.8, zorder=3)
    write(axes, number, (float(np.nanmax([estimate, high])), row))


def names_width(methods: Iterable[str]) -> float:
    """Inches that names and seeds take left of the axes."""
    longest = max((text_width(method, _NAME_SIZE, "medium") for method in methods), default=0.0)
    return max(_NAMES, longest + _SEEDS / 72 + 0.05)


def label_methods(axes: Axes, methods: Sequence[str], aggregates: Aggregates) -> None:
    """Left of the axes, a row per method: its name and its seeds per task. M3 and own methods stand out."""
    axes.set_yticks([])
    for row, method in enumerate(methods):
        weight = "medium" if emphasized(method, aggregates.own) else "normal"
        write(
            axes,
            aggregates.label(method),
            (0, row),
            (-_SEEDS, 0),
            side="right",
            left_edge=True,
            size=_NAME_SIZE,
            weight=weight,
        )
        write(axes, words.seeds(aggregates, method), (0, row), (-6, 0), side="right", left_edge=True, color=QUIET)
    write(axes, "seeds", (0, -0.5), (-2, 6), side="right", left_edge=True, color=QUIET)


def fit_intervals(axes: Axes, values: np.ndarray) -> None:
    """X limits around all values (NaN are left out), with room for the numbers."""
    lowest, highest = np.nanmin(values), np.nanmax(values)
    size = highest - lowest or max(0.1 * abs(highest), 0.01)
    axes.set_xlim(lowest - 0.06 * size, highest + (0.06 + _NUMBER_ROOM) * size)
    axes.locator_params(axis="x", nbins=4)


def format_scores(axis: Axis, benchmark: Benchmark) -> None:
    """Ticks of an axis of normalised scores."""
    if benchmark.percent:
        axis.set_major_formatter(lambda number, _: f"{100 * number:g}%")
    else:
        axis.set_major_formatter(words.tick)


def _rows(axes: Axes, count: int) -> None:
    axes.set_ylim(count - 0.5, -0.5)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _one_task(aggregates: Aggregates) -> str:
    word = aggregates.info.task_word
    return f" Of one {word}, mean and median are the same." if len(aggregates.tasks) == 1 else ""


def _without_interval(aggregates: Aggregates, methods: Sequence[str]) -> str:
    """Which methods have none: "; none for EfficientZero (1 seed)"."""
    rows = aggregates.methods.set_index("method").loc[list(methods)]
    single = rows.index[rows.n_seeds_max == 1].tolist()
    return f"; none for {', '.join(single)} (1 seed)" if single else ""
