"""What changes when a part of the agent is left out."""

import pandas as pd
from matplotlib.figure import Figure

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.intervals import ROW, interval_rows
from m3.analysis.figures.page import format_scores, note, page, wrapped
from m3.analysis.scores import ScoreTable
from m3.analysis.style import QUIET, WIDE, look, tint

_PAIR = 2.8
"""Rows that a pair takes, with the gap below it."""


def ablations_figure(aggregates: Aggregates, _: ScoreTable) -> Figure:
    """What changes when a part of the agent is left out: IQM and every task, against the full agent."""
    benchmark, rows, base = aggregates.info, aggregates.ablations, aggregates.trained[0]
    figure = page(
        WIDE,
        max(1, len(rows)) * _PAIR * ROW + 0.75,
        f"{benchmark.label}: ablations of {base}",
        [*words.warnings(aggregates), *without_tasks(aggregates)],
        note=f"Bars: {words.intervals(aggregates.repetitions)}",
    )
    if rows.empty:
        note(figure.subplots(), "There is no variant to compare with.")
        return figure
    intervals, changes = figure.subplots(1, 2)
    pairs = _pairs(aggregates)
    colors = [look(method, aggregates.own).color for method in pairs.method]
    interval_rows(
        intervals, pairs.place, pairs, colors, [words.normalized(benchmark, value) for value in pairs.estimate]
    )
    means = aggregates.cells.pivot(index="task", columns="method", values="normalized")
    for row, color, place in zip(rows.itertuples(), colors[1::2], pairs.place[1::2], strict=True):
        change = (means[row.method] - means[base]).dropna()
        changes.scatter(
            change, [place - 0.5] * len(change), s=16, facecolor=tint(color), edgecolor=color, linewidth=0.6
        )
    intervals.set_title("Interquartile mean")
    intervals.set_xlabel(f"{benchmark.normalized_score}\n{benchmark.scale}")
    changes.set_title(f"Change of the mean score, one circle per {benchmark.task_word}")
    changes.set_xlabel(f"{benchmark.normalized_score}, variant minus {wrapped(base)}\n(left of 0: worse)")
    changes.axvline(0, color=QUIET, linewidth=0.8, zorder=1)
    for axes, texts in ((intervals, pairs.label), (changes, [""] * len(pairs))):
        axes.set_ylim(_PAIR * len(rows) - 1, -0.8)
        axes.set_yticks(pairs.place, texts)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        format_scores(axes.xaxis, benchmark)
    return figure


def _pairs(aggregates: Aggregates) -> pd.DataFrame:
    """Two rows per ablation, the base above the variant: method, label, place, estimate, low, high."""
    found = []
    for index, row in enumerate(aggregates.ablations.itertuples()):
        tasks = aggregates.info.tasks(row.n_tasks)
        found.append((row.base, wrapped(row.base), _PAIR * index, row.base_estimate, row.base_low, row.base_high))
        found.append(
            (row.method, wrapped(f"{row.method}, {tasks}"), _PAIR * index + 1, row.estimate, row.low, row.high)
        )
    return pd.DataFrame(found, columns=["method", "label", "place", "estimate", "low", "high"])


def without_tasks(aggregates: Aggregates) -> list[str]:
    """Which variants have no task in common with the base, in words; empty where all have."""
    compared = set(aggregates.ablations.method)
    missing = [method for method in aggregates.trained[1:] if method not in compared]
    return [f"No task in common with {aggregates.trained[0]}: {', '.join(missing)}"] if missing else []
