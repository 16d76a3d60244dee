"""How a training in a Slurm job goes on; Slurm's commands are stand-ins."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from projects import ROOT

SAME, OTHER = (f"RUNNING|folder|rule_train_wildcards_Pong_{seed}" for seed in (0, 1))


def start_slice(folder: Path, queue: list[str], command: str) -> subprocess.Popen[bytes]:
    """Job 7, of two minutes, while squeue shows a queue; scontrol says what it was told in the file "asked"."""
    asked = f"echo $* >> {folder}/asked"
    (folder / "queue").write_text("".join(f"{job}\n" for job in queue))
    programs = {"squeue": f"cat {folder}/queue", "scontrol": asked, "scancel": asked}
    for name, text in programs.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    script = str(ROOT / "workflow/scripts/slurm_slice.py")
    return subprocess.Popen([sys.executable, script, "2", "sh", "-c", command], cwd=folder, env=environment)


def wait_for(path: Path) -> str:
    end = time.monotonic() + 30
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, f"no {path.name}"
        time.sleep(0.05)
    return path.read_text()


@pytest.mark.parametrize("status", [3, 4])
def test_a_job_whose_time_is_over_or_whose_run_is_taken_queues_again(tmp_path: Path, status: int) -> None:
    process = start_slice(tmp_path, [f"7|{SAME}", f"8|{OTHER}", f"6|{SAME}"], f"exit {status}")
    assert wait_for(tmp_path / "asked") == "requeue 7\n"
    time.sleep(0.5)
    assert process.poll() is None  # an end of its own would be a failure to Snakemake
    process.terminate()
    assert process.wait(timeout=30) == status


def test_a_job_with_a_newer_one_for_its_run_leaves_it_the_run(tmp_path: Path) -> None:
    process = start_slice(tmp_path, [f"7|{SAME}", f"8|{SAME}"], f"touch {tmp_path}/trained")
    assert process.wait(timeout=30) == 4
    assert not (tmp_path / "trained").exists()


@pytest.mark.parametrize("status", [3, 4])
def test_a_job_that_a_newer_one_replaced_meanwhile_does_not_come_back(tmp_path: Path, status: int) -> None:
    process = start_slice(tmp_path, [f"7|{SAME}"], f"echo '8|{SAME}' >> {tmp_path}/queue; exit {status}")
    assert process.wait(timeout=30) == status
    assert not (tmp_path / "asked").exists()


def test_older_jobs_of_the_run_that_wait_are_cancelled(tmp_path: Path) -> None:
    pending = SAME.replace("RUNNING", "PENDING")
    queue = [f"7|{SAME}", f"5|{pending}", f"4|{SAME}", f"3|{OTHER.replace('RUNNING', 'PENDING')}"]
    assert start_slice(tmp_path, queue, "exit 0").wait(timeout=30) == 0
    assert (tmp_path / "asked").read_text() == "5\n"


@pytest.mark.parametrize("status", [0, 2, 5])
def test_a_job_that_is_finished_or_failed_ends(tmp_path: Path, status: int) -> None:
    assert start_slice(tmp_path, [f"7|{SAME}"], f"exit {status}").wait(timeout=30) == status
    assert not (tmp_path / "asked").exists()


def test_a_job_that_slurm_ends_does_not_come_back_by_itself(tmp_path: Path) -> None:
    command = f"trap 'exit 3' TERM; echo $$ > {tmp_path}/pid; while true; do sleep 0.1; done"
    process = start_slice(tmp_path, [f"7|{SAME}"], command)
    child = int(wait_for(tmp_path / "pid"))
    for number in (process.pid, child):
        os.kill(number, signal.SIGTERM)
    assert process.wait(timeout=30) == 3
    assert not (tmp_path / "asked").exists()


def test_a_training_that_was_killed_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As Linux kills what needs too much memory."""
    assert start_slice(tmp_path, [f"7|{SAME}"], "kill -KILL $$").wait(timeout=30) == 137
    assert capfd.readouterr().out == "error: killed, perhaps out of memory; Slurm's log of job 7 may tell more\n"


def test_slurm_may_not_answer(tmp_path: Path) -> None:
    assert start_slice(tmp_path, [], "exit 0").wait(timeout=30) == 0


def test_the_budget_leaves_a_margin(tmp_path: Path) -> None:
    start_slice(tmp_path, [f"7|{SAME}"], f"echo $0 $1 > {tmp_path}/budget").wait(timeout=30)
    assert (tmp_path / "budget").read_text() == "--budget-minutes 1.33\n"
