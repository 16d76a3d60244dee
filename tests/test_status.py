"""How far runs are, from what stands in their folders."""

import csv
import io
import json
import os
import signal
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from m3.cli import main
from m3.config.identity import config_hash
from m3.config.plan import Plan, load_experiment
from m3.errors import OccupiedError, UserError
from m3.files import hdf5
from m3.files.names import LEASE, PROGRESS, SCORES, SCORES_FORMAT
from m3.files.progress import Attempt, AttemptState, ProgressRecord, read_progress, schema_text, write_progress
from m3.files.provenance import Provenance
from m3.files.run_folder import identifying, write_settings
from m3.runs.lease import Lease
from m3.runs.progress import RunProgress
from m3.runs.slurm_jobs import REFUSED, SLURM_LOGS, RunJobs, SlurmJob, read_jobs
from m3.runs.status import RunStatus, experiment_status, totals
from m3.runs.stops import Stop
from m3.runs.train import train
from m3.training.trainer import Trainer

EXPERIMENT = """\
name: own
runs: [{benchmark: toy, tasks: [image], seeds: 3}]
resources: {toy: {train: {gpu: 2}}}
"""
HOUR = 3600


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "own.yaml").write_text(EXPERIMENT)
    return load_experiment(tmp_path / "own.yaml")


def begin(plan: Plan, results: Path, seed: int, *attempts: Attempt, **progress: Any) -> Path:
    """A run's folder after `resolve` and these attempts."""
    run = list(plan.runs)[seed]
    folder = results / run.folder
    settings = plan.runs[run]
    write_settings(folder, settings)
    if attempts:
        content = {"config_hash": config_hash(settings), "epochs": settings.epochs, **identifying(settings), **progress}
        write_progress(folder, ProgressRecord.model_validate(content | {"attempts": attempts}))
    return folder


def attempt(hours: float = 2.0, state: AttemptState = "training", message: str = "") -> Attempt:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    updated = begun + timedelta(hours=hours)
    return Attempt(begun=begun, updated=updated, host="a", process=7, state=state, message=message)


def first(plan: Plan, results: Path) -> RunStatus:
    return experiment_status(plan, results)[0]


def test_nothing_has_begun(plan: Plan, tmp_path: Path) -> None:
    status = first(plan, tmp_path)
    assert (status.state, status.epoch, status.epochs, status.attempts) == ("waiting", 0, 8, 0)
    assert status.seconds_left is None
    assert totals([status]).gpu_hours_left is None


def test_a_running_run_tells_its_rate_and_the_time_left(plan: Plan, tmp_path: Path) -> None:
    folder = begin(plan, tmp_path, 0, attempt(), epoch=3, seconds_per_epoch=90.0, seconds_left=62 * 60)
    with Lease(folder):
        status = first(plan, tmp_path)
    assert (status.state, status.epoch, status.epochs_per_hour, status.seconds_left) == ("running", 3, 40.0, 62 * 60)
    assert status.gpu_hours == pytest.approx(4.0)


def test_a_run_between_two_jobs_waits_where_it_was(plan: Plan, tmp_path: Path) -> None:
    begin(plan, tmp_path, 0, attempt(state="stopped"), attempt(0.5, "setting up"), epoch=3)
    status = first(plan, tmp_path)
    assert (status.state, status.note, status.epoch, status.attempts) == ("waiting", "for its next job", 3, 2)
    assert status.gpu_hours == pytest.approx(5.0)


def test_a_job_that_found_the_run_occupied_is_no_attempt(plan: Plan, tmp_path: Path) -> None:
    folder = begin(plan, tmp_path, 0, attempt(), epoch=3)
    settings = next(iter(plan.runs.values()))
    with Lease(folder), pytest.raises(OccupiedError):
        train(settings, folder, device="cpu")
    status = first(plan, tmp_path)
    assert (status.state, status.epoch, status.attempts) == ("waiting", 3, 1)


def test_status_sees_what_training_notes(plan: Plan, tmp_path: Path) -> None:
    """A run that fails, is stopped, and finishes: each time its state, epochs and attempts."""
    folder = begin(plan, tmp_path, 0)
    settings = next(iter(plan.runs.values()))
    with pytest.raises(UserError):
        train(settings, folder, device="cuda:99")
    status = first(plan, tmp_path)
    assert (status.state, status.epoch, status.attempts) == ("failed", 0, 1)
    assert status.note.startswith("device 'cuda:99' is not available")
    states: list[RunStatus] = []
    stop = Stop()

    def look(trainer: Trainer) -> None:
        states.append(first(plan, tmp_path))
        if trainer.epoch == 2:
            signal.raise_signal(signal.SIGTERM)

    with stop.handling_signals():
        assert not train(settings, folder, device="cpu", stop=stop, following=nullcontext(look))
    seen = [(status.state, status.epoch, status.attempts) for status in states]
    assert seen == [("running", 1, 2), ("running", 2, 2)]
    status = first(plan, tmp_path)
    assert (status.state, status.note, status.epoch) == ("waiting", "for its next job", 2)
    assert train(settings, folder, device="cpu")
    progress = read_progress(folder, config_hash(settings))
    assert progress is not None
    assert [attempt.state for attempt in progress.attempts] == ["failed", "stopped", "finished"]
    assert progress.attempts[1].message == "received SIGTERM"
    assert (progress.epoch, progress.saved_epoch, progress.agent_steps, progress.seconds_left) == (8, 8, 160, 0.0)


