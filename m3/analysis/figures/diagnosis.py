"""How well world models predict: dreams, losses beside returns, rewards and ends."""

from collections.abc import Callable

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from m3.analysis.diagnosis import Diagnoses
from m3.analysis.figures.page import page, panels
from m3.analysis.style import INK, QUIET, WIDE, Look, look, tint

_TITLES = ("Dreams", "Loss and score", "Rewards", "Ends")
_UNCHANGED: tuple[float, tuple[float, ...]] = (0, (1, 1.2))


def diagnosis_figure(diagnoses: Diagnoses) -> Figure:
    """One row per task: what dreams get wrong, loss beside score, and how far rewards and ends come as predicted."""
    tasks = diagnoses.tasks
    figure = page(
        WIDE,
        1.75 * len(tasks),
        f"{diagnoses.label}: how well world models predict",
        key=[_handle(method, look(method, diagnoses.methods)) for method in diagnoses.methods],
    )
    draws: tuple[Callable[[Axes, Diagnoses, str], None], ...] = (_dreams, _losses, _rewards, _ends)
    axes = panels(figure, len(tasks) * len(draws), len(draws))
    for index, panel in enumerate(axes):
        task, column = tasks[index // len(draws)], index % len(draws)
        draws[column](panel, diagnoses, task)
        panel.set_title(f"{task}: {_TITLES[column].lower()}" if column == 0 else _TITLES[column], size=6.5)
        panel.tick_params(labelsize=6)
        panel.grid(axis="y")
    return figure


def _handle(method: str, appearance: Look) -> Artist:
    color, line, marker = appearance.color, appearance.line, appearance.marker
    return Line2D([], [], color=color, linestyle=line, marker=marker, markersize=3.5, label=method)


def _of(frame: pd.DataFrame, task: str) -> list[tuple[str, pd.DataFrame]]:
    """The rows of a task by method."""
    return [(str(method), rows) for method, rows in frame[frame.task == task].groupby("method", sort=False)]


def _dreams(axes: Axes, diagnoses: Diagnoses, task: str) -> None:
    for method, rows in _of(diagnoses.dreams, task):
        appearance = look(method, diagnoses.methods)
        by_step = rows.groupby("step")
        wrong, steps = by_step.wrong.mean(), list(by_step.groups)
        axes.fill_between(
            steps, by_step.wrong.min(), by_step.wrong.max(), color=appearance.color, alpha=0.15, linewidth=0
        )
        axes.plot(steps, wrong, color=appearance.color, linestyle=appearance.line)
        axes.plot(steps, by_step.unchanged.mean(), color=tint(appearance.color), linestyle=_UNCHANGED, linewidth=1)
    axes.set_ylim(0, None)
    axes.set_xlabel("Dreamt steps", size=6)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _losses(axes: Axes, diagnoses: Diagnoses, task: str) -> None:
    for method, rows in _of(diagnoses.runs, task):
        appearance = look(method, diagnoses.methods)
        color, marker = appearance.color, appearance.marker
        axes.hlines(rows.score, rows.observation_entropy, rows.observation_loss, color=color, linewidth=0.8)
        axes.scatter(rows.observation_entropy, rows.score, s=22, color=color, marker="|", linewidth=0.9)
        axes.scatter(rows.observation_loss, rows.score, s=13, color=color, marker=marker, zorder=3)
    axes.set_xlabel("Observation loss (nats)", size=6)
    axes.set_ylabel("Score", size=6, labelpad=1)
    runs = diagnoses.runs[diagnoses.runs.task == task]
    axes.set_xlim(0, 1.08 * runs[["observation_loss", "observation_entropy"]].max(axis=None))
    axes.margins(y=0.15)
    axes.locator_params(nbins=4)


def _rewards(axes: Axes, diagnoses: Diagnoses, task: str) -> None:
    _calibration(axes, diagnoses, diagnoses.rewards, task)
    axes.set_xlabel("Predicted reward", size=6)


def _ends(axes: Axes, diagnoses: Diagnoses, task: str) -> None:
    if diagnoses.runs[diagnoses.runs.task == task].ends.sum() == 0:
        axes.set_axis_off()
        axes.text(0, 0.5, "no episode was\nterminated", transform=axes.transAxes, size=6, color=QUIET, va="center")
        return
    _calibration(axes, diagnoses, diagnoses.ends, task)
    axes.set_xlabel("Predicted probability", size=6)


def _calibration(axes: Axes, diagnoses: Diagnoses, groups: pd.DataFrame, task: str) -> None:
    """What happened against what was predicted; a marker's area grows with the number of steps."""
    for method, rows in _of(groups, task):
        appearance = look(method, diagnoses.methods)
        sizes = 4 + 20 * (rows["count"] / rows["count"].max()) ** 0.5
        axes.plot(rows.predicted, rows.real, color=tint(appearance.color), linewidth=0.7, zorder=2)
        axes.scatter(
            *(rows.predicted, rows.real),
            s=sizes,
            color=appearance.color,
            marker=appearance.marker,
            zorder=3,
            linewidth=0,
        )
    axes.axline((0, 0), slope=1, color=QUIET, linewidth=0.6, zorder=1)
    axes.set_ylabel("Real", size=6, labelpad=1, color=INK)
    axes.locator_params(nbins=4)
