"""New episodes of a trained agent, raw and as tokens."""

from contextlib import closing
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from m3.nn.host import upload
from m3.runs.loading import LoadedAgent

_ENCODED_AT_ONCE = 256
"""Observations."""


class Played(NamedTuple):
    """The first S steps of one episode.

    observations: raw, (S + 1, *shape) per modality. actions: (S, A). rewards: float32 (S,). terminations: bool
    (S,), true where the episode was terminated.
    """

    observations: dict[str, np.ndarray]
    actions: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray


class Episode(NamedTuple):
    """The same as tensors, with observations as tokens, int64 (S + 1, K_m, C_m) per modality."""

    tokens: dict[str, Tensor]
    actions: Tensor
    rewards: Tensor
    terminations: Tensor


def play(agent: LoadedAgent, seed: int, most_steps: int) -> Played:
    """Play one episode, or its first ``most_steps`` steps, with the rewards and terminations world models learn."""
    with closing(agent.make_environment("train")) as environment:
        observations, actions = [environment.reset(seed)], list[np.ndarray]()
        rewards, terminations = list[float](), list[bool]()
        agent.reset(seed)
        over = False
        while not over and len(actions) < most_steps:
            actions.append(agent.act(observations[-1]))
            step = environment.step(actions[-1])
            observations.append(step.observation)
            rewards.append(step.reward)
            terminations.append(step.terminated)
            over = step.terminated or step.truncated
    return Played(
        {name: np.stack([observation[name] for observation in observations]) for name in observations[0]},
        np.stack(actions),
        np.array(rewards, np.float32),
        np.array(terminations),
    )


@torch.no_grad()
def to_tokens(agent: LoadedAgent, played: Played) -> Episode:
    """Turn an episode into what the agent's networks take."""
    observations, *columns = played
    encode = agent.networks.tokenizer.encode
    tokens = {
        name: torch.cat([encode({name: part})[name] for part in upload(raw, agent.device).split(_ENCODED_AT_ONCE)])
        for name, raw in observations.items()
    }
    actions, rewards, terminations = (upload(column, agent.device) for column in columns)
    return Episode(tokens, actions, rewards, terminations)
