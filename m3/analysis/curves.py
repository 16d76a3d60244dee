"""Learning curves on common steps: a curve's value at a step is its last point at or before it, never interpolated."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

_POINTS = 50
_MOST_POINTS = 100


def common_steps(curves: pd.DataFrame, end: int | None) -> np.ndarray:
    """The steps at which the runs of one method are compared.

    They are those that every run logged, where all log alike and not too densely. Else they are 50 equal steps up to
    the end, or fewer where the runs log more rarely than that.

    Args:
        curves: steps of all runs of a method; columns task, seed, steps.
        end: the last step of interest; none: the last that was logged.

    Returns:
        int64 (P,), ascending.
    """
    end = int(curves.steps.max()) if end is None else end
    runs = [np.unique(run.steps.to_numpy()) for _, run in curves[curves.steps <= end].groupby(["task", "seed"])]
    if not runs:
        return np.array([], dtype=np.int64)
    if len(runs[0]) <= _MOST_POINTS and all(np.array_equal(run, runs[0]) for run in runs):
        return runs[0].astype(np.int64)
    logged_every = np.median([np.median(np.diff(run)) for run in runs if len(run) > 1] or [0])
    count = max(1, min(_POINTS, int(end // max(logged_every, 1))))
    return np.linspace(0, end, count + 1).round().astype(np.int64)[1:]


def values_at(steps: np.ndarray, logged_steps: np.ndarray, logged: np.ndarray) -> np.ndarray:
    """The last logged score at or before each step, float64 (P,).

    Where a step was logged more than once (training went on without collecting), its last point counts. NaN before the
    first logged step, and from one spacing of ``steps`` after the last: a curve that stops has no value afterwards.
    """
    order = np.argsort(logged_steps, kind="stable")
    logged_steps, logged = logged_steps[order], logged[order]
    position = np.searchsorted(logged_steps, steps, side="right") - 1
    spacing = np.diff(steps).max() if len(steps) > 1 else 0
    known = (position >= 0) & (steps <= logged_steps[-1] + spacing)
    return np.where(known, logged[np.maximum(position, 0)], np.nan)


def aligned(curves: pd.DataFrame, tasks: Sequence[str], steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All runs of a method on common steps.

    Returns:
        values float64 (P, N), NaN where a run has none; index of each run's task, int64 (N,).
    """
    columns, indices = [], []
    for (task, _), run in curves.groupby(["task", "seed"], sort=True):
        columns.append(values_at(steps, run.steps.to_numpy(), run.score.to_numpy(dtype=np.float64)))
        indices.append(tasks.index(task))
    return np.stack(columns, axis=1), np.array(indices, dtype=np.int64)
