from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from score_cases import CONFIG, PUBLISHED, Results, table_of

from m3.analysis import aggregates, words
from m3.analysis.aggregates import Aggregates
from m3.analysis.aggregation import aggregate
from m3.analysis.scores import ScoreTable
from m3.analysis.sources import Sources, collect
from m3.config.loading import load_benchmark, names
from m3.errors import UserError
from m3.files.provenance import Provenance

ATARI = {  # mean, median, IQM, optimality gap, superhuman games
    "M3": (1.645, 0.982, 0.990, 0.412, 13),
    "DIAMOND": (1.459, 0.373, 0.641, 0.480, 11),
    "REM": (1.222, 0.280, 0.673, 0.482, 12),
    "STORM": (1.222, 0.425, 0.561, 0.472, 9),
    "IRIS": (1.046, 0.289, 0.501, 0.512, 10),
}
MORE_ATARI = {  # mean, median, IQM
    "M3 (independent reproduction)": (1.609, 0.737, 0.913),
    "EASimulus": (1.818, 0.773, 1.004),
    "BBF": (2.238, 0.880, 1.032),
}
DMC_MEANS = {  # at 500 K decisions and 1 M simulation steps
    "DR.Q": 0.882,
    "TD-MPC2": 0.878,
    "MR.Q": 0.869,
    "SimbaV2 (UTD 2)": 0.868,
    "DC-MPC": 0.846,
    "TD-MPC": 0.826,
    "M3": 0.796,
    "DreamerV3 (run by TD-MPC2 authors)": 0.769,
    "SAC": 0.721,
}
DMC_MEANS_APART = {  # at 500 K decisions and as many simulation steps
    "DreamerV3": 0.758,
    "D4PG": 0.735,
    "DDPG": 0.697,
    "DMPO": 0.685,
    "MPO": 0.679,
    "PPO": 0.229,
}
CRAFTAX_RETURNS = {"M3": 14.90, "PPO-RNN": 4.86, "PPO-RND": 4.79, "E3B": 4.31, "EASimulus": 16.35, "PPO-GTrXL": 2.16}


def estimates(results: Aggregates, metric: str) -> dict[str, float]:
    return results.metric(metric).estimate.to_dict()


def test_atari(published: dict[str, Results]) -> None:
    results = published["atari100k"][1]
    metrics = ("mean", "median", "iqm", "optimality_gap", "superhuman")
    for method, expected in ATARI.items():
        assert tuple(round(estimates(results, metric)[method], 3) for metric in metrics) == expected


def test_more_atari(published: dict[str, Results]) -> None:
    results = published["atari100k"][1]
    for method, expected in MORE_ATARI.items():
        found = tuple(round(estimates(results, metric)[method], 3) for metric in ("mean", "median", "iqm"))
        assert found == expected


def test_the_reproduction_falls_short_on_two_games(published: dict[str, Results]) -> None:
    means = published["atari100k"][1].cells.pivot(index="task", columns="method", values="mean")
    share = means["M3 (independent reproduction)"] / means["M3"]
    assert round(share[["UpNDown", "KungFuMaster"]], 2).tolist() == [0.38, 0.65]


def test_dmc_ranks_equal_budgets_alone(published: dict[str, Results]) -> None:
    results = published["dmc500k"][1]
    means = {method: round(value, 3) for method, value in estimates(results, "mean").items()}
    assert means == DMC_MEANS | DMC_MEANS_APART
    assert set(results.ranked) == set(DMC_MEANS)
    assert results.complete == [*results.ranked, *(name for name in results.complete if name in DMC_MEANS_APART)]
    assert results.label("D4PG") == "D4PG (500 K simulation steps)"
    assert results.label("M3") == "M3"
    rows = results.methods.set_index("method")
    assert (rows.steps["TD-MPC2"], rows.simulation_steps["TD-MPC2"]) == (500_000, 1_000_000)
    assert (rows.steps["D4PG"], rows.simulation_steps["D4PG"]) == (500_000, 500_000)
    assert words.not_ranked(results)[0].startswith(
        "Ranked is what has had 500 K agent steps (1 M simulation steps), under one protocol; "
        "apart, with what differs: D4PG (500 K simulation steps), "
    )


def test_a_shorter_training_is_not_ranked(published: dict[str, Results]) -> None:
    results = published["craftax1m"][1]
    assert results.label("PPO-GTrXL") == "PPO-GTrXL (918 K steps)"
    assert "PPO-GTrXL" not in results.ranked


def test_another_protocol_is_not_ranked() -> None:
    table = table_of("atari100k", methods=["M3", "MR.Q (sticky actions)"])
    results = aggregate(table, repetitions=20, seed=0, band_repetitions=20)
    assert (results.complete, results.ranked) == (["M3", "MR.Q (sticky actions)"], ["M3"])


