"""How much each method has been scored and trained, and therefore which methods can be ranked together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from m3.analysis import words
from m3.analysis.aggregates import FRAMES
from m3.analysis.benchmarks import Benchmark
from m3.analysis.scores import PUBLISHED, ScoreTable

_TOLERANCE = 0.05
"""Budgets that differ by less are equal: logs end a little before the budget does."""


def extent(table: ScoreTable, scores: pd.DataFrame, tasks: Sequence[str], iqm: Mapping[str, float]) -> pd.DataFrame:
    """The methods in order, as ``Aggregates.methods``.

    Args:
        table: all scores.
        scores: those of the compared tasks.
        tasks: the compared tasks.
        iqm: by method that has any of them, its IQM.
    """
    seeds = scores.groupby(["method", "task"]).seed.nunique().groupby("method")
    frame = pd.DataFrame({"n_seeds": seeds.min(), "n_seeds_max": seeds.max(), "n_tasks": seeds.size()})
    frame[["steps", "least_steps"]] = scores.groupby("method").steps.agg(["max", "min"])
    frame["simulation_steps"] = scores.groupby("method").simulation_steps.max()
    frame["iqm"] = iqm
    frame = table.methods.merge(frame, how="left", left_on="method", right_index=True)
    counts = ["n_seeds", "n_seeds_max", "n_tasks", "steps", "least_steps", "simulation_steps"]
    frame[counts] = frame[counts].fillna(0).astype(np.int64)  # of a method without any of the tasks
    frame["complete"] = frame.n_tasks == len(tasks)
    frame["other"] = [other_budget(method, table.info) for method in frame.itertuples()]
    frame["fair"] = frame.comparable & (frame.other == "")
    frame["ranked"] = frame.complete & frame.fair
    frame["label"] = frame.method.where(frame.other == "", frame.method + " (" + frame.other + ")")
    order = ["ranked", "complete", "iqm", "method"]
    return frame.sort_values(order, ascending=[False, False, False, True], ignore_index=True)[FRAMES["methods"]]


def other_budget(method: Any, info: Benchmark) -> str:
    """The experience of a method in words where it is not the benchmark's: "250 K steps", "500 K simulation steps".

    Args:
        method: a row with n_tasks, origin, steps, least_steps and simulation_steps.
        info: the benchmark.
    """
    if info.agent_steps is None or info.simulation_steps is None or method.n_tasks == 0:
        return ""
    least = method.steps if method.origin == PUBLISHED else method.least_steps  # published logs end with an episode
    for steps in (least, method.steps):
        if abs(steps / info.agent_steps - 1) > _TOLERANCE:
            return f"{words.steps(steps)} steps"
    if abs(method.simulation_steps / info.simulation_steps - 1) > _TOLERANCE:
        return f"{words.steps(method.simulation_steps)} {info.simulation_step}s"
    return ""
