"""How far runs are, from what stands in their folders."""

import csv
import io
import json
import os
from pathlib import Path

import pytest

from m3.cli import main
from m3.config.identity import resolved_name
from m3.config.plan import Plan, load_experiment
from m3.data.lease import Lease
from m3.status import RunStatus, experiment_status, totals

EXPERIMENT = """\
name: own
runs: [{benchmark: toy, tasks: [image], seeds: 3}]
resources: {toy: {train: {gpu: 2}}}
"""
LINE = "image seed 0 | epoch {}/8 | 20 steps | 90.0 s | 2 steps/s | {} left | tokenizer loss 0.9\n"
HOUR = 3600


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "own.yaml").write_text(EXPERIMENT)
    return load_experiment(tmp_path / "own.yaml")


def begin(plan: Plan, results: Path, seed: int, log: str = "", hours: float = 2.0) -> Path:
    """A run's folder after `resolve` and an attempt that began at a certain hour and left a log."""
    run = list(plan.runs)[seed]
    folder = results / run.folder
    (folder / "logs").mkdir(parents=True)
    (folder / resolved_name(plan.runs[run])).touch()
    os.utime(folder / resolved_name(plan.runs[run]), (0, 0))
    if log:
        add_attempt(folder, log, hours)
    return folder


def add_attempt(folder: Path, log: str, hours: float) -> None:
    path = folder / "logs" / f"train-20260101T{len(list((folder / 'logs').iterdir())):02}0000Z.log"
    path.write_text(log)
    start = 1767225600 + HOUR * int(path.name[15:17])  # 2026-01-01 00:00 UTC
    os.utime(path, (start + hours * HOUR,) * 2)


def first(plan: Plan, results: Path) -> RunStatus:
    return experiment_status(plan, results)[0]


def test_nothing_has_begun(plan: Plan, tmp_path: Path) -> None:
    status = first(plan, tmp_path)
    assert (status.state, status.epoch, status.epochs, status.attempts) == ("waiting", 0, 8, 0)
    assert status.seconds_left is None
    assert totals([status]).gpu_hours_left is None


def test_a_running_run_tells_its_rate_and_the_time_left(plan: Plan, tmp_path: Path) -> None:
    folder = begin(plan, tmp_path, 0, LINE.format(2, "> 1 h 05 min") + LINE.format(3, "1 h 02 min") + "a checkpoint\n")
    with Lease(folder):
        status = first(plan, tmp_path)
    assert (status.state, status.epoch, status.epochs_per_hour, status.seconds_left) == ("running", 3, 40.0, 62 * 60)
    assert status.gpu_hours == pytest.approx(4.0)


def test_a_run_between_two_jobs_waits_where_it_was(plan: Plan, tmp_path: Path) -> None:
    folder = begin(plan, tmp_path, 0, LINE.format(3, "1 h 02 min"))
    add_attempt(folder, "image seed 0 | begins\n", hours=0.5)
    status = first(plan, tmp_path)
    assert (status.state, status.note, status.epoch, status.attempts) == ("waiting", "for its next job", 3, 2)
    assert status.gpu_hours == pytest.approx(5.0)


def test_a_job_that_found_the_run_occupied_is_no_attempt(plan: Plan, tmp_path: Path) -> None:
    folder = begin(plan, tmp_path, 0, LINE.format(3, "50 s"))
    add_attempt(folder, f"error: {folder} is being trained by process 7 on a; a run has one writer\n", hours=0.1)
    status = first(plan, tmp_path)
    assert (status.state, status.epoch, status.attempts) == ("waiting", 3, 1)


@pytest.mark.parametrize("remembered", [True, False])
def test_a_failed_run_tells_its_cause(plan: Plan, tmp_path: Path, remembered: bool) -> None:
    folder = begin(plan, tmp_path, 0, LINE.format(3, "50 s") + "error: the disk is full\n")
    if remembered:
        (folder / "failure.json").write_text(json.dumps({"cause": "the disk is full", "count": 3}))
    status = first(plan, tmp_path)
    assert (status.state, status.note) == ("failed", "the disk is full")


def test_a_finished_run_is_done_once_it_has_its_scores(plan: Plan, tmp_path: Path) -> None:
    folder = begin(plan, tmp_path, 0, LINE.format(8, "0 s"))
    (folder / "weights.safetensors").touch()
    status = first(plan, tmp_path)
    assert (status.state, status.note) == ("waiting", "for its evaluation")
    (folder / "scores.h5").touch()
    assert first(plan, tmp_path).state == "done"


def test_results_of_other_settings_do_not_count(plan: Plan, tmp_path: Path) -> None:
    folder = begin(plan, tmp_path, 0, LINE.format(8, "0 s"))
    (folder / "scores.h5").touch()
    for resolved in folder.glob("resolved-*.yaml"):
        resolved.rename(folder / "resolved-00000000.yaml")
    status = first(plan, tmp_path)
    assert (status.state, status.epoch, status.attempts) == ("waiting", 0, 0)


def test_runs_that_have_not_begun_are_expected_to_take_as_long_as_the_others(plan: Plan, tmp_path: Path) -> None:
    with Lease(begin(plan, tmp_path, 0, LINE.format(4, "4 h 00 min"), hours=2.0)):
        total = totals(experiment_status(plan, tmp_path))
    assert total.states == {"done": 0, "running": 1, "waiting": 2, "failed": 0}
    assert total.gpu_hours == pytest.approx(4.0)
    assert total.gpu_hours_left == pytest.approx(2 * (4 + 6 + 6))
    assert total.hours_left == pytest.approx(16.0)


def test_the_command_prints_a_table_or_csv(plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(plan, tmp_path, 1, "error: no, really\n")
    arguments = ["status", str(tmp_path / "own.yaml"), "--results", str(tmp_path)]
    assert main(arguments) == 0
    assert "3 runs: 0 done, 0 running, 2 waiting, 1 failed" in capsys.readouterr().out
    assert main([*arguments, "--csv", "--state", "failed"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["run"], row["note"]) == ("toy/m3/image/seed-1", "no, really")
