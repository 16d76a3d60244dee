"""A run's task in Gymnasium's interface, and the agents of Stable-Baselines3 on it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from toy_runs import toy_settings

from m3.config.simulators import GymnasiumEnvironment
from m3.environments import make_environment
from m3.files import hdf5
from m3.files.run_folder import write_settings
from m3.programs.contract import faults
from m3.programs.gymnasium_task import GymnasiumTask

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("task", ["image", "vector", "mixed", "all_modalities", "multi_discrete"])
@pytest.mark.filterwarnings("ignore")
def test_it_keeps_to_gymnasiums_interface(task: str) -> None:
    check_env(GymnasiumTask(toy_settings(task), "test"), skip_render_check=True)


def test_it_shows_what_m3_sees() -> None:
    settings = toy_settings("all_modalities")
    task, own = GymnasiumTask(settings, "train"), make_environment(settings.environment, settings.task, "train")
    observation, _ = task.reset(seed=5)
    expected = own.reset(seed=5)
    over = False
    while not over:
        for name, array in expected.items():
            assert observation[name].dtype == array.dtype
            np.testing.assert_array_equal(observation[name], array.reshape(-1) if "token" in name else array)
        action = task.action_space.sample()
        observation, reward, terminated, truncated, _ = task.step(action)
        step = own.step(np.atleast_1d(np.asarray(action, own.action_spec.dtype)))
        assert (reward, terminated, truncated) == (step.reward, step.terminated, step.truncated)
        expected, over = step.observation, terminated or truncated


@pytest.mark.parametrize(
    ("agent", "task", "arguments"),
    [
        ("PPO", "CartPole-v1", {"n_steps": 30, "batch_size": 10}),
        ("PPO", "FrozenLake-v1", {"n_steps": 30, "batch_size": 10}),
        ("PPO", "Picture-Empty-6x6-v0", {"n_steps": 30, "batch_size": 10}),  # 32 x 32 pixels
        ("SAC", "Pendulum-v1", {"learning_starts": 20, "batch_size": 8}),
    ],
)
def test_agents_of_stable_baselines_leave_faultless_results(
    tmp_path: Path, agent: str, task: str, arguments: dict[str, int]
) -> None:
    options = {"agent": agent, "arguments": arguments}
    command = "python examples/stable_baselines/agent.py"
    settings = toy_settings("vector", command=command, options=options)
    environment = GymnasiumEnvironment(family="gymnasium", file="examples/minigrid/rooms.py", image_size=32)
    settings = settings.model_copy(update={"task": task, "environment": environment})
    file = write_settings(tmp_path, settings)
    script = ROOT / "examples/stable_baselines/agent.py"
    call = [sys.executable, script, "--config", file, "--run", tmp_path, "--episodes", "3", "--device", "cpu"]
    subprocess.run(call, check=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    assert list(faults(tmp_path, settings, episodes=3)) == []
    metrics, _ = hdf5.read(tmp_path / "metrics.h5", "m3.metrics")
    assert metrics["evaluations"]["agent_steps"].tolist() == [40, 80]
    assert "stable_baselines3" in metrics["processes"]["packages"][0].replace("-", "_")
