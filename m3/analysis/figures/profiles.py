"""Performance profiles: how the runs of a method are distributed over scores."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.page import format_scores, grid_rows, is_first_column, page, panels, wrapped
from m3.analysis.scores import ScoreTable
from m3.analysis.style import FAINT, INK, QUIET, WIDE, emphasized, look

_OTHER = (0, (4, 1))
_COLUMNS = 4


def profiles_figure(aggregates: Aggregates, _: ScoreTable) -> Figure:
    """One panel per method: its profile with band, the reference's, and all others faintly."""
    benchmark, methods = aggregates.info, aggregates.complete
    reference = aggregates.reference if aggregates.reference in methods else methods[0]
    others = [method for method in methods if method != reference] or [reference]
    highest = aggregates.profiles.threshold.max()
    figure = page(
        WIDE,
        1.45 * grid_rows(len(others), _COLUMNS) + 0.35,
        f"{benchmark.label}: performance profiles",
        words.warnings(aggregates),
        _key(aggregates, reference),
        note=f"Bands: {words.intervals(aggregates.band_repetitions)}",
    )
    for axes, method in zip(panels(figure, len(others), _COLUMNS, sharey=True), others, strict=True):
        _panel(axes, aggregates, method, reference)
        _threshold_axis(axes, highest, aggregates)
        if is_first_column(axes):
            axes.set_ylabel("Share of runs")
    scale = ", linear up to 1 (dotted line), logarithmic above" if highest > 1 else ""
    figure.supxlabel(f"Threshold: {benchmark.normalized_score} {benchmark.scale}{scale}")
    return figure


def _key(aggregates: Aggregates, reference: str) -> list[Line2D]:
    color = look(reference, aggregates.own).color
    found = [Line2D([], [], color=color, label=f"{reference} ({words.seeds_in_words(aggregates, reference)})")]
    if len(aggregates.complete) > 1:
        found.append(Line2D([], [], color=INK, linestyle=_OTHER, label="the panel's method"))
    if len(aggregates.complete) > 2:
        found.append(Line2D([], [], color=FAINT, linewidth=0.7, label="all other methods"))
    return found


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
    weight = "medium" if emphasized(method, aggregates.own) else "normal"
    name = f"{wrapped(aggregates.label(method))} ({words.seeds(aggregates, method)})"
    axes.set_title(name, color=look(method, aggregates.own).color, weight=weight, size=6.5)


def _threshold_axis(axes: Axes, highest: float, aggregates: Aggregates) -> None:
    """Linear up to 1; beyond, where there is a beyond, logarithmic, with a line where the scale changes."""
    if highest > 1:
        axes.set_xscale("symlog", linthresh=1, linscale=1.5)
        powers = [2**power for power in range(1, 12) if 2**power <= highest]
        axes.set_xticks([0, 0.5, 1, *powers], ["0", "0.5", "1", *map(str, powers)])
        axes.minorticks_off()
        axes.axvline(1, color=QUIET, linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)
    else:
        axes.locator_params(axis="x", nbins=5)
        format_scores(axes.xaxis, aggregates.info)
    axes.set_xlim(0, highest)
