"""Diagnoses of several runs, by hand."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from m3.analysis.diagnosis import diagnosis_table, read_diagnoses
from m3.analysis.figures.diagnosis import diagnosis_figure
from m3.analysis.style import look, style
from m3.data import hdf5
from m3.data.provenance import Provenance
from m3.errors import UserError

NAN = np.nan


def write_diagnosis(folder: Path, variant: str = "m3", seed: int = 0, task: str = "Pong", benchmark: str = "b") -> Path:
    """Four steps, of which the last ends the episode; two dreams of three steps."""
    path = folder / f"{benchmark}-{variant}-{task}-{seed}.h5"
    content = {
        **{"benchmark": benchmark, "variant": variant, "task": task, "seed": seed, "agent_steps": 100},
        "temperature": 0.5,
        "episodes": {"return": np.array([1.0, 3.0 + seed]), "length": np.array([3, 1])},
        "predictions": {
            "observation_loss": np.array([1, 2, 3, 4.0]) + seed,
            "observation_entropy": np.array([1, 1, 1, 1.0]),
            "reward": np.array([0, 0, 1, 1.0]),
            "predicted_reward": np.array([0.1, 0, 0.8, 1.1]),
            "ended": np.array([False, False, False, True]),
            "end_probability": np.array([0.001, 0.002, 0.003, 0.7]),
        },
        "dreams": {
            **{"wrong": np.array([[0.1, 0.3, NAN], [0.3, NAN, NAN]]), "unchanged": np.full((2, 3), 0.5)},
            **{"bins": np.full((2, 3), 2.0), "unchanged_bins": np.full((2, 3), 4.0)},
        },
    }
    hdf5.write(path, "m3.diagnosis", content, Provenance("{}", "0", [seed]))
    return path


def test_sums_of_a_run(tmp_path: Path) -> None:
    found = read_diagnoses([write_diagnosis(tmp_path)], {"m3": "M3 (ours)"}, "Benchmark")
    run = found.runs.iloc[0]
    assert (run.method, run.task, run.seed, run["return"]) == ("M3 (ours)", "Pong", 0, 2.0)
    assert (run.observation_loss, run.observation_entropy) == (2.5, 1.0)
    assert run.reward_error == pytest.approx(0.1)
    assert (run.reward_spread, run.ends) == (0.5, 1)
    assert (run.end_if_ended, run.end_if_not) == (pytest.approx(0.7), pytest.approx(0.002))
    assert found.dreams[["step", "wrong", "unchanged"]].values.tolist() == [[1, 0.2, 0.5], [2, 0.3, 0.5]]


def test_calibration_is_of_all_seeds_together(tmp_path: Path) -> None:
    found = read_diagnoses([write_diagnosis(tmp_path, seed=seed) for seed in range(2)], {})
    ends = found.ends
    assert ends.method.unique().tolist() == ["m3 (ours)"]
    assert ends[["predicted", "real", "count"]].values.tolist() == [
        [pytest.approx(0.0015), 0, 4],
        [pytest.approx(0.003), 0, 2],
        [pytest.approx(0.7), 1, 2],
    ]
    assert found.rewards["count"].sum() == 8
    assert (found.rewards.predicted.diff().dropna() > 0).all()


def test_table_and_figure(tmp_path: Path) -> None:
    files = [write_diagnosis(tmp_path, variant, seed) for variant in ("other", "m3") for seed in range(2)]
    files.append(write_diagnosis(tmp_path, "m3", 2))
    found = read_diagnoses(files, {"m3": "M3 (ours)", "other": "Other"}, "Benchmark")
    rows = [[cell.text for cell in row] for row in diagnosis_table(found).sections[0]]
    assert rows == [
        ["M3 (ours)", "Pong", "3", "2.50", "3.500", "1.000", "0.10", "70.0%", "20.0%"],
        ["Other", "Pong", "2", "2.25", "3.000", "1.000", "0.10", "70.0%", "20.0%"],
    ]
    with style():
        figure = diagnosis_figure(found)
    assert "2 to 3 seeds per method" in " ".join(text.get_text() for text in figure.texts)
    dreams, losses, _, ends = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Pong: dreams",
        "Loss and return",
        "Rewards",
        "Ends",
    ]
    np.testing.assert_allclose(dreams.lines[0].get_xydata(), [[1, 0.2], [2, 0.3]])
    assert to_hex(dreams.lines[0].get_color()) == look("M3 (ours)", found.methods).color
    assert losses.collections[2].get_offsets().tolist() == [[2.5, 2.0], [3.5, 2.5], [4.5, 3.0]]
    assert ends.collections[0].get_offsets().tolist()[-1] == [pytest.approx(0.7), 1]


def test_a_task_without_ends_says_so(tmp_path: Path) -> None:
    path = write_diagnosis(tmp_path)
    content, _ = hdf5.read(path, "m3.diagnosis")
    content["predictions"]["ended"][:] = False
    hdf5.write(path, "m3.diagnosis", content, Provenance("{}", "0", [0]))
    found = read_diagnoses([path], {})
    assert diagnosis_table(found).sections[0][0][7].text == "none"
    with style():
        assert [text.get_text() for text in diagnosis_figure(found).axes[3].texts] == ["no episode was\nterminated"]


def test_one_benchmark_at_a_time(tmp_path: Path) -> None:
    files = [write_diagnosis(tmp_path, benchmark=name) for name in ("dmc500k", "atari100k")]
    with pytest.raises(UserError, match="diagnoses of one benchmark are drawn together, got atari100k, dmc500k"):
        read_diagnoses(files, {})
