"""A run may begin with parts of other agents, and train on a dataset alone."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import gymnasium
import h5py
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
from m3.files.provenance import Provenance
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
FROZEN_VECTOR = {name: value for name, value in FROZEN.items() if name != "tokenizer"}
"""The same without images."""


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
    content, _ = hdf5.read(file, "m3.dataset", 2)
    episodes = trainer.replay.finished_episodes()
    assert len(episodes) == content["total_episodes"] == 8
    for index, (first, end) in enumerate(episodes):
        rows, stored = trainer.replay.rows(first, end), content[f"episode_{index}"]
        for name, values in rows.observations.items():
            np.testing.assert_array_equal(values, stored["observations"][name])
        np.testing.assert_array_equal(rows.columns["actions"][:-1, 0], stored["actions"])
        np.testing.assert_array_equal(rows.columns["rewards"][:-1], stored["rewards"])
        np.testing.assert_array_equal(rows.columns["terminated"][:-1], stored["terminations"])
    assert trainer.log.newest["world_model/loss"] > 0


class Shifted(gymnasium.Env[Any, Any]):
    """Counts from -1 and from 100, and takes actions from -1 on; the episode follows from seed and actions."""

    observation_space: spaces.Space[Any] = spaces.Dict(
        {"turn": spaces.Discrete(3, start=-1), "where": spaces.Box(100, 104, (2,), np.int16)}
    )
    action_space: spaces.Space[Any] = spaces.Discrete(3, start=-1)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        self.steps += 1
        return self._observe(), float(np.sum(action)), False, self.steps == 8, {}

    def _observe(self) -> Any:
        where = self.np_random.integers(100, 105, 2).astype(np.int16)
        return {"turn": self.np_random.integers(-1, 2), "where": where}


class Several(Shifted):
    """Its actions are several, each from a start of its own."""

    action_space = spaces.MultiDiscrete([3, 2], start=[5, -4])


class Wide(Shifted):
    """Its actions are floats in a range that is not symmetrical."""

    action_space = spaces.Box(np.float32([[-3, 0.1]]), np.float32([[1, 0.7]]))


@pytest.fixture
def shifted() -> Iterator[None]:
    for kind in (Shifted, Several, Wide):
        gymnasium.register(f"{kind.__name__}-v0", kind)
    yield
    for kind in (Shifted, Several, Wide):
        del gymnasium.registry[f"{kind.__name__}-v0"]


def in_another_environment(family: str, task: str, **changes: Any) -> RunSettings:
    """The settings of ``toy_settings`` in another environment, whose components do not train."""
    evaluation = {"episodes": 1, "environments": 1}
    content = toy_settings("vector", evaluation=evaluation, **FROZEN_VECTOR).model_dump(mode="json")
    collection = {"steps_per_epoch": 520, "epsilon": 0.1}
    content |= {"task": task, "environment": {"family": family}, "collection": collection, **changes}
    return RunSettings.model_validate(content)


@pytest.mark.parametrize(
    ("family", "task"),
    [
        ("gymnasium", "Shifted-v0"),
        ("gymnasium", "Several-v0"),
        ("gymnasium", "Wide-v0"),
        ("gymnasium", "Pendulum-v1"),
        ("dmc", "cartpole-swingup"),
    ],
)
def test_what_a_run_did_comes_back_bit_for_bit(tmp_path: Path, shifted: None, family: str, task: str) -> None:
    first = started(tmp_path / "first", in_another_environment(family, task)).replay
    assert main(["dataset", "--run", str(tmp_path / "first")]) == 0
    file = tmp_path / "first" / "dataset.h5"
    again = started(tmp_path / "again", in_another_environment(family, task, dataset=str(file))).replay
    bounds = first.finished_episodes()
    assert len(bounds) >= 1
    np.testing.assert_array_equal(again.finished_episodes(), bounds)
    expected, found = (replay.rows(0, int(bounds[-1, 1])).columns for replay in (first, again))
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)
    with h5py.File(file) as content:
        stored = content["episode_0"]
        if family == "gymnasium":
            space = gymnasium.make(task).action_space
            assert all(space.contains(action) for action in stored["actions"][()])
        if task.startswith("Shifted"):
            assert set(np.unique(stored["actions"][()])) == {-1, 0, 1}
            assert stored["rewards"][()].tolist() == stored["actions"][()].tolist()
            assert set(np.unique(stored["observations/token"][:, 0])) <= {-1, 0, 1}
            assert stored["observations/token"][:, 1:].min() >= 100
        if task == "Pendulum-v1":
            assert np.abs(stored["actions"][()]).max() > 1


def test_a_dataset_of_other_ranges_or_an_older_format_is_refused(tmp_path: Path, shifted: None) -> None:
    started(tmp_path / "first", in_another_environment("gymnasium", "Shifted-v0"))
    assert main(["dataset", "--run", str(tmp_path / "first")]) == 0
    file = tmp_path / "first" / "dataset.h5"
    settings = in_another_environment("gymnasium", "Several-v0", dataset=str(file))
    with pytest.raises(UserError, match=r"actions differ: int64 -1 to int64 1, where the task takes int64 \[5, -4\]"):
        started(tmp_path / "other", settings)
    content, _ = hdf5.read(file, "m3.dataset", 2)
    content["spaces"]["observations"]["token"]["low"] += 1
    hdf5.write(tmp_path / "moved.h5", "m3.dataset", content, Provenance("", "0", [0]), 2)
    settings = in_another_environment("gymnasium", "Shifted-v0", dataset=str(tmp_path / "moved.h5"))
    with pytest.raises(UserError, match=r"observations differ: token int8 \[0, 101, 101\] to .* where the task has"):
        started(tmp_path / "moved", settings)
    hdf5.write(tmp_path / "old.h5", "m3.dataset", content, Provenance("", "0", [0]), 1)
    settings = in_another_environment("gymnasium", "Shifted-v0", dataset=str(tmp_path / "old.h5"))
    with pytest.raises(UserError, match=r"old.h5: version 1 of m3.dataset, .*; this M3 reads version 2"):
        started(tmp_path / "old", settings)


def with_a_minari_dataset(folder: Path, monkeypatch: pytest.MonkeyPatch, steps: int = 12, most: float = 10) -> None:
    """Random play of a two-dimensional toy as somebody else would have recorded it, broken off at its end."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder))
    rng = np.random.default_rng(0)
    buffers = [
        EpisodeBuffer(
            id=index,
            observations=list(rng.normal(size=(steps + 1, 3)).astype(np.float32)),
            actions=list((rng.uniform(0, 1, size=(steps, 2)) * most).astype(np.float32)),
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


def test_actions_outside_their_space_are_the_nearest_inside_and_those_that_are_no_numbers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = toy_settings("vector", dataset="minari:toy/random-v0", **FROZEN_VECTOR)
    with_a_minari_dataset(tmp_path / "outside", monkeypatch, most=30)
    actions = started(tmp_path / "run", settings).replay.rows(0, 12).columns["actions"]
    assert (actions == 1).any()
    assert (np.abs(actions) <= 1).all()
    with_a_minari_dataset(tmp_path / "nan", monkeypatch, most=np.nan)
    with pytest.raises(UserError, match="minari:toy/random-v0 has actions that are not finite"):
        started(tmp_path / "other", settings)


def test_a_dataset_of_another_task_is_refused(finished: Path, tmp_path: Path) -> None:
    settings = toy_settings("image", dataset=str(finished / "dataset.h5"))
    write_settings(tmp_path, settings)
    with pytest.raises(UserError, match="is of another task: its observations differ"):
        train(settings, tmp_path, device="cpu")


def test_what_a_run_begins_with_is_named_rightly() -> None:
    with pytest.raises(ValueError, match="initialize_from"):
        toy_settings("vector", initialize_from={"actor": "elsewhere"})
