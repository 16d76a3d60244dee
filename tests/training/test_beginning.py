"""A run may begin with parts of other agents, and train on a dataset alone."""

from contextlib import nullcontext
from pathlib import Path

import minari
import numpy as np
import pytest
import torch
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from toy_runs import toy_settings, train_in_folder

from m3.cli import main
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files import hdf5
from m3.files.run_folder import write_settings
from m3.runs.saving import CheckpointInterval
from m3.runs.stops import Stop
from m3.runs.train import train
from m3.runs.weights import load_weights
from m3.training.trainer import Trainer


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = train_in_folder(tmp_path_factory.mktemp("beginning") / "run", toy_settings("all_modalities"))
    assert main(["dataset", "--run", str(folder)]) == 0
    return folder


class StopAfter(Stop):
    """Ends training after an epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._epoch, self._over = epoch, False

    def look(self, trainer: Trainer) -> None:
        self._over = trainer.epoch >= self._epoch

    def due(self, seconds: float = 0.0) -> bool:
        return self._over


def started(folder: Path, settings: RunSettings) -> Trainer:
    """The trainer after one epoch."""
    seen: list[Trainer] = []
    write_settings(folder, settings)
    train(settings, folder, device="cpu", following=nullcontext(seen.append))
    return seen[0]


FROZEN = {
    "epochs": 1,
    **{part: {"schedule": {"start_after_epoch": 9}} for part in ("tokenizer", "world_model", "controller")},
}
"""Nothing trains, so that what the run began with is what it ends with."""


@pytest.mark.parametrize(
    ("part", "prefix"), [("tokenizer", "tokenizer."), ("world_model", "world_model."), ("controller", "actor_critic.")]
)
def test_a_part_begins_as_it_is_elsewhere_and_the_others_at_random(
    finished: Path, tmp_path: Path, part: str, prefix: str
) -> None:
    given = load_weights(finished / "weights.safetensors").state
    plain = started(tmp_path / "plain", toy_settings("all_modalities", **FROZEN)).agent.state_dict()
    for number, source in enumerate((finished, finished / "weights.safetensors")):
        settings = toy_settings("all_modalities", initialize_from={part: str(source)}, **FROZEN)
        for name, value in started(tmp_path / str(number), settings).agent.state_dict().items():
            expected = given[name] if name.startswith(prefix) else plain[name]
            assert torch.equal(value, expected), name


def test_weights_of_another_agent_are_refused(finished: Path, tmp_path: Path) -> None:
    settings = toy_settings("all_modalities", world_model={"width": 32}, initialize_from={"world_model": str(finished)})
    write_settings(tmp_path, settings)
    with pytest.raises(UserError, match=r"initialize_from.world_model: .* is of another agent, world_model"):
        train(settings, tmp_path, device="cpu")
    settings = toy_settings("vector", initialize_from={"tokenizer": str(finished)})
    write_settings(tmp_path / "vector", settings)
    with pytest.raises(UserError, match="the tokenizer of this agent has no weights"):
        train(settings, tmp_path / "vector", device="cpu")


def test_a_run_on_a_dataset_collects_nothing_and_has_its_episodes(finished: Path, tmp_path: Path) -> None:
    file = finished / "dataset.h5"
    trainer = started(tmp_path, toy_settings("all_modalities", dataset=str(file)))
    assert trainer.collector.agent_steps == 0
    content, _ = hdf5.read(file, "m3.dataset")
    episodes = trainer.replay.finished_episodes()
    assert len(episodes) == content["total_episodes"] == 8
    for index, (first, end) in enumerate(episodes):
        rows, stored = trainer.replay.rows(first, end), content[f"episode_{index}"]
        for name, values in rows.observations.items():
            np.testing.assert_array_equal(values, stored["observations"][name])
        np.testing.assert_array_equal(rows.columns["actions"][:-1], stored["actions"])
        np.testing.assert_array_equal(rows.columns["rewards"][:-1], stored["rewards"])
        np.testing.assert_array_equal(rows.columns["terminated"][:-1], stored["terminations"])
    assert trainer.log.newest["world_model/loss"] > 0


def with_a_minari_dataset(folder: Path, monkeypatch: pytest.MonkeyPatch, steps: int = 12) -> None:
    """Random play of a two-dimensional toy as somebody else would have recorded it, broken off at its end."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder))
    rng = np.random.default_rng(0)
    buffers = [
        EpisodeBuffer(
            id=index,
            observations=list(rng.normal(size=(steps + 1, 3)).astype(np.float32)),
            actions=list(rng.uniform(0, 10, size=(steps, 2)).astype(np.float32)),
            rewards=list(rng.normal(size=steps)),
            terminations=[False] * steps,
            truncations=[False] * steps,
            infos={},
        )
        for index in range(4)
    ]
    minari.create_dataset_from_buffers(
        "toy/random-v0",
        buffers,
        observation_space=spaces.Box(-np.inf, np.inf, (3,), np.float32),
        action_space=spaces.Box(0, 10, (2,), np.float32),
        algorithm_name="random",
        code_permalink="none",
        author="a",
        author_email="a@b.c",
    )


def test_a_run_on_a_minari_dataset_alone_goes_on_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_a_minari_dataset(tmp_path / "minari", monkeypatch)
    settings = toy_settings("vector", dataset="minari:toy/random-v0")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_in_folder(whole, settings)
    write_settings(parts, settings)
    every_epoch = CheckpointInterval(epochs=1)
    for epoch in (1, 2):
        stop = StopAfter(epoch)
        assert not train(
            settings, parts, device="cpu", interval=every_epoch, stop=stop, following=nullcontext(stop.look)
        )
    (tmp_path / "minari").rename(tmp_path / "gone")  # what has begun needs the dataset no more
    assert train(settings, parts, device="cpu", interval=every_epoch)
    expected, found = (load_weights(folder / "weights.safetensors").state for folder in (whole, parts))
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("task", "dataset", "expected"),
    [
        ("vector", "minari:toy/randon-v0", "unknown Minari dataset 'toy/randon-v0': did you mean 'toy/random-v0'"),
        ("image", "minari:toy/random-v0", "minari:toy/random-v0 is of another task"),
        ("vector", "no.h5", "no.h5: no such file"),
    ],
)
def test_datasets_that_do_not_fit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, dataset: str, expected: str
) -> None:
    with_a_minari_dataset(tmp_path / "minari", monkeypatch)
    settings = toy_settings(task, dataset=dataset)
    write_settings(tmp_path / "run", settings)
    with pytest.raises(UserError, match=expected):
        train(settings, tmp_path / "run", device="cpu")


def test_a_dataset_of_another_task_is_refused(finished: Path, tmp_path: Path) -> None:
    settings = toy_settings("image", dataset=str(finished / "dataset.h5"))
    write_settings(tmp_path, settings)
    with pytest.raises(UserError, match="is of another task: its observations differ"):
        train(settings, tmp_path, device="cpu")


def test_what_a_run_begins_with_is_named_rightly() -> None:
    with pytest.raises(ValueError, match="initialize_from"):
        toy_settings("vector", initialize_from={"actor": "elsewhere"})
