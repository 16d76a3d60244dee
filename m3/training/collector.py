"""Acting in the real environment, into the replay."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from m3.agent.actor_critic import LSTMState
from m3.agent.agent import Agent
from m3.agent.policy import Policy
from m3.config.schema import Collection
from m3.data.replay import Replay
from m3.environments.base import Environment
from m3.seeding import Randomness
from m3.specs import Observation


class FinishedEpisode(NamedTuple):
    """A training episode that ended: agent steps taken in the run by then, its return and its length in steps."""

    agent_steps: int
    episode_return: float
    length: int


class Collector:
    """Plays one environment, continuing the episode in progress from epoch to epoch.

    At the start of an epoch the recurrent state is made anew from the episode's latest steps, as the networks have
    changed since they were taken.

    Args:
        agent: in evaluation mode.
        environment: in training mode.
        replay: receives every step.
        settings: exploration.
        burn_in: steps from which the recurrent state is made.
        seed: of the environment, for its first reset.
    """

    def __init__(
        self, agent: Agent, environment: Environment, replay: Replay, settings: Collection, burn_in: int, seed: int
    ) -> None:
        self._policy = Policy(agent, settings.temperature, settings.epsilon)
        self._environment = environment
        self._replay = replay
        self._burn_in = burn_in
        self._seed = seed
        self.agent_steps = 0
        self.episodes: list[FinishedEpisode] = []
        self._observation: Observation | None = None
        self._episode_return = 0.0
        self._episode_length = 0

    def collect(self, steps: int, random: Randomness) -> Iterator[None]:
        """Take ``steps`` steps, yielding after each."""
        state = self._recurrent_state()
        for _ in range(steps):
            if self._observation is None:
                self._observation = self._environment.reset(self._seed if self.agent_steps == 0 else None)
                state = self._policy.initial_state(1)
            observation = self._observation
            actions, state = self._policy.act({name: o[None] for name, o in observation.items()}, state, random)
            step = self._environment.step(actions[0])
            self._replay.add(observation, actions[0], step.reward, step.terminated, step.truncated, step.observation)
            self.agent_steps += 1
            self._episode_return += step.reward
            self._episode_length += 1
            self._observation = step.observation
            if step.terminated or step.truncated:
                self._finish_episode()
            yield

    def _finish_episode(self) -> None:
        self.episodes.append(FinishedEpisode(self.agent_steps, self._episode_return, self._episode_length))
        self._observation, self._episode_return, self._episode_length = None, 0.0, 0

    def _recurrent_state(self) -> LSTMState:
        if self._episode_length == 0 or self._burn_in == 0:
            return self._policy.initial_state(1)
        latest = self._replay.next_row
        rows = self._replay.rows(latest - min(self._burn_in, self._episode_length), latest)
        return self._policy.burn_in(rows.observations, rows.columns["actions"])

    def state_dict(self) -> dict[str, Any]:
        """Return counters, finished episodes, the episode in progress and its environment."""
        return {
            "agent_steps": self.agent_steps,
            "episodes": np.array(self.episodes, dtype=np.float64).reshape(-1, 3),
            "observation": self._observation,
            "episode_return": self._episode_return,
            "episode_length": self._episode_length,
            "environment": self._environment.get_state() if self.agent_steps else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly; the replay must have been restored before."""
        self.agent_steps = state["agent_steps"]
        self.episodes = [FinishedEpisode(int(s), float(r), int(n)) for s, r, n in state["episodes"]]
        self._observation = state["observation"]
        self._episode_return = state["episode_return"]
        self._episode_length = state["episode_length"]
        if state["environment"] is not None:
            self._environment.set_state(state["environment"])
