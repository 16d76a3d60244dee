"""A run is looked at before it is finished, like a finished one, and does not notice."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from m3.analysis.own_runs import read_own
from torch import Tensor, nn
from toy_runs import toy_settings

import m3
from m3.checks.comparison import run_differences
from m3.cli import main
from m3.config.identity import canonical
from m3.config.schema import RunSettings
from m3.files import hdf5
from m3.files.names import METRICS, WEIGHTS
from m3.files.run_folder import resolved_name
from m3.runs.lease import Lease
from m3.runs.loading import newest_checkpoint
from m3.runs.saving import CheckpointInterval
from m3.runs.snapshot import take_snapshot
from m3.runs.train import train as train_run
from m3.runs.weights import load_weights
from m3.training.state import to_tensors
from m3.training.trainer import Trainer

SETTINGS = toy_settings("all_modalities", epochs=6)


class Crash(BaseException):
    """The process is gone, as far as training can tell."""


def train(folder: Path, settings: RunSettings = SETTINGS) -> Path:
    """To the end, with a checkpoint after every second epoch."""
    train_until(folder, settings, None)
    return folder


def half_trained(folder: Path, settings: RunSettings = SETTINGS) -> Path:
    """Crashed after the third epoch: its newest checkpoint is of the second."""
    with pytest.raises(Crash):
        train_until(folder, settings, 3)
    return folder


def train_until(folder: Path, settings: RunSettings, last: int | None) -> None:
    def crash(trainer: Trainer) -> None:
        if trainer.epoch == last:
            raise Crash

    folder.mkdir(exist_ok=True)
    (folder / resolved_name(settings)).write_text(canonical(settings))
    interval = CheckpointInterval(60, epochs=2)
    train_run(settings, folder, device="cpu", interval=interval, following=nullcontext(crash))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return half_trained(tmp_path / "run")


def metrics(folder: Path) -> dict[str, Any]:
    return hdf5.read(folder / METRICS, "m3.metrics")[0]


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_weights_are_those_of_the_newest_checkpoint(run: Path, tmp_path: Path) -> None:
    reached = take_snapshot(run, tmp_path / "snapshot")
    assert reached == (2, 6, 40)
    weights = load_weights(tmp_path / "snapshot" / WEIGHTS)
    assert (weights.settings, weights.agent_steps) == (SETTINGS, 40)
    assert_equal(weights.state, to_tensors(newest_checkpoint(run).trainer["agent"]))


def test_the_metrics_are_the_epochs_so_far(run: Path, finished: Path, tmp_path: Path) -> None:
    take_snapshot(run, tmp_path / "snapshot")
    found, whole = metrics(tmp_path / "snapshot"), metrics(finished)
    assert found["epochs"]["epoch"].tolist() == [1, 2]
    for part in ("tokenizer", "world_model"):
        np.testing.assert_array_equal(found["epochs"][part]["loss"], whole["epochs"][part]["loss"][:2])
    assert found["evaluations"]["epoch"].tolist() == [2]
    assert found["processes"]["after_epoch"].tolist() == [0]
    assert found["processes"].keys() == whole["processes"].keys()
    assert found.keys() == whole.keys()


def test_it_is_used_like_a_finished_run(run: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    take_snapshot(run, snapshot)
    assert m3.load(snapshot).agent_steps == 40
    assert main(["evaluate", "--run", str(snapshot), "--episodes", "2"]) == 0
    files = [path for path in snapshot.iterdir() if path.suffix != ".txt"]
    assert main(["inspect", *map(str, files)]) == 0
    scores = read_own([snapshot], "toy", {})
    assert scores.scores[["task", "steps"]].values.tolist() == [["all_modalities", 40]]
    assert scores.curves.steps.tolist() == [40]
    assert scores.runs.device.tolist() == ["cpu"]


def test_a_run_that_trains_is_only_read_and_goes_on_to_the_same_bits(
    run: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lease(run):
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        capsys.readouterr()
        assert main(["snapshot", "--run", str(run), "--output", str(tmp_path / "snapshot")]) == 0
        assert capsys.readouterr().out == f"{tmp_path / 'snapshot'}: epoch 2/6, 40 agent steps\n"
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    train(run)
    assert run_differences(finished, run, SETTINGS) == []


def test_of_a_finished_run_it_is_what_the_run_left(finished: Path, tmp_path: Path) -> None:
    take_snapshot(finished, tmp_path)
    assert_equal(load_weights(tmp_path / WEIGHTS).state, load_weights(finished / WEIGHTS).state)
    np.testing.assert_equal(metrics(tmp_path), metrics(finished))


def test_an_earlier_snapshot_is_replaced_and_its_scores_are_gone(run: Path, finished: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    take_snapshot(run, snapshot)
    assert main(["evaluate", "--run", str(snapshot), "--episodes", "1"]) == 0
    (snapshot / "resolved-00000000.yaml").touch()
    assert take_snapshot(finished, snapshot).epoch == 6
    assert {path.name for path in snapshot.iterdir()} == {resolved_name(SETTINGS), WEIGHTS, METRICS, "snapshot.txt"}
    assert (snapshot / "snapshot.txt").read_text() == f"A snapshot of {finished}\n"
    assert load_weights(snapshot / WEIGHTS).agent_steps == 120


class Distance(nn.Module):
    """Stands in for LPIPS."""

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        return (images - others).abs().mean()


def test_the_perceptual_weights_are_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = toy_settings("image", tokenizer={"perceptual": "lpips"})
    monkeypatch.setattr("m3.runs.train.load_lpips", lambda pretrained: Distance())
    half_trained(tmp_path / "run", settings)
    monkeypatch.undo()
    assert take_snapshot(tmp_path / "run", tmp_path / "snapshot").epoch == 2


def test_a_folder_that_holds_anything_else_is_refused(
    run: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = tmp_path / "scored"  # as runs are committed: without weights and checkpoints
    scored.mkdir()
    (scored / "scores.h5").touch()
    for output in (run, finished, scored):
        before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
        assert main(["snapshot", "--run", str(run), "--output", str(output)]) == 2
        expected = f"error: {output} holds something else: a snapshot needs a folder of its own\n"
        assert capsys.readouterr().err == expected
        assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


def test_a_run_without_a_checkpoint_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / resolved_name(SETTINGS)).write_text(canonical(SETTINGS))
    assert main(["snapshot", "--run", str(tmp_path), "--output", str(tmp_path / "snapshot")]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path} has no checkpoint: train it first\n"
    assert not (tmp_path / "snapshot").exists()
