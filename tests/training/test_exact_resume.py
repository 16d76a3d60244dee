"""A run that crashes, or is killed, and continues comes to the same bits as one that is not."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from crashes import crashing
from toy_runs import FSQ, toy_settings

from m3.checks.comparison import SCORES, run_differences
from m3.config.identity import canonical
from m3.config.schema import RunSettings
from m3.files import hdf5
from m3.files.names import METRICS, WEIGHTS
from m3.files.run_folder import resolved_name
from m3.runs.evaluate import evaluate
from m3.runs.saving import CheckpointInterval
from m3.runs.train import train
from m3.runs.weights import load_weights

CPU = torch.device("cpu")


def run(settings: RunSettings, folder: Path) -> None:
    """To the end, with a checkpoint after every second epoch."""
    assert train(settings, folder, device="cpu", interval=CheckpointInterval(minutes=60, epochs=2))


def crash(settings: RunSettings, folder: Path, epoch: int) -> None:
    """Crash at the beginning of an epoch."""
    with crashing(epoch):
        run(settings, folder)


def differences(settings: RunSettings, one: Path, other: Path) -> list[str]:
    """What differs in weights, metrics, scores, and the last checkpoint with experience and optimisers."""
    for folder in (one, other):
        evaluate(folder, 3)
    return run_differences(one, other, settings)


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("all_modalities", {}),
        (
            "vector",
            {"controller": {"separate_networks": True, "critic_warmup_epochs": 1}, "collection": {"epsilon": 0}},
        ),
        ("terminating", {"collection": {"steps_per_epoch": 17}, "replay": {"capacity_gigabytes": 1e-6}}),
        (
            "image",
            {**FSQ, "controller": {"curiosity_while_collecting_only": True}, "collection": {"last_epoch": 4}},
        ),
    ],
    ids=["all modalities", "continuous, separate", "small replay, breaks within episodes", "fsq, curious to epoch 4"],
)
def test_as_many_epochs_with_crashes_between_them_are_the_same_epochs(
    task: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    """Right after a checkpoint, before the controller's first epoch, and an epoch later than a checkpoint."""
    settings = toy_settings(task, epochs=6, **changes)
    run(settings, tmp_path / "whole")
    crash(settings, tmp_path / "crashed", epoch=3)
    crash(settings, tmp_path / "crashed", epoch=6)
    run(settings, tmp_path / "crashed")
    assert differences(settings, tmp_path / "whole", tmp_path / "crashed") == []


def test_the_seed_reaches_everything(tmp_path: Path) -> None:
    """Equal seeds give equal runs; another seed differs in weights, experience, training episodes and scores."""
    settings = toy_settings("mixed")
    run(settings, tmp_path / "first")
    run(settings, tmp_path / "again")
    assert differences(settings, tmp_path / "first", tmp_path / "again") == []

    other = toy_settings("mixed", seed=1)
    run(other, tmp_path / "other")
    evaluate(tmp_path / "other", 3)
    weights = [load_weights(tmp_path / name / WEIGHTS).state for name in ("first", "other")]
    assert not any(torch.equal(weights[0][name], weights[1][name]) for name in weights[0] if "lstm" in name)
    metrics = [hdf5.read(tmp_path / name / METRICS, "m3.metrics")[0] for name in ("first", "other")]
    scores = [hdf5.read(tmp_path / name / SCORES, "m3.scores")[0] for name in ("first", "other")]
    assert (metrics[0]["episodes"]["return"] != metrics[1]["episodes"]["return"]).any()
    assert (metrics[0]["evaluations"]["returns"] != metrics[1]["evaluations"]["returns"]).any()
    assert (scores[0]["returns"] != scores[1]["returns"]).any()


def test_a_finished_run_is_not_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = toy_settings("mixed")
    run(settings, tmp_path)
    weights = load_weights(tmp_path / WEIGHTS).state
    (tmp_path / WEIGHTS).unlink()
    capsys.readouterr()
    run(settings, tmp_path)
    assert "| epoch" not in capsys.readouterr().out
    assert all(torch.equal(tensor, weights[name]) for name, tensor in load_weights(tmp_path / WEIGHTS).state.items())


def start(settings: RunSettings, folder: Path) -> subprocess.Popen[bytes]:
    """`python -m m3 train`, with a checkpoint after every epoch and its output in a file."""
    folder.mkdir(exist_ok=True)
    resolved = folder / resolved_name(settings)
    resolved.write_text(canonical(settings))
    options = ["--config", str(resolved), "--run", str(folder), "--device", "cpu", "--checkpoint-epochs", "1"]
    with open(folder / "output.txt", "a") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "m3", "train", *options], stdout=output, stderr=output, text=True
        )


def wait_for(text: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while text not in (folder / "output.txt").read_text():
        assert process.poll() is None, (folder / "output.txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("changes", [{}, FSQ], ids=["vq", "fsq"])
def test_a_killed_process_is_continued_to_the_same_bits(changes: dict[str, Any], tmp_path: Path) -> None:
    """SIGKILL of the real command, somewhere in the epoch after its third checkpoint."""
    settings = toy_settings("all_modalities", epochs=12, **changes)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start(settings, killed)
    wait_for("checkpoint after epoch 3", killed, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (killed / WEIGHTS).exists()
    assert start(settings, killed).wait(timeout=300) == 0
    assert "continues after epoch" in (killed / "output.txt").read_text()
    run(settings, whole)
    assert differences(settings, whole, killed) == []
