"""The benchmarks at a glance: one panel per benchmark."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.intervals import ROW, draw_bars
from m3.analysis.figures.page import grid_rows, page, panels
from m3.analysis.style import WIDE

_ABREAST = 3
"""Panels in a row."""


def shown_methods(aggregates: Aggregates) -> list[str]:
    """The ranked methods, or, where none is, those that have all compared tasks."""
    return aggregates.ranked or aggregates.complete


def overview_figure(benchmarks: Sequence[Aggregates]) -> Figure:
    """Interquartile mean of the ranked methods on every benchmark, with intervals."""
    most = max(len(shown_methods(aggregates)) for aggregates in benchmarks)
    figure = page(
        WIDE,
        (most * ROW + 0.95) * grid_rows(len(benchmarks), _ABREAST),
        "M3 and other agents: interquartile mean",
        [f"{a.info.label}: {text}" for a in benchmarks for text in words.warnings(a)],
        note=f"Whiskers: {words.intervals(max(aggregates.repetitions for aggregates in benchmarks))}",
    )
    for axes, aggregates in zip(panels(figure, len(benchmarks), _ABREAST), benchmarks, strict=True):
        draw_bars(axes, aggregates, shown_methods(aggregates))
        axes.set_ylim(most - 0.45, -0.55)
        axes.locator_params(axis="x", nbins=3)
        axes.set_title(f"{aggregates.info.label}\n{aggregates.info.tasks(len(aggregates.tasks))}", pad=10)
        axes.set_xlabel(aggregates.info.normalized_score)
    return figure
