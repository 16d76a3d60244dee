from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import score_cases
from score_cases import write_run

from m3.analysis import scores, words
from m3.analysis.aggregation import aggregate
from m3.analysis.scores import ScoreTable
from m3.analysis.sources import Sources, collect
from m3.errors import UserError
from m3.files.provenance import Provenance


def table_of(folders: list[Path], labels: dict[str, str], published: bool = True) -> ScoreTable:
    return score_cases.table_of("atari100k", folders, labels, published=published)


def two_seeds(folder: Path) -> list[Path]:
    return [write_run(folder, seed=seed, returns=(1.0, 2.0, 3.0 + seed)) for seed in range(2)]


def test_a_run_joins_by_its_files(tmp_path: Path) -> None:
    table = table_of(two_seeds(tmp_path), {"tiny": "M3 tiny"})
    own = table.scores[table.scores.method == "M3 tiny"]
    assert own[["task", "seed", "score", "steps", "source"]].values.tolist() == [
        ["Breakout", 0, 2.0, 300, "own run"],
        ["Breakout", 1, pytest.approx(7 / 3), 300, "own run"],
    ]
    curve = table.curves[(table.curves.method == "M3 tiny") & (table.curves.seed == 0)]
    assert curve[["steps", "score"]].values.tolist() == [[100, 0.5], [200, 1.0], [300, 2.0]]
    assert table.own == ["M3 tiny"]
    assert table.has_published


def test_the_reproduction_of_m3_stands_beside_it(tmp_path: Path) -> None:
    runs, reproduction = two_seeds(tmp_path), "M3 (independent reproduction)"
    for methods, shown in ((["M3", "IRIS"], True), (["IRIS"], False), ([], True)):
        table = score_cases.table_of("atari100k", runs, methods=methods)
        assert (reproduction in set(table.methods.method)) == shown
    alone = score_cases.table_of("atari100k", methods=["M3", "IRIS"])
    assert alone.methods.method.tolist() == ["IRIS", "M3"]


def test_runs_of_another_budget_are_not_ranked(tmp_path: Path) -> None:
    whole = [write_run(tmp_path, variant="whole", steps=(100, 100_000), evaluations=())]
    table = table_of([*whole, *two_seeds(tmp_path)], {"whole": "Whole", "tiny": "Tiny"})
    results = aggregate(table, repetitions=20, seed=0, band_repetitions=20)
    assert "Whole" in results.ranked
    assert "Tiny" not in results.ranked
    assert results.label("Tiny") == "Tiny (300 steps)"


def test_provenance_of_runs_is_kept(tmp_path: Path) -> None:
    run = table_of(two_seeds(tmp_path), {}).runs.iloc[0]
    assert (run.method, run.variant, run.device, run.episodes) == ("tiny (ours)", "tiny", "Test CPU", 3)
    assert (run.score, run.score_sd, run.wall_seconds) == (2.0, 1.0, 90.0)
    assert run.config_hash == "0123456789abcdef"


def test_a_partial_benchmark_compares_the_tasks_of_own_runs(tmp_path: Path) -> None:
    results = aggregate(
        table_of(two_seeds(tmp_path), {"tiny": "M3 tiny"}), repetitions=200, seed=0, band_repetitions=20
    )
    assert results.tasks == ["Breakout"]
    assert results.total_tasks == 26
    assert set(results.methods.n_tasks) == {1}
    tiny = results.metric("mean").loc["M3 tiny"]
    assert tiny.estimate == pytest.approx(((2 + 7 / 3) / 2 - 1.7) / (30.5 - 1.7))
    assert tiny.low < tiny.estimate < tiny.high
    assert "Simulus-A" in results.complete  # it has this one task


def test_methods_without_all_compared_tasks_are_told_apart(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, task=task) for task in ("Breakout", "Pong")]
    folders.append(write_run(tmp_path, variant="small", task="Pong"))
    results = aggregate(table_of(folders, {"tiny": "A", "small": "B"}), repetitions=100, seed=0, band_repetitions=20)
    assert results.tasks == ["Breakout", "Pong"]
    complete = results.methods.set_index("method").complete
    assert (complete["A"], complete["B"], complete["Simulus-A"]) == (True, False, False)
    assert results.methods.n_tasks.to_list()[-2:] == [1, 1]
    assert set(results.profiles.method) == set(results.complete)