def test_a_process_that_lost_its_run_no_longer_writes_its_progress(plan: Plan, tmp_path: Path) -> None:
    folder = begin(plan, tmp_path, 0)
    settings = next(iter(plan.runs.values()))
    lost, other = RunProgress(settings), RunProgress(settings)
    lost.keep_file(folder, Lease(folder))
    os.truncate(folder / LEASE, 0)  # nobody knows whose it is
    os.utime(folder / LEASE, (0, 0))
    other.keep_file(folder, Lease(folder))
    other.restored(4, 80)
    with pytest.raises(OccupiedError):
        lost.end("failed", "too late")
    progress = read_progress(folder, config_hash(settings))
    assert progress is not None
    assert (progress.epoch, [attempt.state for attempt in progress.attempts]) == (4, ["setting up", "training"])


def test_the_schema_of_the_progress_file_is_that_of_the_code() -> None:
    """`make schemas` writes it."""
    assert Path("docs/progress.schema.json").read_text() == schema_text()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "m3.progress"}'])
def test_a_damaged_progress_file_counts_as_none_and_stops_nobody(plan: Plan, tmp_path: Path, content: str) -> None:
    folder = begin(plan, tmp_path, 0)
    (folder / PROGRESS).write_text(content)
    assert (first(plan, tmp_path).state, first(plan, tmp_path).attempts) == ("waiting", 0)
    RunProgress(next(iter(plan.runs.values()))).keep_file(folder, Lease(folder))
    assert first(plan, tmp_path).attempts == 1


@pytest.mark.parametrize("remembered", [True, False])
def test_a_failed_run_tells_its_cause(plan: Plan, tmp_path: Path, remembered: bool) -> None:
    folder = begin(plan, tmp_path, 0, attempt(0.1, "failed", "the disk is full"), epoch=3)
    if remembered:
        (folder / "failure.json").write_text(json.dumps({"cause": "the disk is full", "count": 3}))
    status = first(plan, tmp_path)
    assert (status.state, status.note) == ("failed", "the disk is full")


def test_a_finished_run_is_done_once_it_has_its_scores(plan: Plan, tmp_path: Path) -> None:
    folder = begin(plan, tmp_path, 0, attempt(), epoch=8)
    (folder / "weights.safetensors").touch()
    status = first(plan, tmp_path)
    assert (status.state, status.note) == ("waiting", "for its evaluation")
    (folder / "scores.h5").touch()
    assert first(plan, tmp_path).state == "done"


def test_results_of_other_settings_do_not_count(plan: Plan, tmp_path: Path) -> None:
    folder = begin(plan, tmp_path, 0, attempt(), epoch=8)
    (folder / "scores.h5").touch()
    for resolved in folder.glob("resolved-*.yaml"):
        resolved.rename(folder / "resolved-00000000.yaml")
    status = first(plan, tmp_path)
    assert (status.state, status.epoch, status.attempts) == ("waiting", 0, 0)


def test_runs_that_have_not_begun_are_expected_to_take_as_long_as_the_others(plan: Plan, tmp_path: Path) -> None:
    with Lease(begin(plan, tmp_path, 0, attempt(2.0), epoch=4, seconds_per_epoch=90.0, seconds_left=4 * HOUR)):
        total = totals(experiment_status(plan, tmp_path))
    assert total.states == {"done": 0, "running": 1, "waiting": 2, "failed": 0}
    assert total.gpu_hours == pytest.approx(4.0)
    assert total.gpu_hours_left == pytest.approx(2 * (4 + 6 + 6))
    assert total.hours_left == pytest.approx(16.0)


