"""Figures of estimates with intervals: one row per method."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.benchmarks import Benchmark, benchmark_info
from m3.analysis.figures.page import page
from m3.analysis.style import INK, NARROW, QUIET, WIDE, emphasized, look, tint

ROW = 0.185
_NAMES = 1.2
_METRICS = {
    "mean": ("Mean", "higher is better"),
    "median": ("Median", "higher is better"),
    "iqm": ("Interquartile mean (IQM)", "higher is better"),
    "optimality_gap": ("Optimality gap", "lower is better"),
}


def aggregates_figure(aggregates: Aggregates) -> Figure:
    """Mean, median, interquartile mean and optimality gap of every method that has all compared tasks."""
    benchmark = benchmark_info(aggregates.benchmark)
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
    width = (WIDE - _NAMES - 0.1) / len(_METRICS)
    first = None
    for column, (name, (title, better)) in enumerate(_METRICS.items()):
        axes = sheet.axes(_NAMES + column * width, 0.4, width - 0.14, body, sharey=first)
        draw_intervals(axes, aggregates.metric(name).loc[methods], aggregates)
        axes.set_title(title)
        axes.set_xlabel(better, color=QUIET)
        if first is None:
            label_methods(axes, methods, aggregates)
        else:
            axes.tick_params(axis="y", labelleft=False)
        first = first or axes
    return sheet.figure


def iqm_figure(aggregates: Aggregates) -> Figure:
    """Bars of the interquartile mean of every method that has all compared tasks."""
    benchmark = benchmark_info(aggregates.benchmark)
    methods = aggregates.complete
    rows = aggregates.metric("iqm").loc[methods]
    body = len(methods) * ROW
    sheet = page(
        NARROW,
        body + 0.7,
        f"{benchmark.label}: interquartile mean (IQM)",
        f"{words.extent(aggregates)}. "
        f"Whiskers: {words.intervals(aggregates.repetitions)}{_without_interval(aggregates, methods)}.",
        words.warnings(aggregates),
        words.not_shown(aggregates),
    )
    axes = sheet.axes(_NAMES, 0.52, NARROW - _NAMES - 0.1, body)
    for row, (method, value) in enumerate(rows.iterrows()):
        appearance = look(str(method), aggregates.own)
        axes.barh(row, value.estimate, height=0.68, color=appearance.color, zorder=2)
        if np.isfinite(value.low):
            axes.plot([value.low, value.high], [row, row], color=INK, linewidth=0.9, zorder=3)
        end = value.high if np.isfinite(value.high) else value.estimate
        _number(axes, end, row, words.normalized(benchmark, value.estimate))
    _rows(axes, len(methods))
    ends = rows[["estimate", "high"]].max(axis=1)
    axes.set_xlim(min(0, rows.low.min(skipna=True) * 1.1, rows.estimate.min()), ends.max() * 1.16)
    axes.set_xlabel(f"{benchmark.normalized_score}\n{benchmark.scale}")
    format_scores(axes.xaxis, benchmark)
    label_methods(axes, methods, aggregates)
    return sheet.figure


def improvement_figure(aggregates: Aggregates) -> Figure:
    """Probability that the reference scores higher than each other method, on the tasks that both have."""
    benchmark = benchmark_info(aggregates.benchmark)
    rows = aggregates.improvement.set_index("method")
    reference = aggregates.improvement.reference.iloc[0]
    body = len(rows) * ROW
    sheet = page(
        NARROW,
        body + 0.56,
        f"{benchmark.label}: is {reference} better?",
        f"Probability that a run of {reference} scores higher than a run of the other method on the same "
        f"{benchmark.task_word}, averaged over {benchmark.task_word}s; a tie counts one half. "
        f"{words.extent(aggregates)}; {reference}: {words.seeds_in_words(aggregates, reference)}. "
        f"Tick: estimate; bar: {words.intervals(aggregates.repetitions)}.",
        words.warnings(aggregates),
    )
    axes = sheet.axes(_NAMES, 0.4, NARROW - _NAMES - 0.2, body)
    draw_intervals(axes, rows, aggregates, numbers=False)
    for row, value in enumerate(rows.itertuples()):
        if value.n_tasks < len(aggregates.tasks):
            note = f"{value.n_tasks} of {benchmark.tasks(len(aggregates.tasks))} only"
            side = value.estimate < 0.5
            axes.annotate(
                note,
                (value.estimate, row),
                xytext=(5 if side else -5, 0),
                textcoords="offset points",
                size=6,
                color=QUIET,
                va="center",
                ha="left" if side else "right",
            )
    axes.axvline(0.5, color=QUIET, linewidth=0.8, zorder=1)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlabel(f"P({reference} > method)")
    axes.text(0, -0.72, "method is better", size=6.5, color=QUIET)
    axes.text(1, -0.72, f"{reference} is better", size=6.5, color=QUIET, ha="right")
    label_methods(axes, rows.index.tolist(), aggregates)
    return sheet.figure


def draw_intervals(axes: Axes, rows: pd.DataFrame, aggregates: Aggregates, numbers: bool = True) -> None:
    """One row per method, from the top: a bar from low to high, a tick and a number at the estimate.

    Args:
        axes: where; its x limits are set to fit.
        rows: estimate, low, high (NaN for no interval), indexed by method.
        aggregates: where the rows come from.
        numbers: whether to write the estimates.
    """
    benchmark = benchmark_info(aggregates.benchmark)
    for row, (method, value) in enumerate(rows.iterrows()):
        number = words.normalized(benchmark, value.estimate) if numbers else ""
        draw_interval(axes, row, value.estimate, value.low, value.high, look(str(method), aggregates.own).color, number)
    _rows(axes, len(rows))
    lowest, highest = np.nanmin(rows[["estimate", "low"]]), np.nanmax(rows[["estimate", "high"]])
    margin = 0.06 * max(highest - lowest, 1e-9)
    axes.set_xlim(lowest - margin, highest + margin + (0.24 * (highest - lowest) if numbers else 0))
    axes.locator_params(axis="x", nbins=4)
    if numbers:
        format_scores(axes.xaxis, benchmark)


def draw_interval(
    axes: Axes, row: float, estimate: float, low: float, high: float, color: str, number: str = ""
) -> None:
    """A tick at the estimate, a bar from low to high (NaN: none), and a number behind it."""
    if np.isfinite(low):
        axes.barh(row, high - low, left=low, height=0.62, color=tint(color), zorder=2)
    axes.plot([estimate] * 2, [row - 0.36, row + 0.36], color=color, linewidth=1.8, zorder=3)
    _number(axes, np.nanmax([estimate, high]), row, number)


def label_methods(axes: Axes, methods: Sequence[str], aggregates: Aggregates) -> None:
    """Left of the axes, a row per method: its name and its seeds per task. M3 and own methods stand out."""
    axes.set_yticks([])
    place = {"textcoords": "offset points", "ha": "right", "va": "center_baseline"}
    for row, method in enumerate(methods):
        weight = "medium" if emphasized(method, aggregates.own) else "normal"
        at = {"xy": (0, row), "xycoords": ("axes fraction", "data")}
        axes.annotate(method, xytext=(-22, 0), weight=weight, **at, **place)
        axes.annotate(words.seeds(aggregates, method), xytext=(-6, 0), size=6, color=QUIET, **at, **place)
    axes.annotate("seeds", (0, 1), xycoords="axes fraction", xytext=(-2, 6), size=6, color=QUIET, **place)


def format_scores(axis: Axis, benchmark: Benchmark) -> None:
    """Ticks of an axis of normalised scores."""
    if benchmark.percent:
        axis.set_major_formatter(lambda number, _: f"{100 * number:g}%")


def _rows(axes: Axes, count: int) -> None:
    axes.set_ylim(count - 0.5, -0.5)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _number(axes: Axes, x: float, row: float, text: str) -> None:
    axes.annotate(text, (x, row), xytext=(3, 0), textcoords="offset points", size=6, va="center_baseline", color=INK)


def _one_task(aggregates: Aggregates) -> str:
    word = benchmark_info(aggregates.benchmark).task_word
    return f" Of one {word}, mean and median are the same." if len(aggregates.tasks) == 1 else ""


def _without_interval(aggregates: Aggregates, methods: Sequence[str]) -> str:
    """Which methods have none: "; none for EfficientZero (1 seed)"."""
    rows = aggregates.methods.set_index("method").loc[list(methods)]
    single = rows.index[rows.n_seeds_max == 1].tolist()
    return f"; none for {', '.join(single)} (1 seed)" if single else ""