def test_ablations_are_compared_where_both_have_runs(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path, variant="m3", task=task, seed=seed, returns=(gain + seed,))
        for task, gain in (("Breakout", 10.0), ("Pong", 5.0))
        for seed in range(2)
    ]
    folders += [write_run(tmp_path, variant="other", task="Pong", seed=seed, returns=(1.0 + seed,)) for seed in (0, 1)]
    folders.append(write_run(tmp_path, variant="apart", task="Alien"))
    labels = {"m3": "Full", "other": "Other", "apart": "Apart"}
    results = aggregate(table_of(folders, labels, published=False), repetitions=100, seed=0, band_repetitions=20)
    row = results.ablations.iloc[0]
    assert results.ablations.method.tolist() == ["Other"]
    assert results.methods.set_index("method").n_tasks["Apart"] == 0  # it is not forgotten
    assert (row.base, row.n_tasks) == ("Full", 1)
    assert row.base_estimate == pytest.approx((5.5 + 20.7) / 35.3)
    assert row.estimate == pytest.approx((1.5 + 20.7) / 35.3)


def test_seeds_may_differ_between_tasks(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, task="Pong", seed=seed) for seed in range(3)] + [write_run(tmp_path)]
    results = aggregate(table_of(folders, {}, published=False), repetitions=100, seed=0, band_repetitions=20)
    row = results.methods.iloc[0]
    assert (row.n_seeds, row.n_seeds_max, row.n_tasks) == (1, 3, 2)


def test_a_heading_tells_the_shortest_and_the_longest_training(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, task="Pong"), write_run(tmp_path, steps=(100, 200, 100_000))]
    results = aggregate(table_of(folders, {"tiny": "Tiny"}), repetitions=50, seed=0, band_repetitions=20)
    assert words.warnings(results)[-1] == "Tiny: 300 to 100 K of 100 K agent steps of training"
    whole = aggregate(table_of(folders[1:], {"tiny": "Tiny"}), repetitions=50, seed=0, band_repetitions=20)
    assert "agent steps of training" not in " ".join(words.warnings(whole))


def test_order_and_names_follow_the_labels(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, variant=variant) for variant in ("zeta", "alpha", "beta")]
    assert table_of(folders, {"beta": "B", "zeta": "Z"}, published=False).own == ["B", "Z", "alpha (ours)"]


def test_a_label_must_be_free(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two methods are called 'IRIS'"):
        table_of(two_seeds(tmp_path), {"tiny": "IRIS"})
    folders = [write_run(tmp_path, variant=variant) for variant in ("a", "b")]
    with pytest.raises(UserError, match="two methods are called 'Same'"):
        table_of(folders, {"a": "Same", "b": "Same"}, published=False)


def test_faults_of_run_folders(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    with pytest.raises(UserError, match="two scores of tiny \\(ours\\) on Breakout with seed 0"):
        table_of([run, run], {})
    with pytest.raises(UserError, match="a run of dmc500k, where runs of atari100k are collected"):
        table_of([write_run(tmp_path, benchmark="dmc500k", task="walker-run")], {})
    with pytest.raises(UserError, match="unknown task of atari100k 'Brekout': did you mean 'Breakout'"):
        table_of([write_run(tmp_path, task="Brekout")], {})
    (run / "metrics.h5").write_bytes((write_run(tmp_path, seed=1) / "metrics.h5").read_bytes())
    with pytest.raises(UserError, match=r"scores\.h5 is of seed 0, metrics\.h5 of 1"):
        table_of([run], {})
    (run / "scores.h5").unlink()
    with pytest.raises(UserError, match=r"scores\.h5: no such file"):
        table_of([run], {})


def test_no_scores_at_all() -> None:
    with pytest.raises(UserError, match="no scores of atari100k"):
        collect("atari100k", Sources(), score_cases.CONFIG)


def test_runs_without_evaluations_have_no_curve(tmp_path: Path) -> None:
    run = write_run(tmp_path, steps=(100,), evaluations=())
    table = table_of([run], {}, published=False)
    assert table.curves.empty
    assert aggregate(table, repetitions=50, seed=0, band_repetitions=20).task_curves.empty


def test_table_file(tmp_path: Path) -> None:
    table = table_of(two_seeds(tmp_path), {"tiny": "M3 tiny"})
    scores.write(tmp_path / "scores.h5", table, Provenance("{}", "0", [0, 1]))
    again = scores.read(tmp_path / "scores.h5")
    assert (again.benchmark, again.notes, again.own) == (table.benchmark, table.notes, table.own)
    for name in ("methods", "tasks", "scores", "curves", "runs"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(table, name), check_dtype=False)


def test_table_file_of_published_scores_alone(tmp_path: Path) -> None:
    table = score_cases.table_of("craftax1m")
    scores.write(tmp_path / "scores.h5", table, Provenance("{}", "0", [0]))
    again = scores.read(tmp_path / "scores.h5")
    assert again.runs.empty
    assert again.own == []
    np.testing.assert_array_equal(again.curves.score, table.curves.score)
