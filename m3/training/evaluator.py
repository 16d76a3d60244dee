"""Scores: whole episodes in test environments."""

import logging
from collections.abc import Generator
from typing import NamedTuple

import numpy as np
import torch

from m3.agent.agent import Agent
from m3.agent.policy import Policy
from m3.environments import VectorEnvironment
from m3.seeding import Randomness, derive, randomness
from m3.specs import Observation

MOST_STEPS = 100_000
"""Of an episode: one that has not ended by then is cut off. Every benchmark's own limits are far below."""

_logger = logging.getLogger(__name__)


class EpisodeStatistics(NamedTuple):
    """Undiscounted returns float64 (episodes,) and lengths in agent steps int64 (episodes,), in order."""

    returns: np.ndarray
    lengths: np.ndarray


def play_episodes(
    agent: Agent, environments: VectorEnvironment, episodes: int, temperature: float, seed: int, device: torch.device
) -> Generator[None, None, EpisodeStatistics]:
    """Play ``episodes`` episodes, as many side by side as there are environments, yielding after each.

    Every round is played to the end of all its episodes before the next starts, so that short episodes are not
    over-represented. Episode i is reset with a seed derived from ``seed`` and i, and each round acts with its own
    random stream.

    Args:
        agent: in evaluation mode.
    """
    policy = Policy(agent, temperature)
    returns, lengths = np.zeros(episodes), np.zeros(episodes, dtype=np.int64)
    for first in range(0, episodes, len(environments)):
        count = min(len(environments), episodes - first)
        random = randomness(device, seed, "round", first)
        seeds = [derive(seed, "episode", first + i) for i in range(count)]
        part = _play_round(policy, environments, seeds, random)
        returns[first : first + count], lengths[first : first + count] = part
        yield from (None for _ in range(count))
    return EpisodeStatistics(returns, lengths)


def _play_round(
    policy: Policy, environments: VectorEnvironment, seeds: list[int], random: Randomness
) -> EpisodeStatistics:
    """Play one episode in each of the first ``len(seeds)`` environments.

    The policy acts for all of them until the last is over, so that its batches keep their shape; what it would do in
    those that are over, nobody asks.
    """
    playing = np.arange(len(seeds))
    returns, lengths = np.zeros(len(seeds)), np.zeros(len(seeds), dtype=np.int64)
    observation: Observation = environments.reset(playing.tolist(), seeds)
    state = policy.initial_state(len(seeds))
    while len(playing):
        actions, state = policy.act(observation, state, random)
        step = environments.step(playing.tolist(), actions[playing])
        returns[playing] += step.rewards
        lengths[playing] += 1
        for name, latest in step.observation.items():
            observation[name][playing] = latest
        playing = playing[~(step.terminated | step.truncated)]
        if len(playing) and lengths[playing[0]] >= MOST_STEPS:
            _logger.warning(
                "%d episodes have not ended after %d steps and are cut off: give the environment a time limit "
                "(max_episode_steps where it is registered)",
                len(playing),
                MOST_STEPS,
            )
            break
    return EpisodeStatistics(returns, lengths)
