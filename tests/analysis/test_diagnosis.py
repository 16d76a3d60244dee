"""Diagnoses of several runs, by hand."""

from pathlib import Path

import numpy as np
import pytest
from diagnosis_content import diagnosis_content

from m3.analysis.captions import diagnosis_caption
from m3.analysis.diagnosis import diagnosis_table, read_diagnoses
from m3.analysis.figures.diagnosis import diagnosis_figure
from m3.analysis.style import look, style
from m3.errors import UserError
from m3.files import hdf5
from m3.files.provenance import Provenance


def write_diagnosis(folder: Path, variant: str = "m3", seed: int = 0, task: str = "Pong", benchmark: str = "b") -> Path:
    """A run with a diagnosis and two scored episodes."""
    run = folder / benchmark / variant / task / f"seed-{seed}"
    content = diagnosis_content(benchmark, variant, task, seed)
    provenance = Provenance("{}", "0", [seed])
    hdf5.write(run / "diagnosis.h5", "m3.diagnosis", content, provenance)
    hdf5.write(run / "scores.h5", "m3.scores", {"returns": np.array([1.0, 3.0 + seed])}, provenance)
    return run


def test_sums_of_a_run(tmp_path: Path) -> None:
    found = read_diagnoses([write_diagnosis(tmp_path)], {"m3": "M3 (ours)"}, "Benchmark")
    run = found.runs.iloc[0]
    assert (run.method, run.task, run.seed, run.score) == ("M3 (ours)", "Pong", 0, 2.0)
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
    runs = [write_diagnosis(tmp_path, variant, seed) for variant in ("other", "m3") for seed in range(2)]
    runs.append(write_diagnosis(tmp_path, "m3", 2))
    found = read_diagnoses(runs, {"m3": "M3 (ours)", "other": "Other"}, "Benchmark")
    rows = [[cell.text for cell in row] for row in diagnosis_table(found).sections[0]]
    assert rows == [
        ["M3 (ours)", "Pong", "3", "2.50", "3.500", "1.000", "0.10", "70.0%", "20.0%"],
        ["Other", "Pong", "2", "2.25", "3.000", "1.000", "0.10", "70.0%", "20.0%"],
    ]
    with style():
        figure = diagnosis_figure(found)
    heading = diagnosis_caption(found)
    assert "The first 500 steps of 2 new episodes of each agent, after 100 agent steps of training" in heading
    assert "2 to 3 seeds per method" in heading
    dreams, losses, _, ends = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Pong: dreams",
        "Loss and score",
        "Rewards",
        "Ends",
    ]
    np.testing.assert_allclose(dreams.lines[0].get_xydata(), [[1, 0.2], [2, 0.3]])
    assert dreams.lines[0].get_color() == look("M3 (ours)", found.methods).color
    assert losses.collections[2].get_offsets().tolist() == [[2.5, 2.0], [3.5, 2.5], [4.5, 3.0]]
    assert ends.collections[0].get_offsets().tolist()[-1] == [pytest.approx(0.7), 1]


def test_a_task_without_ends_says_so(tmp_path: Path) -> None:
    run = write_diagnosis(tmp_path)
    content, _ = hdf5.read(run / "diagnosis.h5", "m3.diagnosis")
    content["predictions"]["ended"][:] = False
    hdf5.write(run / "diagnosis.h5", "m3.diagnosis", content, Provenance("{}", "0", [0]))
    found = read_diagnoses([run], {})
    assert diagnosis_table(found).sections[0][0][7].text == "none"
    with style():
        assert [text.get_text() for text in diagnosis_figure(found).axes[3].texts] == ["no episode was\nterminated"]


def test_what_does_not_belong_together(tmp_path: Path) -> None:
    runs = [write_diagnosis(tmp_path, seed=seed) for seed in range(2)]
    content, _ = hdf5.read(runs[1] / "diagnosis.h5", "m3.diagnosis")
    content["extent"]["steps"] = 10
    hdf5.write(runs[1] / "diagnosis.h5", "m3.diagnosis", content, Provenance("{}", "0", [1]))
    with pytest.raises(UserError, match="of different extent"):
        read_diagnoses(runs, {})
    hdf5.write(runs[0] / "scores.h5", "m3.scores", {"returns": np.ones(2)}, Provenance("{}", "another", [0]))
    with pytest.raises(UserError, match=r"diagnosis\.h5 and scores\.h5 are of different settings"):
        read_diagnoses(runs[:1], {})


def test_one_benchmark_at_a_time(tmp_path: Path) -> None:
    files = [write_diagnosis(tmp_path, benchmark=name) for name in ("dmc500k", "atari100k")]
    with pytest.raises(UserError, match="diagnoses of one benchmark are drawn together, got atari100k, dmc500k"):
        read_diagnoses(files, {})
