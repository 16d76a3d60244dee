"""Figures of own runs: learning curves beside published scores, cost, ablations."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.aggregation import REFERENCE
from m3.analysis.benchmarks import benchmark_info
from m3.analysis.figures.intervals import ROW, draw_interval, fit_intervals, format_scores
from m3.analysis.figures.page import Grid, axis_label, page, write
from m3.analysis.scores import ScoreTable
from m3.analysis.style import QUIET, WIDE, Look, look, tint

_LINES: dict[str, LineStyleType] = {"human play": (0, (4, 2)), "random play": (0, (1, 1.5))}
"""References worth a line, and how it is drawn."""
_FEW_POINTS = 10
_ROOM = 1.5
"""A reference is drawn if the axis need not grow by more than this times the range of the curves."""


def own_curves_figure(aggregates: Aggregates, table: ScoreTable) -> Figure:
    """Evaluations during training and the final score of own runs, beside published final scores."""
    benchmark = benchmark_info(aggregates.benchmark)
    few = len(aggregates.tasks) <= 2
    grid = Grid.balanced(
        len(aggregates.tasks),
        most_columns=2 if few else 6,
        left=0.46,
        bottom=0.42,
        panel_height=2.3 if few else 0.9,
        column_gap=0.32,
        row_gap=0.4,
    )
    references = _references(aggregates, table)
    drawn = references[references.value <= references.task.map(_limits(aggregates))]
    sheet = page(
        WIDE,
        grid.height,
        f"{benchmark.label}: learning curves of own runs",
        f"{words.tasks(aggregates)}, {words.seeds_of_all(aggregates, aggregates.own)}. Lines: evaluations during "
        "training, mean over seeds; bands: lowest to highest seed. Large points with whiskers: the same of the "
        "final evaluation.",
        words.warnings(aggregates),
        key=_curve_key(aggregates, drawn),
    )
    for index, task in enumerate(aggregates.tasks):
        axes = grid.axes(sheet, index)
        _own_curves(axes, aggregates, task)
        for row in drawn[drawn.task == task].itertuples():
            axes.axhline(row.value, color=row.color, linestyle=row.line, linewidth=0.9, zorder=2)
        far = references[(references.task == task) & ~references.index.isin(drawn.index)]
        _name_far_references(axes, far, few)
        axes.set_title(task, size=6.5)
        axes.grid(axis="y")
        axes.locator_params(nbins=5 if few else 3)
        axes.tick_params(labelsize=6)
        axes.xaxis.set_major_formatter(lambda number, _: words.steps(number))
        axes.yaxis.set_major_formatter(words.tick)
        if grid.is_first_column(index):
            axes.set_ylabel(benchmark.raw_score)
    axis_label(sheet, "Agent steps", grid.left, WIDE)
    return sheet.figure


def _references(aggregates: Aggregates, table: ScoreTable) -> pd.DataFrame:
    """Scores to compare with: task, label, value, color, line."""
    rows: list[tuple[str, str, float, str, LineStyleType]] = [
        (task.task, label, value, QUIET, _LINES[label])
        for task in table.tasks.itertuples()
        for label, value in ((task.low_means, task.low), (task.high_means, task.high))
        if label in _LINES
    ]
    published = aggregates.cells[aggregates.cells.method == REFERENCE]
    color = look(REFERENCE, []).color
    rows += [(cell.task, f"{REFERENCE} (published)", cell.mean, color, "-") for cell in published.itertuples()]
    frame = pd.DataFrame(rows, columns=["task", "label", "value", "color", "line"])
    return frame[frame.task.isin(aggregates.tasks)]


def _limits(aggregates: Aggregates) -> pd.Series:
    """By task: up to where references are drawn."""
    shown = pd.concat([aggregates.task_curves, aggregates.cells])
    by_task = shown[shown.method.isin(aggregates.own)].groupby("task")
    lowest, highest = by_task.lowest.min(), by_task.highest.max()
    return highest + _ROOM * (highest - lowest)


def _curve_key(aggregates: Aggregates, references: pd.DataFrame) -> list[Artist]:
    methods = [
        Line2D([], [], color=shown.color, linestyle=shown.line, marker=shown.marker, markersize=3.5, label=method)
        for method, shown in ((method, look(method, aggregates.own)) for method in aggregates.own)
        if method in set(aggregates.cells.method)
    ]
    lines = [
        Line2D([], [], color=row.color, linestyle=row.line, label=row.label, linewidth=0.9)
        for row in references.drop_duplicates("label").itertuples()
    ]
    return [*methods, *lines]


def _own_curves(axes: Axes, aggregates: Aggregates, task: str) -> None:
    curves = aggregates.task_curves[aggregates.task_curves.task == task]
    cells = aggregates.cells[aggregates.cells.task == task].set_index("method")
    steps = aggregates.methods.set_index("method").steps
    for method in aggregates.own:
        appearance, rows = look(method, aggregates.own), curves[curves.method == method]
        color, marker = appearance.color, appearance.marker
        axes.fill_between(rows.steps, rows.lowest, rows.highest, color=color, alpha=0.15, linewidth=0, zorder=1)
        axes.plot(rows.steps, rows["mean"], color=color, linestyle=appearance.line, zorder=3)
        if len(rows) <= _FEW_POINTS:
            axes.scatter(rows.steps, rows["mean"], s=9, color=color, marker=marker, zorder=3)
        if method in cells.index:
            cell, step = cells.loc[method], steps[method]
            axes.vlines(step, cell.lowest, cell.highest, color=color, linewidth=1.2, zorder=4, clip_on=False)
            axes.scatter(step, cell["mean"], s=52, color="white", marker=marker, zorder=5, clip_on=False)
            axes.scatter(step, cell["mean"], s=30, color=color, marker=marker, zorder=6, clip_on=False)
    axes.set_xlim(0, 1.02 * max(steps[method] for method in aggregates.own))


def _name_far_references(axes: Axes, references: pd.DataFrame, wide: bool) -> None:
    """Words for the references that lie far above the curves, in some room at the top."""
    low, high = axes.get_ylim()
    low = min(0, low)
    axes.set_ylim(low, high)
    if len(references):
        axes.set_ylim(top=high + 0.15 * (high - low) * (1 if wide else len(references)))
        texts = [f"{row.label} {words.value(row.value)}" for row in references.itertuples()]
        text = f"Far above: {'; '.join(texts)}" if wide else "\n".join(f"above: {text}" for text in texts)
        axes.text(0.02, 0.98, text, transform=axes.transAxes, size=6.5 if wide else 5, color=QUIET, va="top")


def own_cost_figure(aggregates: Aggregates, table: ScoreTable) -> Figure:
    """Run time, speed and total device time of own runs, per method and device."""
    benchmark = benchmark_info(table.benchmark)
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


def ablations_figure(aggregates: Aggregates) -> Figure:
    """What changes when a part of the agent is left out: IQM and every task, against the full agent."""
    benchmark = benchmark_info(aggregates.benchmark)
    rows = aggregates.ablations
    base = aggregates.own[0]
    body = max(1, len(rows)) * 2.6 * ROW
    sheet = page(
        WIDE,
        body + 0.75,
        f"{benchmark.label}: ablations of {base}",
        f"Each variant beside {base}, on the {benchmark.task_word}s that both have. "
        f"{words.seeds_of_all(aggregates, aggregates.own)}. Bars: {words.intervals(aggregates.repetitions)}.",
        words.warnings(aggregates),
        _without_tasks(aggregates),
    )
    left = 1.45
    width = (WIDE - left) / 2
    intervals = sheet.axes(left, 0.52, width - 0.3, body)
    changes = sheet.axes(left + width, 0.52, width - 0.1, body)
    means = aggregates.cells.pivot(index="task", columns="method", values="normalized")
    places, names = [], []
    for index, row in enumerate(rows.itertuples()):
        top = 2.6 * index
        pair = ((base, row.base_estimate, row.base_low, row.base_high), (row.method, row.estimate, row.low, row.high))
        for place, (method, estimate, low, high) in zip((top, top + 1), pair, strict=True):
            color = look(method, aggregates.own).color
            draw_interval(intervals, place, estimate, low, high, color, words.normalized(benchmark, estimate))
        change = (means[row.method] - means[base]).dropna()
        changes.scatter(change, [top + 0.5] * len(change), s=16, facecolor=tint(color), edgecolor=color, linewidth=0.6)
        places += [top, top + 1]
        names += [base, f"{row.method}, {benchmark.tasks(row.n_tasks)}"]
    bounds = ["base_estimate", "base_low", "base_high", "estimate", "low", "high"]
    if len(rows):
        fit_intervals(intervals, rows[bounds].to_numpy())
    intervals.set_title("Interquartile mean")
    intervals.set_xlabel(f"{benchmark.normalized_score}\n{benchmark.scale}")
    changes.set_title(f"Change of the mean score, one circle per {benchmark.task_word}")
    changes.set_xlabel(f"{benchmark.normalized_score}, variant minus {base}\n(left of 0: worse)")
    changes.axvline(0, color=QUIET, linewidth=0.8, zorder=1)
    for axes, labels in ((intervals, names), (changes, [""] * len(names))):
        axes.set_ylim(max(2.6 * len(rows), 1) - 0.8, -0.8)
        axes.set_yticks(places, labels)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        format_scores(axes.xaxis, benchmark)
    return sheet.figure


def _without_tasks(aggregates: Aggregates) -> list[str]:
    compared = set(aggregates.ablations.method)
    missing = [method for method in aggregates.own[1:] if method not in compared]
    return [f"No task in common with {aggregates.own[0]}: {', '.join(missing)}."] if missing else []
