"""A page: a figure with a heading, below which matplotlib's constrained layout fits the panels."""

import itertools
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.benchmarks import Benchmark
from m3.analysis.style import ALERT, INK, QUIET, emphasized

_EDGE = 0.05
_TITLE, _LINE = 0.2, 0.135
"""Heights in inches, as all sizes here."""
_PER_INCH = 19
"""Characters of the size of warnings that always fit into an inch."""
_LONGEST_NAME = 28
"""Characters of a method's name in a line."""
HALO = [withStroke(linewidth=1.8, foreground="white")]
"""Keeps lines and markers apart from what lies behind them."""
GROUND = {"facecolor": "white", "linewidth": 0, "pad": 0.3}
"""The same for texts, which stay texts in a PDF."""


def page(
    width: float,
    height: float,
    title: str,
    warnings: Sequence[str] = (),
    key: Sequence[Artist] = (),
    note: str = "",
) -> Figure:
    """A figure with room for panels of ``width`` x ``height`` inches, labels included.

    Args:
        width, height: of the room; the heading adds to the height.
        title: one line.
        warnings: what must not be overlooked; wrapped, in the colour of alerts.
        key: handles of a legend below the title.
        note: a short line below the title.
    """
    warning = " ".join(f"{text}." for text in warnings)
    lines = [(line, ALERT, "medium") for line in textwrap.wrap(warning, int(width * _PER_INCH))]
    lines += [(line, QUIET, "normal") for line in textwrap.wrap(note, int(width * _PER_INCH))]
    longest = max((len(str(handle.get_label())) for handle in key), default=0)
    columns = max(1, min(len(key), int((width - 0.1) / (0.45 + 0.055 * longest))))
    head = _EDGE + _TITLE + _LINE * len(lines)
    top = head + (0.15 * -(-len(key) // columns) + 0.04)
    full = top + height
    layout = ConstrainedLayoutEngine(rect=(0, 0, 1, height / full), w_pad=0.05, h_pad=0.04, wspace=0.01, hspace=0.01)
    figure = Figure(figsize=(width, full), layout=layout)
    place: dict[str, Any] = {"va": "top", "in_layout": False}
    figure.text(_EDGE / width, 1 - _EDGE / full, title, size=8.5, weight="medium", **place)
    for number, (line, color, weight) in enumerate(lines):
        y = full - _EDGE - _TITLE - number * _LINE
        figure.text(_EDGE / width, y / full, line, size=6.5, color=color, weight=weight, **place)
    if key:
        corner = (_EDGE / width, 1 - head / full)
        legend = figure.legend(handles=list(key), loc="upper left", bbox_to_anchor=corner, ncols=columns)
        legend.set_in_layout(False)
    return figure


def panels(figure: Figure, count: int, most_columns: int, **more: Any) -> list[Axes]:
    """Panels in as few rows as possible, with no more columns than these rows need, from the top left."""
    rows = grid_rows(count, most_columns)
    axes = list(figure.subplots(rows, -(-count // rows), squeeze=False, **more).flat)
    for spare in axes[count:]:
        spare.set_visible(False)
    return axes[:count]


def grid_rows(count: int, most_columns: int) -> int:
    """The number of rows of ``panels``."""
    return -(-count // most_columns)


def is_first_column(axes: Axes) -> bool:
    """Whether a panel is at the left end of its row."""
    place = axes.get_subplotspec()
    return place is not None and place.is_first_col()


def places(aggregates: Aggregates, methods: Sequence[str]) -> list[float]:
    """The rows of methods, from the top; those that are not ranked stand apart, below the others."""
    ranked = set(aggregates.ranked)
    apart = [method not in ranked for method in methods]
    gap = 0.6 if any(apart) and not all(apart) else 0.0
    return [row + gap * stands_apart for row, stands_apart in enumerate(apart)]


def label_methods(axes: Axes, methods: Sequence[str], aggregates: Aggregates) -> None:
    """A row per method at its place, with its name and, nearer to the axes, its seeds. M3 and own methods stand out."""
    rows = places(aggregates, methods)
    axes.yaxis.remove_overlapping_locs = False
    axes.set_yticks(rows, [wrapped(aggregates.label(method)) for method in methods], linespacing=0.9)
    axes.set_yticks(rows, [words.seeds(aggregates, method) for method in methods], minor=True, color=QUIET, size=6)
    axes.tick_params(axis="y", which="both", length=0)
    axes.tick_params(axis="y", which="major", pad=24)
    emphasize(axes.get_yticklabels(), methods, aggregates)
    for text in axes.get_yticklabels():
        text.set_fontsize(6 if "\n" in text.get_text() else 6.5)
    axes.annotate(
        "seeds", (0, 1), (-3, 2), xycoords="axes fraction", textcoords="offset points", size=6, color=QUIET, ha="right"
    )


def emphasize(labels: Iterable[Text], methods: Sequence[str], aggregates: Aggregates) -> None:
    """Set the names of M3 and of own methods in a stronger weight."""
    for label, method in zip(labels, methods, strict=False):
        label.set_fontweight("medium" if emphasized(method, aggregates.own) else "normal")


def wrapped(name: str) -> str:
    """A name in lines that are not too long."""
    return textwrap.fill(name, _LONGEST_NAME)


def fit_rows(axes: Axes, rows: Sequence[float]) -> None:
    """Limits around rows from the top; a line between those that stand apart and the others."""
    axes.set_ylim(max(rows, default=0) + 0.55, -0.55)
    axes.spines["left"].set_visible(False)
    for above, below in itertools.pairwise(rows):
        if below - above > 1:
            axes.axhline((above + below) / 2, color=QUIET, linewidth=0.5, linestyle=(0, (1, 2)))


def format_scores(axis: Axis, benchmark: Benchmark) -> None:
    """Ticks of an axis of normalised scores."""
    formatter: Callable[[float, Any], str] = words.tick
    if benchmark.percent:
        formatter = lambda number, _: f"{100 * number:g}%"  # noqa: E731
    axis.set_major_formatter(formatter)


def note(axes: Axes, text: str) -> None:
    """Say in the middle of empty axes why they are empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, size=7, color=INK, ha="center", va="center")
