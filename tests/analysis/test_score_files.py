"""Scores of other methods in CSV files: read whole, or refused with file and line."""

from pathlib import Path

import pytest
from score_cases import table_of, write_run

from m3.analysis import tables
from m3.analysis.aggregation import aggregate
from m3.analysis.figures import draw
from m3.analysis.score_files import tasks_in
from m3.analysis.style import style
from m3.errors import UserError

HEADER = "method,task,seed,steps,score\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.csv"


def test_final_scores_join_the_published_ones(file: Path) -> None:
    file.write_text(HEADER + "Mine,Pong,0,100000,12.5\nMine,Pong,1,100000,14\nMine,Breakout,0,100000,40\n")
    table = table_of("atari100k", files=[file])
    mine = table.scores[table.scores.method == "Mine"]
    assert mine[["task", "seed", "score", "steps", "simulation_steps", "source"]].values.tolist() == [
        ["Pong", 0, 12.5, 100_000, 400_000, "mine.csv"],
        ["Pong", 1, 14.0, 100_000, 400_000, "mine.csv"],
        ["Breakout", 0, 40.0, 100_000, 400_000, "mine.csv"],
    ]
    assert (table.own, table.trained, table.compared_tasks()) == (["Mine"], [], ["Breakout", "Pong"])
    assert "Mine" not in set(table.curves.method)
    assert "M3 (independent reproduction)" in set(table.methods.method)
    results = aggregate(table, repetitions=20, seed=0, band_repetitions=20)
    assert "Mine" in results.ranked
    with style():
        draw("iqm", results, table)
    for name in ("table_scores", "table_aggregates"):
        assert "Mine" in tables.files(name, results, table)["csv"]


def test_rows_of_one_run_are_its_curve_and_the_last_in_the_budget_its_score(file: Path) -> None:
    rows = [(0, 50_000, 1.0), (0, 150_000, 3.0), (0, 100_000, 2.0), (1, 50_000, 5.0), (1, 120_000, 6.0)]
    file.write_text(HEADER + "".join(f"Mine,Pong,{seed},{steps},{score}\n" for seed, steps, score in rows))
    table = table_of("atari100k", files=[file], published=False)
    assert table.scores[["seed", "steps", "score"]].values.tolist() == [[0, 100_000, 2.0], [1, 50_000, 5.0]]
    assert len(table.curves) == 5
    results = aggregate(table, repetitions=20, seed=0, band_repetitions=20)
    assert results.label("Mine") == "Mine (50 K steps)"
    assert results.ranked == []
    assert results.curves.method.unique().tolist() == ["Mine"]


def test_a_score_beyond_the_budget_says_so(file: Path) -> None:
    file.write_text(HEADER + "Mine,Pong,0,200000,20\n")
    results = aggregate(table_of("atari100k", files=[file]), repetitions=20, seed=0, band_repetitions=20)
    assert results.label("Mine") == "Mine (200 K steps)"
    assert "Mine" not in results.ranked


def test_steps_of_the_simulator_can_be_given(file: Path) -> None:
    file.write_text("simulation_steps,method,task,seed,steps,score\n500000,Mine,walker-run,0,500000,700\n")
    table = table_of("dmc500k", files=[file])
    results = aggregate(table, repetitions=20, seed=0, band_repetitions=20)
    assert results.label("Mine") == "Mine (500 K simulation steps)"


def test_a_file_may_hold_several_benchmarks_and_other_columns(file: Path) -> None:
    file.write_text(
        "benchmark,method,task,seed,steps,score,note\n"
        "atari100k,Mine,Pong,0,100000,20,good\n"
        "dmc500k,Mine,walker-run,0,500000,700,\n"
    )
    assert tasks_in(file) == {("atari100k", "Pong"), ("dmc500k", "walker-run")}
    assert table_of("dmc500k", files=[file], published=False).scores.task.tolist() == ["walker-run"]
    with pytest.raises(UserError, match=r"mine\.csv: no scores of craftax1m"):
        table_of("craftax1m", files=[file])


def test_files_and_runs_stand_side_by_side(file: Path, tmp_path: Path) -> None:
    file.write_text(HEADER + "Mine,Breakout,0,300,4\n")
    table = table_of("atari100k", [write_run(tmp_path)], {"tiny": "M3 tiny"}, files=[file])
    assert (table.own, table.trained) == (["M3 tiny", "Mine"], ["M3 tiny"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method,task,steps,score\nMine,Pong,1,2\n", "line 1: no column 'seed'; the columns are method, task, seed,"),
        ("", "line 1: no column 'method'"),
        (HEADER, "no scores of atari100k"),
        (
            HEADER + "Mine,Pong,0,1,2\nMine,Pnog,0,1,2\n",
            "line 3: unknown task of atari100k 'Pnog': did you mean 'Pong'?",
        ),
        (HEADER + "Mine,Pong,0,1,2\nMine,Pong,1,1,2\nMine,Pong,0,1,3\n", r"line 4: repeats .*mine\.csv, line 2 "),
        (HEADER + "Mine,Pong,0,1,nan\n", "line 2: score must be a number, got 'nan'"),
        (HEADER + "Mine,Pong,0,1,inf\n", "line 2: score must be a number, got 'inf'"),
        (HEADER + "Mine,Pong,0,1,high\n", "line 2: score must be a number, got 'high'"),
        (HEADER + "Mine,Pong,0,1,\n", "line 2: no score"),
        (HEADER + "Mine,Pong,0,1\n", "line 2: no score"),
        (HEADER + ",Pong,0,1,2\n", "line 2: no method"),
        (HEADER + "Mine,Pong,a,1,2\n", "line 2: seed must be a number, got 'a'"),
        (HEADER + "Mine,Pong,0.5,1,2\n", "line 2: seed must be a whole number from 0 to 9007199254740992, got '0.5'"),
        (HEADER + "Mine,Pong,0,-1,2\n", "line 2: steps must be a whole number from 0 to 9007199254740992, got '-1'"),
        (HEADER + "IRIS,Pong,0,1,2\n", "line 2: another method is called 'IRIS' already"),
    ],
)
def test_faults_name_file_and_line(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(UserError, match=rf"mine\.csv(, |: ){message}") as error:
        table_of("atari100k", files=[file])
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read(file: Path) -> None:
    with pytest.raises(UserError, match=r"mine\.csv: no such file"):
        table_of("atari100k", files=[file])
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"mine\.csv: (cannot be read|no CSV file of UTF-8 text)"):
        table_of("atari100k", files=[file])


def test_a_row_is_counted_once_also_from_two_files(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    for path in (file, other):
        path.write_text(HEADER + "Mine,Pong,0,1,2\n")
    with pytest.raises(UserError, match=r"other\.csv, line 2: repeats .*mine\.csv, line 2"):
        table_of("atari100k", files=[file, other])
