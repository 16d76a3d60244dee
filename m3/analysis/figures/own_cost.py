"""Run time and cost of own runs."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.intervals import ROW
from m3.analysis.figures.page import page, write
from m3.analysis.scores import ScoreTable
from m3.analysis.style import WIDE, Look, look, tint


def own_cost_figure(aggregates: Aggregates, table: ScoreTable) -> Figure:
    """Run time, speed and total device time of own runs, per method and device."""
    benchmark = table.info
    groups = list(table.runs.groupby(["method", "device"], sort=False))
    names = [f"{method} on {device}" for (method, device), _ in groups]
    body = max(2, len(groups)) * 1.6 * ROW
    unit, seconds = _time_unit(table.runs.wall_seconds.max())
    total_unit, total_seconds = _time_unit(table.runs.wall_seconds.sum())
    sheet = page(
        WIDE,
        body + 0.5,
        f"{benchmark.label}: run time and cost of own runs",
        f"{words.count(len(table.runs), 'run')}. Circles: runs; tick and number: median. Run time is the time "
        "spent in training, evaluations included, over all attempts. Cost: the run times of all runs together, "
        "each on one device.",
        words.warnings(aggregates),
    )
    names_width = min(2.2, 0.3 + 0.052 * max(map(len, names)))
    width = (WIDE - names_width - 0.1) / 3
    panels = [sheet.axes(names_width + column * width, 0.26, width - 0.2, body) for column in range(3)]
    for row, ((method, _), runs) in enumerate(groups):
        appearance = look(method, aggregates.own)
        _strip(panels[0], row, (runs.wall_seconds / seconds).to_numpy(), appearance)
        _strip(panels[1], row, (runs.agent_steps / runs.wall_seconds).to_numpy(), appearance)
        total = runs.wall_seconds.sum() / total_seconds
        panels[2].barh(row, total, height=0.5, color=appearance.color)
        text = f"{words.value(total)}  ({words.count(len(runs), 'run')})"
        write(panels[2], text, (total, row))
    titles = (f"Run time ({unit})", "Speed (agent steps per second)", f"Cost (device-{total_unit})")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title)
        axes.set_ylim(len(groups) - 0.5, -0.7)
        axes.set_xlim(0, axes.dataLim.x1 * (1.5 if axes is panels[2] else 1.15))
        axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="x")
        axes.set_yticks(range(len(groups)), names if axes is panels[0] else [""] * len(groups))
        axes.tick_params(axis="y", length=0)
    return sheet.figure


def _time_unit(longest: float) -> tuple[str, float]:
    """The unit in which a time is best read, and its seconds."""
    if longest < 120:
        return "seconds", 1
    return ("minutes", 60) if longest < 7200 else ("hours", 3600)


def _strip(axes: Axes, row: int, values: np.ndarray, appearance: Look) -> None:
    """Runs as circles in a row, with their median."""
    median = float(np.median(values))
    axes.scatter(
        values, np.full(len(values), row), s=14, facecolor=tint(appearance.color), edgecolor="white", linewidth=0.3
    )
    axes.plot([median, median], [row - 0.3, row + 0.3], color=appearance.color, linewidth=1.6)
    write(axes, words.value(median), (median, row - 0.3), (0, 4), side="center")
