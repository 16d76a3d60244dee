"""The learning check: what it trains, and when it says that training has become worse."""

import json
from pathlib import Path

import pytest

from m3.checks import learning
from m3.cli import main
from m3.config.loading import load_benchmark
from m3.errors import ExitStatus
from m3.files.names import METRICS

STORED = {task: {"0": 0.5, "1": 0.9, "10": 0.7} for task in learning.TASKS}


@pytest.fixture
def bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "learning.json"
    file.write_text(json.dumps(STORED))
    monkeypatch.setattr(learning, "BANDS", file)
    return file


def test_it_is_worse_only_where_every_new_seed_is_below_every_stored_one(bands: Path) -> None:
    first, second = learning.TASKS
    one, two = learning.compare({first: {100: 0.49, 101: 0.1}, second: {100: 0.51, 101: 0.1}}, bands)
    assert one.is_worse
    assert one.chance == 1 / 10
    assert str(one) == f"{first}: 0.49, 0.1; stored: 0.5, 0.9, 0.7; worse: below every stored seed (by chance in 10.0%)"
    assert not two.is_worse
    assert str(two).endswith("as before")


def test_a_stored_seed_is_refused_before_it_trains(
    tmp_path: Path, bands: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["learning-check", "--seeds", "10", "11", "--folder", str(tmp_path / "check")]) == ExitStatus.ERROR
    assert f"{learning.TASKS[0]}: seeds [10] are stored already; choose others" in capsys.readouterr().err
    assert not (tmp_path / "check").exists()


def test_tasks_exist_and_the_stored_seeds_are_several() -> None:
    stored = json.loads(learning.BANDS.read_text())
    assert stored.keys() == set(learning.TASKS)
    for task, values in stored.items():
        benchmark, _, name = task.partition("/")
        assert name in load_benchmark(benchmark).tasks
        assert len(values) >= 5


def test_runs_are_scored_by_their_whole_curve_and_other_code_trains_elsewhere(
    tmp_path: Path, bands: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands that train are real, and their runs tiny."""
    monkeypatch.setattr(learning, "TASKS", ("toy/image",))
    bands.write_text(json.dumps({"toy/image": {"0": 1e9}}))
    arguments = ["learning-check", "--seeds", "5", "6", "--processes", "2", "--folder", str(tmp_path / "check")]
    assert main(arguments) == ExitStatus.DIFFERENT
    assert "worse" in capsys.readouterr().out
    [code] = (tmp_path / "check").iterdir()
    runs = sorted(code.glob("toy/image/seed-*"))
    assert [run.name for run in runs] == ["seed-5", "seed-6"]
    assert all((run / METRICS).exists() for run in runs)
    assert main([*arguments, "--store"]) == ExitStatus.FINISHED
    assert json.loads(bands.read_text())["toy/image"]["6"] == round(learning.learned(runs[1]), 4)
    monkeypatch.setattr(learning, "current", lambda: learning_record("changed"))
    assert learning._digest() != code.name


def learning_record(text: str) -> object:
    return type("Record", (), {"sources": {"nn/actions.py": text}})()


@pytest.mark.parametrize("seeds", [["-1"], ["3", "3"]])
def test_odd_seeds_are_refused(seeds: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learning-check", "--seeds", *seeds]) == ExitStatus.ERROR
    assert "--seeds must be different numbers" in capsys.readouterr().err
