"""How long training takes."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from m3.analysis import words
from m3.analysis.figures.intervals import ROW
from m3.analysis.figures.page import GROUND, page, wrapped
from m3.analysis.scores import ScoreTable
from m3.analysis.style import FAINT, WIDE, Color, look

_TICKS = (1, 10, 60, 600, 3600, 36_000, 360_000, 3_600_000)
"""Seconds."""
_WIDE_RANGE = 30
"""An axis on which the highest value is more than this times the lowest is logarithmic."""


def run_times(tables: Sequence[ScoreTable]) -> pd.DataFrame:
    """One row per own run, and published time: benchmark, method, device, seconds, speed, own, known."""
    frames = []
    for table in tables:
        info = table.info
        published = [
            (info.reference, device, 3600 * hours, info.agent_steps or np.nan, False)
            for device, hours in info.training_hours.items()
        ]
        runs = table.runs[["method", "device", "wall_seconds", "agent_steps"]].itertuples(index=False)
        rows = [*published, *((*run, True) for run in runs)]
        frame = pd.DataFrame(rows, columns=["method", "device", "seconds", "steps", "own"])
        frames.append(
            frame.assign(benchmark=info.label, speed=frame.steps / frame.seconds, known=[table.own] * len(frame))
        )
    return pd.concat(frames, ignore_index=True)


def training_time_figure(tables: Sequence[ScoreTable]) -> Figure:
    """Run time and speed of every training, by benchmark, method and device: own runs, and what is published."""
    runs = run_times(tables)
    groups = list(runs.groupby(["benchmark", "own", "method", "device"], sort=False))
    names = [_name(rows) for _, rows in groups]
    lines = sum(name.count("\n") for name in names)
    figure = page(WIDE, (max(2, len(groups)) * 1.5 + 0.7 * lines) * ROW + 0.55, "How long training takes")
    panels = figure.subplots(1, 2, sharey=True)
    for row, (_key, rows) in enumerate(groups):
        color = look(rows.method.iloc[0], rows.known.iloc[0]).color
        for axes, column in zip(panels, ("seconds", "speed"), strict=True):
            _strip(axes, row, rows[column].to_numpy(), color, words.duration if column == "seconds" else words.value)
    for axes, column, title in zip(panels, ("seconds", "speed"), ("Run time", "Agent steps per second"), strict=True):
        is_wide = runs[column].max() > _WIDE_RANGE * runs[column].min()
        axes.set_ylim(len(groups) - 0.4, -0.8)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=FAINT)
        axes.set(xlabel="", ylabel="")
        axes.set_title(f"{title} (logarithmic)" if is_wide else title)
        if is_wide:
            axes.set_xscale("log")
            axes.minorticks_off()
            axes.margins(x=0.12)
        else:
            axes.set_xlim(0, 1.12 * runs[column].max())
            axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter(words.tick)
    panels[0].set_yticks(range(len(groups)), names)
    low, high = panels[0].get_xlim()
    if panels[0].get_xscale() == "log":
        ticks: list[float] = [tick for tick in _TICKS if low <= tick <= high]
    else:
        unit = max(unit for unit in (1, 60, 3600) if unit <= max(high / 2, 1))
        ticks = [unit * tick for tick in MaxNLocator(5).tick_values(0, high / unit) if unit * tick <= high]
    panels[0].set_xticks(ticks, list(map(words.duration, ticks)))
    panels[0].set_xlim(low, high)
    return figure


def _name(runs: pd.DataFrame) -> str:
    """Benchmark, method and device of a group, with the number of its runs and the time of all of them."""
    first = runs.iloc[0]
    cost = f"{words.count(len(runs), 'run')}, {words.duration(runs.seconds.sum())}" if first.own else "published"
    return f"{wrapped(f'{first.benchmark}: {first.method}')}\n{first.device} ({cost})"


def _strip(axes: Axes, row: int, values: np.ndarray, color: Color, text: Callable[[float], str]) -> None:
    """Runs as points in a row, with their median as a tick and in words."""
    values = values[np.isfinite(values)]
    if not len(values):
        return
    points = {
        "x": values,
        "y": np.full(len(values), row),
        "orient": "h",
        "native_scale": True,
        "ax": axes,
        "color": color,
    }
    sns.stripplot(**points, jitter=False, size=3, alpha=0.5, zorder=2)
    more = {"estimator": "median", "errorbar": None, "linestyle": "none", "marker": "|", "markersize": 9}
    sns.pointplot(**points, **more, markeredgewidth=1.8, zorder=3)
    place = (float(np.median(values)), row)
    axes.annotate(text(place[0]), place, (0, 6), textcoords="offset points", size=6, ha="center", bbox=GROUND)
