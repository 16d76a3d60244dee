from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from score_cases import PUBLISHED, Results

from m3.analysis import aggregates, benchmarks, scores
from m3.analysis.aggregates import Aggregates
from m3.analysis.aggregation import aggregate
from m3.analysis.published import read_published, read_references
from m3.analysis.scores import AGENT_STEPS, AUTHORS_STEPS, ScoreTable
from m3.errors import UserError
from m3.files.provenance import Provenance

ROOT = Path(__file__).parents[2]

ATARI = {  # mean, median, IQM, optimality gap, superhuman games
    "M3": (1.645, 0.982, 0.990, 0.412, 13),
    "DIAMOND": (1.459, 0.373, 0.641, 0.480, 11),
    "REM": (1.222, 0.280, 0.673, 0.482, 12),
    "STORM": (1.222, 0.425, 0.561, 0.472, 9),
    "IRIS": (1.046, 0.289, 0.501, 0.512, 10),
}
DMC_MEANS = {
    "M3": 0.796,
    "DreamerV3": 0.758,
    "TD-MPC2": 0.845,
    "TD-MPC": 0.788,
    "D4PG": 0.735,
    "DDPG": 0.697,
    "DMPO": 0.685,
    "MPO": 0.679,
    "SAC": 0.598,
    "PPO": 0.229,
}
CRAFTAX_RETURNS = {"M3": 14.90, "PPO-RNN": 4.86, "PPO-RND": 4.79, "E3B": 4.31}


def estimates(results: Aggregates, metric: str) -> dict[str, float]:
    return results.metric(metric).estimate.to_dict()


def test_atari(published: dict[str, Results]) -> None:
    results = published["atari100k"][1]
    metrics = ("mean", "median", "iqm", "optimality_gap", "superhuman")
    for method, expected in ATARI.items():
        assert tuple(round(estimates(results, metric)[method], 3) for metric in metrics) == expected


def test_dmc(published: dict[str, Results]) -> None:
    assert {
        method: round(value, 3) for method, value in estimates(published["dmc500k"][1], "mean").items()
    } == DMC_MEANS


def test_craftax(published: dict[str, Results]) -> None:
    returns = estimates(published["craftax1m"][1], "raw_mean")
    assert {method: round(value, 2) for method, value in returns.items()} == CRAFTAX_RETURNS
    assert round(100 * estimates(published["craftax1m"][1], "mean")["M3"], 2) == 6.59


def test_extent_is_recorded(published: dict[str, Results]) -> None:
    methods = published["atari100k"][1].methods.set_index("method")
    assert methods.loc["M3", ["n_seeds", "n_tasks", "complete"]].tolist() == [5, 26, True]
    assert methods.loc["EfficientZero", ["n_seeds", "n_tasks", "complete"]].tolist() == [1, 26, True]
    assert methods.loc["Simulus-A", ["n_seeds", "n_tasks", "complete"]].tolist() == [5, 1, False]
    assert methods.index[-1] == "Simulus-A"
    improvement = published["atari100k"][1].improvement.set_index("method").n_tasks
    assert improvement["Simulus-A"] == 1
    assert improvement["IRIS"] == 26


def test_intervals(published: dict[str, Results]) -> None:
    rows = published["atari100k"][1].metric("iqm")
    single = rows.loc["EfficientZero"]
    assert np.isnan([single.low, single.high]).all()
    others = rows.drop("EfficientZero")
    assert ((others.low < others.estimate) & (others.estimate < others.high)).all()


def test_an_interval_does_not_move_when_a_method_leaves(published: dict[str, Results]) -> None:
    full = published["craftax1m"][0]
    keep = {
        name: frame[frame.method != "E3B"]
        for name, frame in {"methods": full.methods, "scores": full.scores, "curves": full.curves}.items()
    }
    fewer = aggregate(ScoreTable(**keep, benchmark=full.benchmark, tasks=full.tasks), repetitions=500, seed=0)
    expected = published["craftax1m"][1].metric("iqm").drop("E3B")
    pd.testing.assert_frame_equal(fewer.metric("iqm"), expected)


def test_csv(published: dict[str, Results]) -> None:
    lines = aggregates.to_csv(published["atari100k"][1]).splitlines()
    assert lines[0] == "benchmark,method,metric,estimate,low,high,n_seeds,n_tasks"
    assert "atari100k,EfficientZero,superhuman,14.000000,,,1,26" in lines
    assert any(line.startswith("atari100k,IRIS,improvement_of_M3,0.825385,") for line in lines)


