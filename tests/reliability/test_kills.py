"""Whatever is killed, whenever: the end is the same, and nothing has two writers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from projects import Project, copy_project
from trained import SETTINGS, assert_same, train

from m3.checks.comparison import differences, run_differences
from m3.checks.killing import kill_test
from m3.config.experiment import Run
from m3.config.identity import canonical
from m3.config.loading import load_run
from m3.config.plan import load_experiment
from m3.errors import ExitStatus
from m3.files.run_folder import resolved_name
from m3.runs.evaluate import evaluate

EXPERIMENT = """\
name: own
scores: own
runs: [{benchmark: toy, tasks: [image], seeds: 1}]
overrides: [{where: {benchmark: toy}, set: {epochs: 24}}]
final_episodes: 2
"""
TARGET = "results/runs/toy/m3/image/seed-0"


@pytest.mark.slow
def test_kills_at_random_moments_of_every_kind_leave_no_trace(tmp_path: Path) -> None:
    said: list[str] = []
    settings = load_run(Run("toy", "m3", "all_modalities", 0))
    assert kill_test(settings, 12, 2, "cpu", 0, tmp_path, said.append) == []
    assert sum(line.startswith("kill ") for line in said) == 12
    kinds = {line.rsplit(", ")[-1] for line in said if line.startswith("kill ")}
    assert len(kinds) >= 5, kinds


def test_of_two_processes_one_trains(tmp_path: Path, undisturbed: Path) -> None:
    config = tmp_path / resolved_name(SETTINGS)
    config.write_text(canonical(SETTINGS))
    command = [sys.executable, "-m", "m3", "train", "--config", str(config), "--run", str(tmp_path), "--device", "cpu"]
    pair = [subprocess.Popen([*command, "--no-media"], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    messages = [process.communicate(timeout=120)[1] for process in pair]
    assert sorted(process.returncode for process in pair) == [ExitStatus.FINISHED, ExitStatus.OCCUPIED]
    assert sum("is being trained by process" in message for message in messages) == 1
    assert_same(undisturbed, tmp_path)


@pytest.mark.slow
def test_a_run_that_moves_to_another_clone_in_its_middle_ends_the_same(tmp_path: Path, undisturbed: Path) -> None:
    """With code, working directory and run elsewhere, as on another machine; nothing is left at the first place."""
    clones = [copy_project(tmp_path / name).folder for name in ("first", "a second; with spaces")]
    run, config = Path("results/runs/moved"), resolved_name(SETTINGS)
    (clones[0] / run).mkdir(parents=True)
    (clones[0] / run / config).write_text(canonical(SETTINGS))
    command = [sys.executable, "-m", "m3", "train", "--config", str(run / config), "--run", str(run)]
    command += ["--device", "cpu", "--no-media", "--checkpoint-epochs", "1"]
    said = tmp_path / "log"
    with said.open("w") as log:
        killed = subprocess.Popen(command, cwd=clones[0], stdout=log, stderr=log)
    wait_for(lambda: "checkpoint after epoch 1" in said.read_text(), killed)
    killed.kill()
    killed.wait()
    (clones[1] / run).parent.mkdir(parents=True)
    shutil.move(clones[0] / run, clones[1] / run)
    shutil.rmtree(clones[0])
    moved = subprocess.run(command, cwd=clones[1], check=True, capture_output=True, text=True)
    assert "continues after epoch" in moved.stdout
    assert_same(undisturbed, clones[1] / run)


@pytest.mark.slow
def test_snakemake_is_killed_and_started_again(tmp_path: Path) -> None:
    """First Snakemake alone, whose training goes on by itself; then Snakemake with all its processes."""
    project = copy_project(tmp_path / "project")
    (project.folder / "config/own.yaml").write_text(EXPERIMENT)
    log = project.folder / TARGET / "logs"

    alone = start(project)
    wait_for(lambda: "begins" in text_of(log), alone)
    alone.kill()
    alone.wait()
    second = start(project)
    wait_for(lambda: "waits: " in text_of(log) or "continues after" in text_of(log), second)
    os.killpg(second.pid, signal.SIGKILL)
    second.wait()

    result = project.snakemake("--cores", "1", "runs")
    assert result.returncode == 0, result.stderr
    assert "its lock is taken away" in result.stderr
    settings = load_experiment(project.folder / "config/own.yaml").runs[Run("toy", "m3", "image", 0)]
    undisturbed = tmp_path / "undisturbed"
    assert train(undisturbed, settings=settings)
    evaluate(undisturbed, 2)
    assert run_differences(undisturbed, project.folder / TARGET, settings) == []


def start(project: Project) -> subprocess.Popen[bytes]:
    """Snakemake with all it starts in a process group of its own."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "runs", "--configfile", "config/own.yaml"]
    return subprocess.Popen(command, cwd=project.folder, start_new_session=True, stderr=subprocess.DEVNULL)


def text_of(folder: Path) -> str:
    """All logs of the attempts to train."""
    return "".join(path.read_text() for path in folder.glob("*.log"))


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)


def test_the_comparison_sees_every_difference() -> None:
    """Also signs of zero, types, missing entries and other numbers of them; not times and processes."""
    whole = {"a": np.zeros(2), "b": [1, (2.0, "x")], "seconds": 1, "collect/seconds": np.ones(1), "processes": [1]}
    assert list(differences(whole, {**whole, "seconds": 2, "collect/seconds": np.ones(3), "processes": []})) == []
    for change, name in (
        ({"a": np.array([0.0, -0.0])}, "/a"),
        ({"a": np.zeros(2, np.float32)}, "/a"),
        ({"a": np.zeros((2, 1))}, "/a"),
        ({"a": [0, 0]}, "/a"),
        ({"b": [1, (2.0, "y")]}, "/b[1][1]"),
        ({"b": [1, (-2.0, "x")]}, "/b[1][0]"),
        ({"b": [1]}, "/b"),
        ({"c": None}, "/c"),
    ):
        assert list(differences(whole, {**whole, **change})) == [name]
    assert list(differences({"c": None}, {})) == ["/c"]