def test_the_command_prints_a_table_or_csv(plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(plan, tmp_path, 1, attempt(0.0, "failed", "no, really"))
    arguments = ["status", str(tmp_path / "own.yaml"), "--results", str(tmp_path)]
    assert main(arguments) == 0
    assert "3 runs: 0 done, 0 running, 2 waiting, 1 failed" in capsys.readouterr().out
    assert main([*arguments, "--csv", "--state", "failed"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["run"], row["note"]) == ("toy/m3/image/seed-1", "no, really")


def test_without_an_experiment_the_one_used_last_and_all_other_runs_are_shown(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["status"]) == 0
    assert "no runs in results/runs yet" in capsys.readouterr().out
    assert main(["resolve", "toy/image", "--seed", "9", "controller.discount=0.5"]) == 0
    capsys.readouterr()
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("results/runs, 20")
    assert lines[2].split()[:2] == ["toy/m3+controller.discount-0.5/image/seed-9", "waiting"]
    Path("results/last_experiment.txt").write_text("own.yaml\n")
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("own.yaml, 20")
    assert [line.split()[0].rpartition("-")[2] for line in lines[2:6]] == ["0", "1", "2", "9"]


def test_a_finished_run_shows_its_score(plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = begin(plan, tmp_path, 0, attempt(), epoch=8)
    hdf5.write(folder / SCORES, SCORES_FORMAT, {"returns": np.array([1.0, 4.0])}, Provenance("", "", [0]))
    assert main(["status", str(tmp_path / "own.yaml"), "--results", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[1:3] == ["done", "2.5"]


OOM_LOG = "image seed 0 | begins\nslurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.batch. Some of your\n"


@pytest.mark.parametrize(
    ("job", "log", "expected"),
    [
        (("PENDING", "Priority"), "", "waiting for Slurm job 7 (Priority)"),
        (("PENDING", "launch failed requeued held"), "", "waiting Slurm job 7 never starts (launch failed requeued"),
        (("PENDING", "QOSMaxWallDurationPerJobLimit"), "", "waiting Slurm job 7 never starts (QOSMaxWallDuration"),
        (("RUNNING", "None"), OOM_LOG, "waiting for Slurm job 7, which has begun"),
        (
            ("OUT_OF_MEMORY", "OutOfMemory"),
            "",
            "failed out of memory: Slurm killed its job; raise mem_mb (Slurm's log: ",
        ),
        (("FAILED", "NonZeroExitCode"), OOM_LOG, "failed out of memory: "),
        (("TIMEOUT", "TimeLimit"), "", "failed out of time: "),
        (("NODE_FAIL", "None"), "", "failed Slurm job 7 ended as NODE_FAIL (log: "),
        (("CANCELLED", "None"), "", "waiting Slurm job 7 was cancelled"),
        (None, OOM_LOG, "failed out of memory: "),
        (None, "RuntimeError: CUDA out of memory\n", "waiting for its next job"),
    ],
)
def test_a_run_that_waits_tells_what_slurm_says(
    plan: Plan, tmp_path: Path, job: tuple[str, str] | None, log: str, expected: str
) -> None:
    begin(plan, tmp_path, 0, attempt(), epoch=3)
    file = tmp_path / SLURM_LOGS / "rule_train/toy_m3_image_0/7.log"
    file.parent.mkdir(parents=True)
    file.write_text(log)
    comment = "rule_train_wildcards_toy_m3_image_0"
    jobs = {"6": SlurmJob("6", "FAILED", "", str(tmp_path), comment), "8": SlurmJob("8", "FAILED", "", "/", comment)}
    if job is not None:
        jobs["7"] = SlurmJob("7", *job, str(tmp_path), comment)
    else:
        jobs = {}
    status = experiment_status(plan, tmp_path, RunJobs(tmp_path, jobs))[0]
    assert f"{status.state} {status.note}".startswith(expected)
    assert "log" not in status.note or str(file) in status.note


def test_what_an_older_job_left_no_longer_counts(plan: Plan, tmp_path: Path) -> None:
    begin(plan, tmp_path, 0, attempt(), epoch=3)
    file = tmp_path / SLURM_LOGS / "rule_train/toy_m3_image_0/7.log"
    file.parent.mkdir(parents=True)
    file.write_text(OOM_LOG)
    os.utime(file, (0, 0))
    assert experiment_status(plan, tmp_path, RunJobs(tmp_path, {}))[0].note == "for its next job"


def test_a_refused_job_is_a_failure(plan: Plan, tmp_path: Path) -> None:
    begin(plan, tmp_path, 0)
    file = tmp_path / SLURM_LOGS / "rule_train/toy_m3_image_0" / REFUSED
    file.parent.mkdir(parents=True)
    file.write_text("Slurm refused its job: Invalid partition name specified\n")
    status = experiment_status(plan, tmp_path, RunJobs(tmp_path, {}))[0]
    assert (status.state, status.note) == ("failed", "Slurm refused its job: Invalid partition name specified")


def test_the_queue_is_read_as_squeue_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "squeue"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program.write_text("#!/bin/sh\necho '7|PENDING|Priority|/folder|rule_train_wildcards_a|b'\necho broken\n")
    program.chmod(0o755)
    assert read_jobs() == {"7": SlurmJob("7", "PENDING", "Priority", "/folder", "rule_train_wildcards_a|b")}
    program.write_text("#!/bin/sh\nexit 1\n")
    assert read_jobs() is None
