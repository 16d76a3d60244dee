"""Whole small runs, through all phases, in every mix of modalities and actions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_runs import toy_settings, toy_trainer

from m3.files import hdf5
from m3.files.names import METRICS, WEIGHTS
from m3.runs.evaluate import evaluate
from m3.runs.progress import RunProgress
from m3.runs.train import train
from m3.runs.weights import save_weights

CPU = torch.device("cpu")
SEPARATE = {"controller": {"separate_networks": True, "critic_warmup_epochs": 1}}


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("image", {}),
        ("vector", SEPARATE),
        ("mixed", {}),
        ("all_modalities", {}),
        ("multi_discrete", SEPARATE),
        ("terminating", {"regression": "symlog_mse"}),
        ("truncating", {"replay": {"prioritized_share": 0.0}}),
    ],
)
def test_every_mix_trains_and_is_scored(task: str, changes: dict[str, Any], tmp_path: Path) -> None:
    """Four epochs: the tokenizer trains from the first, the world model from the second, the controller from the third;
    evaluations follow the second and the fourth."""
    settings = toy_settings(task, **changes)
    assert train(settings, tmp_path, device="cpu")
    evaluate(tmp_path, 5)

    metrics, _ = hdf5.read(tmp_path / METRICS, "m3.metrics")
    epochs = metrics["epochs"]
    assert epochs["epoch"].tolist() == [1, 2, 3, 4]
    assert epochs["agent_steps"].tolist() == [20, 40, 60, 80]
    measured = {part: np.isfinite(epochs[part]["loss"]).tolist() for part in ("world_model", "controller")}
    assert measured == {"world_model": [False, True, True, True], "controller": [False, False, True, True]}
    assert ("tokenizer" in epochs) == (settings.tokenizer is not None)
    assert metrics["evaluations"]["epoch"].tolist() == [2, 4]
    assert metrics["evaluations"]["agent_steps"].tolist() == [40, 80]
    assert metrics["evaluations"]["returns"].shape == metrics["evaluations"]["lengths"].shape == (2, 3)
    np.testing.assert_allclose(epochs["evaluation"]["return"][[1, 3]], metrics["evaluations"]["returns"].mean(axis=1))

    scores, _ = hdf5.read(tmp_path / "scores.h5", "m3.scores")
    assert scores["returns"].shape == scores["lengths"].shape == (5,)
    assert (scores["task"], scores["seed"], scores["agent_steps"]) == (task, 0, 80)


def test_all_networks_learn_and_only_in_their_time() -> None:
    trainer = toy_trainer(toy_settings("all_modalities"))
    progress = RunProgress(trainer.settings)
    learned: list[set[str]] = []
    for _ in range(3):
        before = {name: parameter.detach().clone() for name, parameter in trainer.agent.named_parameters()}
        trainer.run_epoch(progress)
        after = dict(trainer.agent.named_parameters())
        learned.append({name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])})
    assert learned == [{"tokenizer"}, {"tokenizer", "world_model"}, {"tokenizer", "world_model", "actor_critic"}]


def test_no_collecting_after_the_last_epoch_of_collection() -> None:
    trainer = toy_trainer(toy_settings("mixed", collection={"last_epoch": 2}))
    for _ in range(4):
        trainer.run_epoch(RunProgress(trainer.settings))
    assert trainer.collector.agent_steps == 40
    assert trainer.log.columns()["agent_steps"].tolist() == [20, 40, 40, 40]


def test_training_episodes_are_in_the_metrics(tmp_path: Path) -> None:
    """Of lengths 3, 1, 5, 2, 3, 1, 5, ... until 20 steps are over in each epoch."""
    settings = toy_settings("terminating", epochs=1)
    assert train(settings, tmp_path, device="cpu")
    episodes = hdf5.read(tmp_path / METRICS, "m3.metrics")[0]["episodes"]
    assert episodes["length"].tolist() == [3, 1, 5, 2, 3, 1, 5]
    assert episodes["agent_steps"].tolist() == np.cumsum(episodes["length"]).tolist()
    assert ((episodes["return"] >= 0) & (episodes["return"] <= episodes["length"])).all()


def test_the_seed_decides_the_networks_at_the_start_and_the_final_scores(tmp_path: Path) -> None:
    trainers = [toy_trainer(toy_settings("mixed", seed=seed)) for seed in (0, 0, 1)]
    first, again, other = (trainer.agent.actor_critic.actor.weight for trainer in trainers)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)

    returns = []
    for seed in (0, 0, 1):  # of the same networks
        save_weights(tmp_path / WEIGHTS, trainers[0].agent, toy_settings("mixed", seed=seed), agent_steps=0)
        evaluate(tmp_path, 10)
        returns.append(hdf5.read(tmp_path / "scores.h5", "m3.scores")[0]["returns"])
    np.testing.assert_array_equal(returns[0], returns[1])
    assert (returns[0] != returns[2]).any()
