"""PPO, SAC and other agents of Stable-Baselines3 as variants, trained by the same workflow as M3.

    pip install 'm3[baselines]'
    snakemake --cores 2 --configfile config/cpu_study.yaml

A variant's file names this script as its `command`, and in its `options` the agent's class and arguments:

    label: PPO
    command: python examples/stable_baselines/agent.py
    settings:
      options: {agent: PPO, arguments: {n_steps: 250, batch_size: 50}}

docs/own_agent.md tells what a variant's program is given and what it has to leave.
"""

import argparse
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from m3.config.schema import RunSettings
from m3.errors import UserError, unknown_name
from m3.files.run_folder import read_resolved
from m3.programs.gymnasium_task import GymnasiumTask
from m3.programs.results import Episodes, Results, write_results
from m3.seeding import derive
from m3.training.devices import device_name, select_device

LEAST_PIXELS = 36
"""Of a picture's side, for the convolutions of Stable-Baselines3."""
AGENTS = ("A2C", "DDPG", "DQN", "PPO", "SAC", "TD3")


class EnlargedPictures(gymnasium.ObservationWrapper[dict[str, np.ndarray], Any, dict[str, np.ndarray]]):
    """A task whose small pictures have each pixel several times, so that convolutions can read them."""

    def __init__(self, task: GymnasiumTask) -> None:
        super().__init__(task)
        assert isinstance(task.observation_space, gymnasium.spaces.Dict)
        parts = dict(task.observation_space)
        self._times: int = -(-LEAST_PIXELS // parts["image"].shape[-1]) if "image" in parts else 1
        if self._times > 1:
            shown = self._enlarged(parts["image"].low)
            parts["image"] = gymnasium.spaces.Box(0, 255, shown.shape, np.uint8)
            self.observation_space = gymnasium.spaces.Dict(parts)

    def observation(self, observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self._times == 1:
            return observation
        return observation | {"image": self._enlarged(observation["image"])}

    def _enlarged(self, picture: np.ndarray) -> np.ndarray:
        return picture.repeat(self._times, axis=-1).repeat(self._times, axis=-2)


def play(agent: BaseAlgorithm, task: gymnasium.Env[Any, Any], episodes: int, seed: int) -> Episodes:
    """Play whole episodes without exploring. They begin as those of M3's evaluation with this seed."""
    returns, lengths = [], []
    for index in range(episodes):
        observation, _ = task.reset(seed=derive(seed, "episode", index))
        total, length, over = 0.0, 0, False
        while not over:
            action, _ = agent.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, _ = task.step(action)
            total, length, over = total + float(reward), length + 1, terminated or truncated
        returns.append(total)
        lengths.append(length)
    return Episodes(returns, lengths)


class Evaluating(BaseCallback):
    """Plays episodes as often as M3 does during training, and ends training at the last step allowed."""

    def __init__(self, settings: RunSettings, task: gymnasium.Env[Any, Any]) -> None:
        super().__init__()
        self._settings, self._task = settings, task
        self._allowed = settings.agent_steps
        self._interval = settings.evaluation.every_epochs * settings.collection.steps_per_epoch
        self.evaluations: list[tuple[int, Episodes]] = []

    def _on_step(self) -> bool:
        if self.num_timesteps % self._interval == 0:
            seed = derive(self._settings.seed, "evaluation", self.num_timesteps)
            episodes = play(self.model, self._task, self._settings.evaluation.episodes, seed)
            self.evaluations.append((self.num_timesteps, episodes))
            mean = sum(episodes.returns) / len(episodes.returns)
            print(f"{self._settings.task} seed {self._settings.seed} | {self.num_timesteps} steps | return {mean:.4g}")
        return self.num_timesteps < self._allowed


def make_agent(settings: RunSettings, task: gymnasium.Env[Any, Any], device: str) -> BaseAlgorithm:
    """Make the agent that the variant's options name."""
    options: dict[str, Any] = dict(settings.options)
    name, arguments = options.pop("agent", None), options.pop("arguments", {})
    if options:
        raise unknown_name("option", next(iter(options)), ("agent", "arguments"))
    if name not in AGENTS:
        raise unknown_name("agent of Stable-Baselines3", str(name), AGENTS)
    try:
        return getattr(stable_baselines3, name)(
            "MultiInputPolicy", task, seed=settings.seed, device=device, **arguments
        )
    except (AssertionError, TypeError, ValueError) as error:  # such as SAC for discrete actions
        raise UserError(f"{name} cannot train {settings.task}: {str(error).splitlines()[0]}") from error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="the resolved settings of the run")
    parser.add_argument("--run", type=Path, required=True, help="the run's folder")
    parser.add_argument("--episodes", type=int, required=True, help="of the final evaluation")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    given = parser.parse_args()
    try:
        train(read_resolved(given.config), given.run, given.episodes, given.device)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def train(settings: RunSettings, run: Path, episodes: int, device: str) -> None:
    """Train and evaluate one run, and leave its scores and metrics."""
    where = select_device(device)
    environments = [GymnasiumTask(settings, mode) for mode in ("train", "test")]
    task, test = map(EnlargedPictures, environments)
    began = monotonic()
    evaluating = Evaluating(settings, test)
    agent = make_agent(settings, task, str(where))
    agent.learn(settings.agent_steps, callback=evaluating)
    seconds = monotonic() - began
    results = Results(
        final=play(agent, test, episodes, derive(settings.seed, "final evaluation")),
        agent_steps=agent.num_timesteps,
        wall_seconds=seconds,
        evaluations=evaluating.evaluations,
        frames_per_step=environments[0].frames_per_step,
        device=device_name(where),
        packages=["stable-baselines3"],
    )
    write_results(run, settings, results)


if __name__ == "__main__":
    sys.exit(main())
