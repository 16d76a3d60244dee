"""Collecting: what gets into the replay, and what the policy remembers from epoch to epoch."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_runs import decisive_agent, toy_settings

from m3.agent.agent import Agent
from m3.agent.encoders import classes_to_actions
from m3.config.simulators import ToyEnvironment
from m3.data.replay import Replay
from m3.environments import Step
from m3.environments.toy import Toy
from m3.seeding import Randomness, randomness
from m3.specs import Observation
from m3.training.collector import Collector

SEED = 7


class RecordingToy(Toy):
    """Remembers every episode: its observations, and what was done and followed."""

    def __init__(self, task: str) -> None:
        super().__init__(ToyEnvironment(family="toy", image_size=8), task)
        self.seeds: list[int | None] = []
        self.episodes: list[tuple[list[Observation], list[np.ndarray], list[Step]]] = []

    def reset(self, seed: int | None = None) -> Observation:
        self.seeds.append(seed)
        observation = super().reset(seed)
        self.episodes.append(([observation], [], []))
        return observation

    def step(self, action: np.ndarray) -> Step:
        step = super().step(action)
        observations, actions, steps = self.episodes[-1]
        observations.append(step.observation)
        actions.append(action.copy())
        steps.append(step)
        return step


class Collecting:
    """A collector of a toy environment with a fresh agent."""

    def __init__(self, task: str, agent: Agent | None = None, **collection: Any) -> None:
        settings = toy_settings(task, collection=collection)
        self.agent = agent or decisive_agent(task)
        self.environment = RecordingToy(task)
        self.replay = Replay(self.environment.observation_spec, self.environment.action_spec, 2, 10**8)
        self.burn_in = settings.sequences.burn_in
        self.collector = Collector(self.agent, self.environment, self.replay, settings.collection, self.burn_in, SEED)

    def collect(self, steps: int, random: Randomness) -> None:
        for _ in self.collector.collect(steps, random):
            pass


def new_random() -> Randomness:
    return randomness(torch.device("cpu"), 0)


@pytest.mark.parametrize("task", ["all_modalities", "vector", "multi_discrete", "terminating", "truncating"])
def test_the_replay_holds_exactly_what_happened(task: str) -> None:
    """Every episode with its true last observation, whole epochs apart or not."""
    run = Collecting(task, epsilon=0.3)
    random = new_random()
    for steps in (4, 17, 1, 12):
        run.collect(steps, random)
    bounds = run.replay.finished_episodes()
    finished = [
        episode for episode in run.environment.episodes if episode[2][-1].terminated or episode[2][-1].truncated
    ]
    assert len(bounds) == len(finished) > 2
    for (first, end), (observations, actions, steps) in zip(bounds, finished, strict=True):
        columns = run.replay.rows(first, end).columns
        assert end - first == len(observations)
        for name in observations[0]:
            np.testing.assert_array_equal(columns[f"observations/{name}"], [o[name] for o in observations])
        np.testing.assert_array_equal(columns["actions"][:-1], actions)
        np.testing.assert_array_equal(columns["rewards"][:-1], np.float32([step.reward for step in steps]))
        for flag in ("terminated", "truncated"):
            assert columns[flag].tolist() == [*(getattr(step, flag) for step in steps), False]


def test_finished_episodes_are_counted_with_their_returns() -> None:
    run = Collecting("terminating", epsilon=0.5)
    run.collect(12, new_random())  # lengths 3, 1, 5, 2, and one more step
    assert [(e.agent_steps, e.length) for e in run.collector.episodes] == [(3, 3), (4, 1), (9, 5), (11, 2)]
    returns = [sum(step.reward for step in steps) for _, _, steps in run.environment.episodes[:4]]
    assert [e.episode_return for e in run.collector.episodes] == returns
    assert run.collector.agent_steps == 12


def test_the_seed_reaches_the_environment_once() -> None:
    run = Collecting("terminating")
    run.collect(12, new_random())
    assert run.environment.seeds == [SEED, None, None, None, None]


def test_a_break_changes_nothing_while_the_networks_stay() -> None:
    """Breaks within the burn-in of an episode's start, and between episodes (three steps each)."""
    agent = decisive_agent("vector")
    whole, broken = Collecting("vector", agent), Collecting("vector", agent)
    random = new_random()
    whole.collect(13, random)
    random = new_random()
    for steps in (1, 2, 7, 3):
        broken.collect(steps, random)
    for one, other in zip(whole.environment.episodes, broken.environment.episodes, strict=True):
        np.testing.assert_array_equal(one[1], other[1])


def test_a_longer_episode_is_remembered_by_its_latest_steps() -> None:
    """Seven steps into an episode, the next action follows from the last three steps and the observation."""
    run = Collecting("vector", temperature=1e-6, epsilon=0.0)
    run.collect(7, new_random())
    run.collect(1, new_random())
    observations, actions, _ = run.environment.episodes[0]
    policy, tokenizer = run.agent.actor_critic, run.agent.tokenizer

    def views(first: int, end: int) -> dict[str, Tensor]:
        vectors = np.stack([o["vector"] for o in observations[first:end]])
        return tokenizer.decode(tokenizer.encode({"vector": torch.from_numpy(vectors)}))

    state = policy.initial_state(1)
    for step in range(7 - run.burn_in, 7):
        _, state = policy.observe(views(step, step + 1), state)
        state = policy.act(torch.from_numpy(actions[step][None]), state)
    output, _ = policy.observe(views(7, 8), state)
    best = policy.distribution(output.logits).sample(None, temperature=0)
    np.testing.assert_array_equal(actions[7], classes_to_actions(best, policy.actions)[0].numpy())


def test_exploration_and_temperature_are_those_of_the_settings() -> None:
    """Acting greedily, exploring always, and drawing from an almost flat distribution."""
    agent = decisive_agent("vector")
    runs = [
        Collecting("vector", agent, temperature=temperature, epsilon=epsilon)
        for temperature, epsilon in ((1e-6, 0.0), (1e-6, 0.0), (1e-6, 1.0), (1e6, 0.0))
    ]
    for seed, run in enumerate(runs):
        run.collect(10, randomness(torch.device("cpu"), seed))
    greedy, again, exploring, flat = (np.array(run.environment.episodes[0][1]) for run in runs)
    np.testing.assert_array_equal(greedy, again)
    assert (greedy != exploring).mean() > 0.8
    assert (greedy != flat).mean() > 0.8
