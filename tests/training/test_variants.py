"""Attention and FSQ on every benchmark: tiny runs train, are continued to the same bits after a crash, and dream."""

from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from crashes import crashing
from toy_runs import train_in_folder

from m3.checks.comparison import run_differences
from m3.config.experiment import Run
from m3.config.layers import merge
from m3.config.loading import load_run
from m3.config.schema import RunSettings
from m3.runs.evaluate import evaluate
from m3.runs.loading import load
from m3.runs.saving import CheckpointInterval
from m3.runs.train import train
from m3.watch.streams import play, play_imagined

CASES = [
    ("atari100k", "simulus-a", "Breakout"),
    ("atari100k", "attention", "Breakout"),
    ("atari100k", "fsq", "Breakout"),
    ("dmc500k", "attention", "cartpole-balance"),
    ("craftax1m", "attention", "Craftax-Symbolic-v1"),
]


def short(run: Run) -> RunSettings:
    """Four epochs, of which the last one has nothing collected; every part trains in the last two."""
    always = {"start_after_epoch": 0, "steps_per_epoch": 2, "batch_size": 4}
    settings = load_run(run, size="tiny").model_dump(mode="json")
    changes = {
        "epochs": 4,
        "collection": {"steps_per_epoch": 30, "last_epoch": 3},
        "evaluation": {"every_epochs": 4, "episodes": 1, "environments": 1},
        "sequences": {"length": 5},
        "world_model": {"schedule": always},
        "controller": {"schedule": {**always, "start_after_epoch": 2}},
    }
    if settings["tokenizer"] is not None:
        changes["tokenizer"] = {"schedule": always}
    if run.benchmark == "atari100k":
        changes["environment"] = {"train_frame_limit": 100, "test_frame_limit": 40}
    return RunSettings.model_validate(merge([settings, changes]))


def crash(settings: RunSettings, folder: Path, epoch: int) -> None:
    """Train with checkpoints after every epoch until one begins in which the process is gone."""
    with crashing(epoch):
        train(settings, folder, device="cpu", interval=CheckpointInterval(minutes=60, epochs=1))


@pytest.mark.parametrize(("benchmark", "variant", "task"), CASES, ids=lambda value: value)
def test_a_run_is_continued_exactly_and_dreams(benchmark: str, variant: str, task: str, tmp_path: Path) -> None:
    settings = short(Run(benchmark, variant, task, 0))
    crash(settings, tmp_path / "crashed", 4)
    for name in ("whole", "crashed"):
        train_in_folder(tmp_path / name, settings)
        evaluate(tmp_path / name, 1)
    assert run_differences(tmp_path / "whole", tmp_path / "crashed", settings) == []

    loaded = load(tmp_path / "crashed")
    with closing(loaded.make_environment()) as environment:
        seen = list(islice(play(loaded, environment, 0.5, seed=0), 3))
        dream = play_imagined(loaded, environment, 0.5, 0, lambda decision: decision.action)
        seen += islice(dream, 2 * settings.sequences.length)
    for step in seen:
        assert step.forecast is not None
        assert np.isfinite([step.forecast.reward, step.forecast.disagreement]).all()
        for name, values in step.observation.items():
            assert step.other[name].shape == values.shape
