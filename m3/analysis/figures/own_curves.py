"""Learning curves of own runs, next to the published scores of M3."""

from dataclasses import dataclass

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType

from m3.analysis import words
from m3.analysis.aggregates import Aggregates
from m3.analysis.figures.curves import draw_curves
from m3.analysis.figures.page import GROUND, HALO, grid_rows, is_first_column, page, panels
from m3.analysis.scores import ScoreTable
from m3.analysis.style import QUIET, WIDE, Color, look

_LINES: dict[str, LineStyleType] = {"human play": (0, (4, 2)), "random play": (0, (1, 1.5))}
"""References worth a line, and how it is drawn."""
_ALL = "All: IQM, normalised"
"""Title of the panel of the benchmark's IQM."""
_PUBLISHED = " (published)"
_PUBLISHED_LINES: tuple[LineStyleType, ...] = ((0, (8, 2)), (0, (8, 2, 1, 2)))
"""Of the final scores of the reference and of its reproduction."""
_FEW_POINTS = 10
"""Points of a curve that are marked one by one."""
_ROOM = 1.5
"""A reference is drawn if the axis need not grow by more than this times the range of the curves."""


@dataclass(frozen=True)
class _Panels:
    """What the panels show: one per task, before them one of the IQM if there are several tasks."""

    names: list[str]
    curves: pd.DataFrame
    """Of own methods, and of M3 if its published curve has the same steps: method, panel, steps, middle, low, high."""
    finals: pd.DataFrame
    """The final evaluations: the same columns, where ``steps`` are those of the training."""
    references: pd.DataFrame
    """panel, label, value, color, line, near (whether it is drawn and not only named)"""


def own_curves_figure(aggregates: Aggregates, table: ScoreTable) -> Figure:
    """Evaluations during training and the final score of own runs, beside published final scores."""
    benchmark, own = aggregates.info, aggregates.own
    shown = _panels(aggregates, table)
    few = len(shown.names) <= 4
    columns = 4 if few else 6
    figure = page(
        WIDE,
        (2.1 if few else 1.2) * grid_rows(len(shown.names), columns) + 0.3,
        f"{benchmark.label}: learning curves of own runs",
        words.warnings(aggregates),
        _key(shown, own),
        note=f"First panel: {words.intervals(aggregates.band_repetitions)}" if _ALL in shown.names else "",
    )
    for index, (axes, name) in enumerate(zip(panels(figure, len(shown.names), columns), shown.names, strict=True)):
        curves = shown.curves[shown.curves.panel == name]
        draw_curves(axes, curves, own, marked=bool(len(curves) <= _FEW_POINTS * max(1, curves.method.nunique())))
        _draw_finals(axes, shown.finals[shown.finals.panel == name], own)
        axes.set_xlim(0, 1.02 * shown.finals.steps.max())
        _draw_references(axes, shown.references[shown.references.panel == name], wide=few)
        axes.set_title(name, size=6.5)
        axes.grid(axis="y")
        axes.locator_params(nbins=4 if few else 3)
        axes.tick_params(labelsize=6)
        axes.xaxis.set_major_formatter(lambda number, _: words.steps(number))
        axes.yaxis.set_major_formatter(words.tick)
        if name == _ALL:
            axes.set_ylabel(benchmark.normalized_score)
        elif is_first_column(axes) or shown.names[index - 1] == _ALL:
            axes.set_ylabel(benchmark.raw_score)
    figure.supxlabel("Agent steps")
    return figure