def test_all_published_methods_can_be_shown() -> None:
    shown = {
        name: set(table_of(name, methods=["all"]).methods.method) for name in ("atari100k", "dmc500k", "craftax1m")
    }
    assert {name: len(methods) for name, methods in shown.items()} == {"atari100k": 27, "dmc500k": 17, "craftax1m": 6}
    assert shown["dmc500k"] == {*DMC_MEANS, *DMC_MEANS_APART, "XQC", "SimBa (half budget)"}


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(UserError, match="unknown published method 'IRRIS': did you mean 'IRIS'"):
        table_of("atari100k", methods=["M3", "IRRIS"])
    assert table_of("craftax1m", methods=["IRIS", "M3"]).methods.method.tolist() == ["M3"]  # of other benchmarks: fine


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
    some = table_of("craftax1m", methods=[name for name in full.methods.method if name != "E3B"])
    fewer = aggregate(some, repetitions=500, seed=0, band_repetitions=100, cores=2)
    for name in ("metrics", "profiles", "improvement", "curves"):
        expected = getattr(published["craftax1m"][1], name)
        expected = expected[expected.method != "E3B"].reset_index(drop=True)
        pd.testing.assert_frame_equal(getattr(fewer, name), expected)


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
    frames = table_of("atari100k", methods=["PPO (2024)"])
    row = frames.scores.query("method == 'PPO (2024)' and task == 'Pong' and seed == 0").iloc[0]
    curve = pd.read_csv(PUBLISHED / "curves.csv.gz").query(
        "method == 'PPO (2024)' and task == 'Pong' and seed == 0 and simulation_steps <= 400_000"
    )
    assert row.score == curve.score.iloc[-1]
    assert (row.steps, row.simulation_steps) == tuple(curve.iloc[-1][["decisions", "simulation_steps"]])


def test_final_scores_are_those_of_the_curves_at_the_budget() -> None:
    """The corrected reading: 500 K decisions of TD-MPC2, TD-MPC and SAC are 1 M of their files' steps."""
    table = table_of("dmc500k", methods=["TD-MPC2", "TD-MPC", "SAC"])
    run = ["method", "task", "seed"]
    ends = table.curves[table.curves.steps == 500_000].set_index(run).score.sort_index()
    finals = table.scores.set_index(run).score.sort_index()
    pd.testing.assert_series_equal(ends, finals)


def test_a_curve_logged_twice_is_reported(published: dict[str, Results]) -> None:
    table = published["dmc500k"][0]
    assert table.notes == (
        "TD-MPC on pendulum-swingup, seed 3: 11 steps were logged twice; the first row of a step counts",
    )
    assert table.scores.query("method == 'TD-MPC' and task == 'pendulum-swingup' and seed == 3").score.item() == 786.4


def test_nothing_is_dropped() -> None:
    runs = pd.read_csv(PUBLISHED / "runs.csv").query("benchmark == 'atari100k'")
    table = table_of("atari100k", methods=["all"])
    kept = table.scores[table.scores.method.isin(runs.method)]
    assert len(kept) == len(runs)
    assert kept.score.sum() == pytest.approx(runs.score.sum(), rel=1e-12)
    curves = pd.read_csv(PUBLISHED / "curves.csv.gz").query("benchmark == 'atari100k'")
    assert len(table.curves) == len(curves)


def test_short_lists_name_published_methods() -> None:
    methods = pd.read_csv(PUBLISHED / "methods.csv").groupby("benchmark").method.agg(set)
    for name in names("benchmark", CONFIG):
        benchmark = load_benchmark(name, CONFIG)
        assert set(benchmark.published) <= methods.get(name, set())
        named = {benchmark.display.reference, benchmark.display.reproduction} - {None}
        assert named <= methods.get(name, named)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in ("methods.csv", "runs.csv", "curves.csv.gz"):
        (tmp_path / name).write_bytes((PUBLISHED / name).read_bytes())
    return tmp_path


def read(folder: Path) -> ScoreTable:
    return collect("atari100k", Sources(folder), CONFIG)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("runs.csv", "703.1", "high", r"runs\.csv, line 2: the score must be a number, got 'high'"),
        ("runs.csv", "decisions", "steps", r"runs\.csv: no column 'decisions'; its columns must be benchmark, method"),
        ("runs.csv", "DIAMOND,Alien,1,", "DIAMOND,Alien,0,", "two scores of DIAMOND on Alien with seed 0"),
        ("runs.csv", "DIAMOND,Alien,1,", "DIAMOND,Aline,1,", "unknown task of atari100k 'Aline': did you mean 'Alien'"),
    ],
)
def test_faults_in_published_files(copied: Path, file: str, old: str, new: str, message: str) -> None:
    path = copied / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        read(copied)


def test_missing_files_and_benchmarks(copied: Path) -> None:
    with pytest.raises(UserError, match=r"unknown benchmark 'atari': did you mean 'atari100k'\?"):
        collect("atari", Sources(copied), CONFIG)
    (copied / "curves.csv.gz").write_bytes(b"no gzip file")
    with pytest.raises(UserError, match=r"curves\.csv\.gz: cannot be read"):
        read(copied)
    (copied / "runs.csv").unlink()
    with pytest.raises(UserError, match=r"runs\.csv: no such file"):
        read(copied)
