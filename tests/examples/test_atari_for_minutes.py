"""The script that trains Atari as long as there is time: on the CPU, with an agent that is small enough."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from m3.analysis import scores
from m3.config.experiment import Run
from m3.config.plan import load_experiment
from m3.files import hdf5

ROOT = Path(__file__).parents[2]
PARTS = ("config", "examples", "m3", "results/published")
EXPERIMENT = """\
name: atari_gpu
runs: [{benchmark: atari100k, variants: [tiny], tasks: [Breakout, Pong], seeds: 2}]
overrides:
  - where: {}
    set:
      epochs: 3
      environment: {test_frame_limit: 400}
      collection: {steps_per_epoch: 40}
      evaluation: {every_epochs: 3, episodes: 1, environments: 1}
      tokenizer: {schedule: {start_after_epoch: 0, steps_per_epoch: 1, batch_size: 4}}
      world_model: {schedule: {start_after_epoch: 1, steps_per_epoch: 1, batch_size: 4}}
      controller: {schedule: {start_after_epoch: 2, steps_per_epoch: 1, batch_size: 4}}
  - {where: {task: Breakout}, set: {epochs: 2000}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "config/atari_gpu.yaml").write_text(EXPERIMENT)
    return tmp_path


def call(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The script, with nothing but python on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(project), **variables}
    command = ["bash", "examples/atari_for_minutes.sh", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_games_are_trained_for_their_minutes_scored_and_shown(project: Path) -> None:
    """One that takes longer, and one that ends before. Time is up after so many epochs, however quick they are."""
    stops = project / "m3/runs/stops.py"
    clock = "self._signal is not None or monotonic() + seconds >= self._end"
    asked = "self._signal is not None or setattr(self, 'asked', getattr(self, 'asked', 0) + 1) or self.asked > 12"
    assert clock in stops.read_text()
    stops.write_text(stops.read_text().replace(clock, asked))
    done = call(project, "600", "Breakout", "Pong", VARIANT="tiny", SEED="1", EPISODES="2", DEVICE="cpu")
    assert done.returncode == 0, done.stderr
    assert re.search(r"Breakout seed 1 \| stopped after epoch \d+: its time budget is used up", done.stdout)
    assert "Pong seed 1 | finished" in done.stdout

    snapshots = project / "build/snapshots/atari_gpu/tiny"
    table = scores.read(snapshots / "scores.h5")
    assert table.has_published
    assert table.runs[["method", "task", "seed", "episodes"]].values.tolist() == [
        ["M3 tiny", "Breakout", 1, 2],
        ["M3 tiny", "Pong", 1, 2],
    ]
    metrics, _ = hdf5.read(snapshots / "Breakout/seed-1/metrics.h5", "m3.metrics")
    steps = [40 * len(metrics["epochs"]["epoch"]), 120]
    assert table.runs.agent_steps.tolist() == steps
    figures = project / "figures/atari_gpu/tiny"
    for name in ("own_curves.png", "tasks.pdf"):
        assert (figures / name).stat().st_size > 0
    assert "of 100 K agent steps of training" in (figures / "table_scores.md").read_text()
    assert all(f"| {number:,} |" in (figures / "table_runs.md").read_text() for number in steps)


def test_mistakes_end_it(project: Path) -> None:
    done = call(project, "10")
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: examples/atari_for_minutes.sh MINUTES GAME..." in done.stderr
    done = call(project, "10", "Brekout", VARIANT="tiny")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'atari100k/tiny/Breakout/seed-0'?" in done.stderr


def test_without_the_perceptual_distance_an_agent_is_otherwise_the_same() -> None:
    runs = load_experiment(ROOT / "config/atari_gpu.yaml").runs
    assert {run.task for run in runs} == {"Breakout", "Boxing", "Pong", "Freeway"}
    full, without = (runs[Run("atari100k", variant, "Pong", 0)] for variant in ("m3", "no-perceptual"))
    assert full.tokenizer is not None
    assert full.tokenizer.perceptual == "lpips"
    tokenizer = full.tokenizer.model_copy(update={"perceptual": "none"})
    assert without == full.model_copy(update={"variant": "no-perceptual", "tokenizer": tokenizer})