def _panels(aggregates: Aggregates, table: ScoreTable) -> _Panels:
    names = {"task": "panel", "mean": "middle", "lowest": "low", "highest": "high", "estimate": "middle"}
    trained = table.scores.groupby(["method", "task"]).steps.max()
    cells = aggregates.cells.join(trained, on=["method", "task"])
    curves, finals = aggregates.task_curves.rename(columns=names), cells.rename(columns=names)
    panels = aggregates.tasks
    if len(aggregates.tasks) > 1:
        panels = [_ALL, *aggregates.tasks]
        iqm = aggregates.metric("iqm").loc[aggregates.complete].reset_index()
        iqm = iqm.merge(aggregates.methods[["method", "steps"]])
        curves = pd.concat([aggregates.curves.rename(columns=names).assign(panel=_ALL), curves])
        finals = pd.concat([iqm.rename(columns=names).assign(panel=_ALL), finals])
    references = _references(finals, table)
    references = references[references.panel.isin(panels)]
    own_curves, finals = (frame[frame.method.isin(aggregates.own)] for frame in (curves, finals))
    shown = pd.concat([own_curves, finals], ignore_index=True)
    lowest = shown.low.fillna(shown.middle).groupby(shown.panel).min()
    highest = shown.high.fillna(shown.middle).groupby(shown.panel).max()
    limit = references.panel.map(highest + _ROOM * (highest - lowest))
    near = (references.value <= limit) | (references.label == table.tasks.low_means.iloc[0])
    drawn = curves.method.isin([*aggregates.own, aggregates.info.reference])
    return _Panels(panels, curves[drawn & (curves.steps <= finals.steps.max())], finals, references.assign(near=near))


def _references(finals: pd.DataFrame, table: ScoreTable) -> pd.DataFrame:
    """Scores to compare with: panel, label, value, color, line."""
    tasks = table.tasks
    normalized = tasks.iloc[:1].assign(task=_ALL, low=0, high=1)
    rows: list[tuple[str, str, float, Color | str, LineStyleType]] = [
        (task.task, label, value, QUIET, _LINES[label])
        for task in pd.concat([normalized, tasks]).itertuples()
        for label, value in ((task.low_means, task.low), (task.high_means, task.high))
        if label in _LINES
    ]
    for method, line in zip((table.info.reference, table.info.reproduction), _PUBLISHED_LINES, strict=True):
        color = look(str(method), []).color
        published = finals[finals.method == method]
        rows += [(row.panel, _published(str(method)), row.middle, color, line) for row in published.itertuples()]
    return pd.DataFrame(rows, columns=["panel", "label", "value", "color", "line"])


def _key(panels: _Panels, own: list[str]) -> list[Artist]:
    shown = [(method, method) for method in own if method in set(panels.finals.method)]
    shown += [(method, f"{_published(method)}, curve") for method in set(panels.curves.method) - set(own)]
    looks = [(label, look(method, own)) for method, label in shown]
    lines = panels.references[panels.references.near].drop_duplicates("label")
    return [
        *(
            Line2D([], [], color=drawn.color, linestyle=drawn.line, marker=drawn.marker, markersize=3.5, label=label)
            for label, drawn in looks
        ),
        *(
            Line2D([], [], color=row.color, linestyle=row.line, label=_apart(row.label, own), linewidth=0.9)
            for row in lines.itertuples()
        ),
    ]


def _published(reference: str) -> str:
    """The name of the reference: one that tells where its scores come from needs no other word for it."""
    return reference if reference.endswith(")") else f"{reference}{_PUBLISHED}"


def _apart(label: str, own: list[str]) -> str:
    """The label of a reference, told apart from an own method of the same name."""
    return f"{label} (reference)" if label in own else label


def _draw_finals(axes: Axes, finals: pd.DataFrame, own: list[str]) -> None:
    for row in finals.itertuples():
        color, marker = look(row.method, own).color, look(row.method, own).marker
        axes.vlines(row.steps, row.low, row.high, color=color, linewidth=1.2, zorder=4, clip_on=False)
        axes.scatter(
            row.steps, row.middle, s=30, color=color, marker=marker, zorder=6, clip_on=False, path_effects=HALO
        )


def _draw_references(axes: Axes, references: pd.DataFrame, wide: bool) -> None:
    """Lines at the references that are near the curves; words, in some room at the top, for those far above."""
    for row in references[references.near].itertuples():
        axes.axhline(row.value, color=row.color, linestyle=row.line, linewidth=0.9, zorder=2)
    low, high = axes.get_ylim()
    low = min(0, low)
    far = [(row.label, words.value(row.value)) for row in references[~references.near].itertuples()]
    axes.set_ylim(low, high + (0.12 if wide else 0.15) * (high - low) * len(far))
    if far:
        short = [f"above: {label.removesuffix(_PUBLISHED)} {value}" for label, value in far]
        text = "\n".join([f"far above: {label} {value}" for label, value in far] if wide else short)
        size = 6 if wide else 5
        axes.text(0.02, 0.98, text, transform=axes.transAxes, size=size, color=QUIET, va="top", bbox=GROUND)
