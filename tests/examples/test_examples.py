"""The examples do what they say, run as they are documented."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.serialization import deserialize_space, serialize_space
from toy_runs import toy_settings, train_in_folder

from m3.cli import main

ROOT = Path(__file__).parents[2]
PARTS = ("config", "envs", "examples", "m3", "results/published", "workflow")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_in_folder(tmp_path_factory.mktemp("examples") / "run", toy_settings("all_modalities"))


def execute(script: str, *arguments: str) -> str:
    command = [sys.executable, ROOT / "examples" / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_loaded_agent_plays_an_episode(run: Path) -> None:
    output = execute("use_agent.py", str(run))
    assert re.fullmatch(r"all_modalities: return \d+ after 80 steps of training\n", output)


def test_minari_returns_the_episodes_that_were_collected(run: Path) -> None:
    assert main(["dataset", "--run", str(run)]) == 0
    output = execute("open_in_minari.py", str(run / "dataset.h5"))
    assert output.startswith("8 episodes, 80 steps, mean return")
    dataset = minari.MinariDataset(run / "dataset-minari" / "data")
    assert len(dataset) == 8
    with h5py.File(run / "dataset.h5") as file:
        for episode in dataset.iterate_episodes():
            stored = file[f"episode_{episode.id}"]
            assert set(episode.observations) == {"image", "vector", "token", "token_2d"}
            for name, values in episode.observations.items():
                np.testing.assert_array_equal(values, stored["observations"][name][()])
                assert len(values) == 11
            for name in ("actions", "rewards", "terminations", "truncations"):
                np.testing.assert_array_equal(getattr(episode, name), stored[name][()])
            assert episode.terminations.tolist() == [False] * 9 + [True]
            assert all(dataset.action_space.contains(action) for action in episode.actions)
            for name, values in episode.observations.items():
                assert all(dataset.observation_space[name].contains(value) for value in values)
    assert dataset.action_space == spaces.Discrete(4)
    assert dataset.observation_space["token"] == spaces.Box(0, 4, (2,), np.uint8)


@pytest.mark.parametrize(
    ("space", "low", "high"),
    [
        (spaces.Discrete(3, start=-1), np.int64(-1), np.int64(1)),
        (spaces.MultiDiscrete([3, 2], start=[5, -4]), np.array([5, -4]), np.array([7, -3])),
        (spaces.Box(-2, 2, (1,)), np.float32([-2]), np.float32([2])),
    ],
    ids=str,
)
def test_minari_gets_the_environments_own_action_space(
    space: spaces.Space[Any], low: np.ndarray, high: np.ndarray
) -> None:
    made = runpy.run_path(str(ROOT / "examples" / "open_in_minari.py"))["action_space"]
    assert made(low, high) == space == deserialize_space(serialize_space(made(low, high)))


def documented_commands() -> list[str]:
    """The indented block of docs/extending.md that begins with copying the benchmark."""
    text = (ROOT / "docs" / "extending.md").read_text()
    block = re.search(r"(?:^    cp examples/.*\n)(?:^    .*\n)+", text, re.M)
    assert block is not None
    return [line.strip() for line in block[0].splitlines()]


@pytest.mark.slow
def test_an_environment_of_ones_own_as_documented(tmp_path: Path) -> None:
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    before = {path: path.read_bytes() for path in (tmp_path / "m3").rglob("*.py")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path)}
    commands = documented_commands()
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    for name in ("own_curves.png", "tasks.pdf", "table_scores.md"):
        assert (tmp_path / "figures/corridor_example/corridor" / name).stat().st_size > 0
    table = (tmp_path / "figures/corridor_example/corridor/table_scores.md").read_text()
    assert "Corridor-v0" in table
    assert "Random walk" in table
    assert (tmp_path / "corridor.mp4").stat().st_size > 0
    assert {path: path.read_bytes() for path in (tmp_path / "m3").rglob("*.py")} == before