def test_aggregates_file(published: dict[str, Results], tmp_path: Path) -> None:
    results = published["dmc500k"][1]
    aggregates.write(tmp_path / "aggregates.h5", results, Provenance("{}", "0", [0]))
    with pytest.raises(UserError, match="statistics of dmc500k, where those of atari100k are needed"):
        aggregates.read(tmp_path / "aggregates.h5", "atari100k")
    again = aggregates.read(tmp_path / "aggregates.h5", "dmc500k")
    assert again.tasks == results.tasks
    for name in ("methods", "metrics", "cells", "curves"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(results, name)[list(getattr(again, name))])


def test_final_score_of_curves_is_the_last_point_within_the_budget(published: dict[str, Results]) -> None:
    frames = published["atari100k"][0]
    row = frames.scores.query("method == 'PPO (2024)' and task == 'Pong' and seed == 0").iloc[0]
    curve = pd.read_csv(PUBLISHED / "curves.csv.gz").query(
        "method == 'PPO (2024)' and task == 'Pong' and seed == 0 and env_steps <= 400_000"
    )
    assert row.score == curve.score.iloc[-1]
    assert row.steps == curve.env_steps.iloc[-1] // 4
    sac = published["dmc500k"][0].scores.query("method == 'SAC'")
    assert set(sac.steps) == {500_000}  # its curves go on to 1 M steps


def test_units_of_steps_are_recorded(published: dict[str, Results]) -> None:
    units = published["dmc500k"][0].methods.set_index("method").step_unit
    assert units.pop("M3") == AGENT_STEPS
    assert set(units) == {AUTHORS_STEPS}
    assert set(published["craftax1m"][0].methods.step_unit) == {AGENT_STEPS}


def test_a_curve_logged_twice_is_reported(published: dict[str, Results]) -> None:
    table = published["dmc500k"][0]
    assert table.notes == (
        "TD-MPC on pendulum-swingup, seed 3: 11 steps were logged twice; the first row of a step counts",
    )
    assert table.scores.query("method == 'TD-MPC' and task == 'pendulum-swingup' and seed == 3").score.item() == 832.6


def test_nothing_is_dropped(published: dict[str, Results]) -> None:
    runs = pd.read_csv(PUBLISHED / "runs.csv").query("benchmark == 'atari100k'")
    table = published["atari100k"][0]
    kept = table.scores[table.scores.method.isin(runs.method)]
    assert len(kept) == len(runs)
    assert kept.score.sum() == pytest.approx(runs.score.sum(), rel=1e-12)
    curves = pd.read_csv(PUBLISHED / "curves.csv.gz").query("benchmark == 'atari100k'")
    assert len(table.curves) == len(curves)


def test_benchmarks_agree_with_the_config() -> None:
    for info in (benchmarks.ATARI, benchmarks.DMC, benchmarks.CRAFTAX):
        config = yaml.safe_load((ROOT / f"config/benchmarks/{info.name}.yaml").read_text())
        assert (info.label, info.agent_steps) == (config["label"], config["environment_steps"])
        assert read_references(PUBLISHED, info.name).task.tolist() == config["tasks"]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in ("runs.csv", "references.csv", "curves.csv.gz"):
        (tmp_path / name).write_bytes((PUBLISHED / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("runs.csv", "703.1", "high", r"runs\.csv, line 2: the score must be a number, got 'high'"),
        ("runs.csv", "env_steps", "steps", r"runs\.csv: no column 'env_steps'; its columns must be benchmark, method"),
        ("runs.csv", "DIAMOND,Alien,1,", "DIAMOND,Alien,0,", "two scores of DIAMOND on Alien with seed 0"),
        ("runs.csv", "DIAMOND,Alien,1,", "DIAMOND,Aline,1,", "unknown task of atari100k 'Aline': did you mean 'Alien'"),
    ],
)
def test_faults_in_published_files(copied: Path, file: str, old: str, new: str, message: str) -> None:
    path = copied / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        scores.combine("atari100k", read_references(copied, "atari100k"), [read_published(copied, "atari100k")])


def test_missing_files_and_benchmarks(copied: Path) -> None:
    with pytest.raises(UserError, match=r"unknown benchmark .*'atari': did you mean 'atari100k'\?"):
        read_references(copied, "atari")
    (copied / "curves.csv.gz").write_bytes(b"no gzip file")
    with pytest.raises(UserError, match=r"curves\.csv\.gz: cannot be read"):
        read_published(copied, "atari100k")
    (copied / "runs.csv").unlink()
    with pytest.raises(UserError, match=r"runs\.csv: no such file"):
        read_published(copied, "atari100k")
