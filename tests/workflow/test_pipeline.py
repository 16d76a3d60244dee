"""The whole pipeline, with real training on a real game, as small as it gets."""

import csv
import subprocess
import sys

import pytest
from projects import Project

EXPERIMENT = """\
name: own
runs: [{benchmark: atari100k, variants: [tiny], tasks: [Breakout], seeds: 1}]
overrides:
  - where: {benchmark: atari100k}
    set:
      epochs: 3
      environment: {test_frame_limit: 400}
      collection: {steps_per_epoch: 40}
      evaluation: {every_epochs: 3, episodes: 1, environments: 1}
      tokenizer: {schedule: {start_after_epoch: 0, steps_per_epoch: 2, batch_size: 4}}
      world_model: {schedule: {start_after_epoch: 1, steps_per_epoch: 2, batch_size: 4}}
      controller: {schedule: {start_after_epoch: 2, steps_per_epoch: 1, batch_size: 4}}
final_episodes: 1
statistics: {repetitions: 50}
resources: {atari100k: {train: {gpu: 0}, evaluate: {gpu: 0}}}
"""


@pytest.mark.slow
def test_a_game_is_trained_scored_and_shown_beside_the_published_scores(real_project: Project) -> None:
    folder = real_project.folder
    (folder / "config/own.yaml").write_text(EXPERIMENT)
    result = real_project.snakemake("--cores", "2", "all")
    assert result.returncode == 0, result.stderr
    assert "Breakout seed 0 | epoch 3/3" in result.stdout

    run = real_project.run_folder("Breakout", 0)
    files = [run / name for name in ("weights.safetensors", "metrics.h5", "scores.h5")]
    files += [folder / "results/own/atari100k" / name for name in ("scores.h5", "aggregates.h5")]
    command = [sys.executable, "-m", "m3", "inspect", *map(str, files)]
    assert subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 0

    with open(folder / "results/own/atari100k/aggregates.csv", newline="") as file:
        methods = {row["method"] for row in csv.DictReader(file)}
    assert {"M3", "M3 tiny", "DIAMOND"} <= methods
    for name in ("iqm.pdf", "own_curves.png", "table_scores.md"):
        assert (folder / "figures/own/atari100k" / name).stat().st_size > 0

    result = real_project.snakemake("--cores", "2", "diagnosis")
    assert result.returncode == 0, result.stderr
    assert (run / "diagnosis.h5").exists()
    assert "| M3 tiny | Breakout | 1 |" in (folder / "figures/own/atari100k/table_diagnosis.md").read_text()

    again = real_project.snakemake("--cores", "2", "all", "diagnosis")
    assert "Nothing to be done" in again.stderr + again.stdout
