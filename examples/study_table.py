"""The first table of docs/learning.md: python examples/study_table.py computes it from results/cpu_study.

Every number is an IQM over seeds with its 95% interval (or a mean, where scores are published), of returns as they are.
"""

from pathlib import Path
from statistics import median
from typing import NamedTuple

import pandas as pd

from m3.analysis import scores
from m3.analysis.bootstrap import Draws, blocks, estimate
from m3.analysis.metrics import iqm
from m3.analysis.scores import ScoreTable
from m3.analysis.words import duration, value
from m3.config.experiment import Statistics

STUDY, PUBLISHED = Path("results/cpu_study"), Path("results/published/runs.csv")
HEADER = ("task", "observation; action", "agent steps", "M3", "solved at", "random play", "SB3's PPO", "SB3's SAC")
LAST = ("M3, full size", "time per run")
PICTURES = "[Empty room in pictures](#empty-room-in-pictures)"
PICTURE_GAP = "[Lava gap in pictures](#lava-gap-in-pictures)"
AS_AUTHORS = "[Swing-up](#cart-pole-swing-up), the authors' settings"
OURS, RANDOM, PPO, SAC = "M3 (ours)", "random play", "PPO (SB3)", "SAC (SB3)"


class Row(NamedTuple):
    """A task of the study. ``solved``: the return that counts as solved."""

    title: str
    benchmark: str
    task: str
    seen: str
    solved: float


ROWS = (
    Row("[CartPole](#cartpole)", "cpu_cartpole", "CartPole-v1", "4 numbers; one of 2", 475),
    Row("[Frozen lake](#frozen-lake)", "cpu_lake", "FrozenLake-v1", "one of 16 symbols; one of 4", 0.7),
    Row("[Lava gap](#lava-gap)", "cpu_grid", "Grid-LavaGapS5-v0", "9 cells of 3 symbols; one of 3", 0.85),
    Row(PICTURES, "cpu_picture", "Picture-Empty-6x6-v0", "32 x 32 pixels; one of 3", 0.85),
    Row(PICTURE_GAP, "cpu_picture_gap", "Picture-LavaGapS5-v0", "24 x 24 pixels; one of 3", 0.85),
    Row("[Inverted pendulum](#inverted-pendulum)", "cpu_pendulum", "InvertedPendulum-v5", "4 numbers; one force", 950),
    Row("[Swing-up](#cart-pole-swing-up)", "cpu_swingup", "cartpole-swingup", "5 numbers; one force", 750),
    Row(AS_AUTHORS, "cpu_dmc", "cartpole-swingup", "5 numbers; one force", 750),
    Row("[Balance](#balance-and-reacher), the authors' settings", "cpu_dmc", "cartpole-balance", "the same", 900),
    Row("[Reacher](#balance-and-reacher), the authors' settings", "cpu_dmc", "reacher-easy", "6 numbers; two", 800),
)


def main() -> None:
    for line in lines():
        print(line)


def lines() -> list[str]:
    """The table in Markdown."""
    header = [*HEADER, *LAST]
    frame = pd.read_csv(PUBLISHED)
    published = frame[(frame.benchmark == "dmc500k") & (frame.method == "M3")].groupby("task").score.mean()
    return [_line(header), _line(["---"] * len(header)), *(_line(_cells(row, published)) for row in ROWS)]


def _cells(row: Row, published: pd.Series) -> list[str]:
    table = scores.read(STUDY / row.benchmark / "scores.h5")
    runs = table.runs[(table.runs.method == OURS) & (table.runs.task == row.task)]
    baselines = [_estimate(table, method, row.task) for method in (RANDOM, PPO, SAC)]
    return [
        *(row.title, row.seen, f"{runs.agent_steps.max():,}", f"**{_estimate(table, OURS, row.task)}**"),
        *(value(row.solved), *baselines),
        *(value(published[row.task]) if row.task in published else "", duration(median(runs.wall_seconds))),
    ]


def _estimate(table: ScoreTable, method: str, task: str) -> str:
    """The IQM of a method's runs on a task, with its interval; empty without runs."""
    runs = table.scores[(table.scores.method == method) & (table.scores.task == task)].score.to_numpy()
    if not len(runs):
        return ""
    draws = Draws(Statistics().repetitions, Statistics().seed, ("scores", method))
    found, low, high = (float(part[0]) for part in estimate(blocks([runs]), iqm, draws))
    return f"{value(found)} [{value(low)}, {value(high)}]"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
