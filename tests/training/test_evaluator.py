"""Scores of environments whose episodes end in different ways at different times."""

import numpy as np
import pytest
import torch
from toy_runs import decisive_agent

from m3.config.simulators import ToyEnvironment
from m3.environments import SerialEnvironments, Step
from m3.environments.toy import Toy
from m3.runs.progress import finish
from m3.specs import Observation
from m3.training.evaluator import EpisodeStatistics, play_episodes

CPU = torch.device("cpu")


class Uneven(Toy):
    """An episode of 1 to 6 steps, drawn from its seed, that ends by truncation where the length is even."""

    def __init__(self) -> None:
        super().__init__(ToyEnvironment(family="toy"), "terminating")
        self.over = True

    def reset(self, seed: int | None = None) -> Observation:
        assert seed is not None
        self.length = int(np.random.default_rng(seed).integers(1, 7))
        self.over = False
        return super().reset(seed)

    def step(self, action: np.ndarray) -> Step:
        assert not self.over, "an episode that has ended is not stepped"
        step = super().step(action)
        self.over = self._steps == self.length
        return step._replace(
            terminated=self.over and self.length % 2 == 1, truncated=self.over and self.length % 2 == 0
        )


class Counting(Uneven):
    """Rewards 1, 2, 4, 8, ...: a return tells its steps."""

    def step(self, action: np.ndarray) -> Step:
        return super().step(action)._replace(reward=2.0 ** (self._steps - 1))


def scores(
    make: type[Toy], episodes: int, environments: int, seed: int = 0, temperature: float = 1.0
) -> EpisodeStatistics:
    agent = decisive_agent("terminating")
    vector = SerialEnvironments(make, environments)
    return finish(play_episodes(agent, vector, episodes, temperature, seed, CPU), "evaluate", episodes)


@pytest.mark.parametrize(("episodes", "environments"), [(12, 4), (7, 3), (2, 5), (9, 1)])
def test_returns_and_lengths_stop_at_each_episodes_own_end(episodes: int, environments: int) -> None:
    found = scores(Counting, episodes, environments)
    assert found.lengths.shape == (episodes,)
    assert ((found.lengths >= 1) & (found.lengths <= 6)).all()
    np.testing.assert_array_equal(found.returns, 2.0**found.lengths - 1)


def test_episodes_are_the_same_however_many_run_side_by_side() -> None:
    """Acting greedily, also the recurrent states of those still playing stay their own."""
    alone, together = (scores(Uneven, 12, environments, temperature=1e-6) for environments in (1, 4))
    np.testing.assert_array_equal(alone.lengths, together.lengths)
    np.testing.assert_array_equal(alone.returns, together.returns)
    assert len(set(alone.lengths)) > 2


def test_the_seed_decides_the_scores() -> None:
    first, again, other = (scores(Uneven, 12, 4, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.returns, again.returns)
    np.testing.assert_array_equal(first.lengths, again.lengths)
    assert (first.lengths != other.lengths).any()


def test_episodes_of_one_evaluation_differ() -> None:
    assert len(set(scores(Uneven, 20, 1).lengths)) > 3


def test_the_temperature_decides_how_the_agent_acts() -> None:
    greedy, random = (scores(Uneven, 12, 4, temperature=temperature) for temperature in (1e-6, 1e6))
    np.testing.assert_array_equal(greedy.lengths, random.lengths)
    assert (greedy.returns != random.returns).any()
