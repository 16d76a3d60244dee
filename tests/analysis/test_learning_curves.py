import numpy as np
import pandas as pd
import pytest

from m3.analysis.curves import aligned, common_steps, values_at


def runs(**steps: list[int]) -> pd.DataFrame:
    """One task; the runs' seeds and logged steps; the score is the step."""
    rows = [("task", seed, step, float(step)) for seed, logged in steps.items() for step in logged]
    return pd.DataFrame(rows, columns=["task", "seed", "steps", "score"])


def test_steps_that_all_runs_logged_are_kept() -> None:
    assert common_steps(runs(a=[10, 20, 30], b=[10, 20, 30]), end=None).tolist() == [10, 20, 30]


def test_steps_beyond_the_end_are_left_out() -> None:
    assert common_steps(runs(a=[10, 20, 30], b=[10, 20, 30, 40]), end=30).tolist() == [10, 20, 30]


def test_a_step_that_was_evaluated_twice_appears_once() -> None:
    assert common_steps(runs(a=[10, 20, 20, 20]), end=None).tolist() == [10, 20]


def test_runs_that_log_differently_meet_on_a_regular_grid() -> None:
    steps = common_steps(runs(a=list(range(0, 1001, 10)), b=list(range(5, 1000, 10))), end=1000)
    assert len(steps) == 50
    assert set(np.diff(steps)) == {20}


def test_the_grid_is_not_finer_than_the_logging() -> None:
    assert common_steps(runs(a=[0, 100, 200, 300], b=[0, 100, 200]), end=300).tolist() == [100, 200, 300]


def test_no_curve_no_steps() -> None:
    assert common_steps(runs(a=[50]), end=40).tolist() == []


def test_a_value_is_the_last_point_at_or_before_the_step() -> None:
    values = values_at(np.array([5, 10, 14, 20, 30, 40]), np.array([10, 20, 15]), np.array([1.0, 3.0, 2.0]))
    assert values.tolist() == [pytest.approx(np.nan, nan_ok=True), 1, 1, 3, 3, pytest.approx(np.nan, nan_ok=True)]


def test_the_last_of_several_points_of_a_step_counts() -> None:
    assert values_at(np.array([10]), np.array([10, 10]), np.array([1.0, 2.0])).tolist() == [2.0]


def test_runs_of_several_tasks_side_by_side() -> None:
    frame = pd.concat([runs(a=[10, 20]), runs(a=[10, 20]).assign(task="other", score=[7.0, 8.0])])
    values, tasks = aligned(frame, ["task", "other"], np.array([10, 20]))
    columns = {task: values[:, index].tolist() for index, task in enumerate(tasks.tolist())}
    assert columns == {0: [10.0, 20.0], 1: [7.0, 8.0]}
