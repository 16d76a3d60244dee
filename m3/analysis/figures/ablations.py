"""What changes when a part of the agent is left out."""

from matplotlib.figure import Figure

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.intervals import ROW, draw_interval, fit_intervals, format_scores
from m3.analysis.figures.page import page, text_width
from m3.analysis.style import QUIET, WIDE, look, tint


def ablations_figure(aggregates: Aggregates) -> Figure:
    """What changes when a part of the agent is left out: IQM and every task, against the full agent."""
    benchmark = aggregates.info
    rows = aggregates.ablations
    base = aggregates.trained[0]
    body = max(1, len(rows)) * 2.6 * ROW
    sheet = page(
        WIDE,
        body + 0.75,
        f"{benchmark.label}: ablations of {base}",
        f"Each variant beside {base}, on the {benchmark.task_word}s that both have. "
        f"{words.seeds_of_all(aggregates, aggregates.trained)}. Bars: {words.intervals(aggregates.repetitions)}.",
        words.warnings(aggregates),
        _without_tasks(aggregates),
    )
    labels = [f"{row.method}, {benchmark.tasks(row.n_tasks)}" for row in rows.itertuples()]
    left = max(1.45, 0.15 + max(text_width(label, 6.5, "normal") for label in [base, *labels]))
    width = (WIDE - left) / 2
    intervals = sheet.axes(left, 0.52, width - 0.3, body)
    changes = sheet.axes(left + width, 0.52, width - 0.1, body)
    means = aggregates.cells.pivot(index="task", columns="method", values="normalized")
    places, names = [], []
    for index, (row, label) in enumerate(zip(rows.itertuples(), labels, strict=True)):
        top = 2.6 * index
        pair = ((base, row.base_estimate, row.base_low, row.base_high), (row.method, row.estimate, row.low, row.high))
        for place, (method, estimate, low, high) in zip((top, top + 1), pair, strict=True):
            color = look(method, aggregates.own).color
            draw_interval(intervals, place, estimate, low, high, color, words.normalized(benchmark, estimate))
        change = (means[row.method] - means[base]).dropna()
        changes.scatter(change, [top + 0.5] * len(change), s=16, facecolor=tint(color), edgecolor=color, linewidth=0.6)
        places += [top, top + 1]
        names += [base, label]
    bounds = ["base_estimate", "base_low", "base_high", "estimate", "low", "high"]
    if len(rows):
        fit_intervals(intervals, rows[bounds].to_numpy())
    intervals.set_title("Interquartile mean")
    intervals.set_xlabel(f"{benchmark.normalized_score}\n{benchmark.scale}")
    changes.set_title(f"Change of the mean score, one circle per {benchmark.task_word}")
    changes.set_xlabel(f"{benchmark.normalized_score}, variant minus {base}\n(left of 0: worse)")
    changes.axvline(0, color=QUIET, linewidth=0.8, zorder=1)
    for axes, texts in ((intervals, names), (changes, [""] * len(names))):
        axes.set_ylim(max(2.6 * len(rows), 1) - 0.8, -0.8)
        axes.set_yticks(places, texts)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        format_scores(axes.xaxis, benchmark)
    return sheet.figure


def _without_tasks(aggregates: Aggregates) -> list[str]:
    compared = set(aggregates.ablations.method)
    missing = [method for method in aggregates.trained[1:] if method not in compared]
    return [f"No task in common with {aggregates.trained[0]}: {', '.join(missing)}."] if missing else []
