"""Performance profiles: how the runs of a method are distributed over scores."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.benchmarks import Benchmark
from m3.analysis.figures.intervals import format_scores
from m3.analysis.figures.page import Grid, axis_label, page
from m3.analysis.style import FAINT, INK, QUIET, WIDE, look

_OTHER = (0, (4, 1))


def profiles_figure(aggregates: Aggregates) -> Figure:
    """One panel per method: its profile with band, the reference's, and all others faintly."""
    benchmark = aggregates.info
    methods = aggregates.complete
    reference = aggregates.reference if aggregates.reference in methods else methods[0]
    others = [method for method in methods if method != reference] or [reference]
    grid = Grid.balanced(
        len(others), most_columns=4, left=0.42, bottom=0.42, panel_height=1.12, column_gap=0.16, row_gap=0.44
    )
    sheet = page(
        WIDE,
        grid.height,
        f"{benchmark.label}: performance profiles",
        f"Share of runs that score above a threshold; a curve further up is better. {words.extent(aggregates)}. "
        f"Bands: {words.intervals(aggregates.band_repetitions)}.",
        words.warnings(aggregates),
        words.not_shown(aggregates),
        _key(aggregates, reference),
    )
    for index, method in enumerate(others):
        axes = grid.axes(sheet, index)
        _panel(axes, aggregates, method, reference)
        if grid.is_first_column(index):
            axes.set_ylabel("Share of runs")
        else:
            axes.tick_params(axis="y", labelleft=False)
    axis_label(sheet, f"Threshold: {benchmark.normalized_score} {benchmark.scale}", grid.left, WIDE)
    return sheet.figure


def _key(aggregates: Aggregates, reference: str) -> list[Line2D]:
    seeds = words.seeds_in_words(aggregates, reference)
    return [
        Line2D([], [], color=look(reference, aggregates.own).color, label=f"{reference} ({seeds})"),
        Line2D([], [], color=INK, linestyle=_OTHER, label="the panel's method"),
        Line2D([], [], color=FAINT, linewidth=0.7, label="all other methods"),
    ]


def _panel(axes: Axes, aggregates: Aggregates, method: str, reference: str) -> None:
    profiles = {str(name): rows for name, rows in aggregates.profiles.groupby("method")}
    for name in aggregates.complete:
        if name not in (method, reference):
            axes.plot(profiles[name].threshold, profiles[name].estimate, color=FAINT, linewidth=0.7, zorder=1)
    for name, line in ((reference, "-"), (method, _OTHER if method != reference else "-")):
        rows, color = profiles[name], look(name, aggregates.own).color
        axes.fill_between(rows.threshold, rows.low, rows.high, color=color, alpha=0.22, linewidth=0, zorder=2)
        axes.plot(rows.threshold, rows.estimate, color=color, linestyle=line, zorder=3)
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.grid(axis="y")
    _threshold_axis(axes, profiles[reference].threshold.max(), aggregates.info)
    name, seeds = f"{method} ", words.seeds_in_words(aggregates, method)
    title = axes.set_title(name, color=look(method, aggregates.own).color)
    axes.annotate(seeds, (1, 0), xycoords=title, size=6, color=QUIET, va="bottom")


def _threshold_axis(axes: Axes, highest: float, benchmark: Benchmark) -> None:
    """Linear up to 1; beyond, where there is a beyond, logarithmic."""
    axes.set_xlim(0, highest)
    if highest > 1:
        axes.set_xscale("symlog", linthresh=1, linscale=1.5)
        powers = [2**power for power in range(1, 12) if 2**power <= highest]
        axes.set_xticks([0, 0.5, 1, *powers], ["0", "0.5", "1", *map(str, powers)])
        axes.minorticks_off()
        axes.set_xlim(0, highest)
    else:
        axes.locator_params(axis="x", nbins=5)
        format_scores(axes.xaxis, benchmark)
