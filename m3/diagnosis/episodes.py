"""New episodes of a trained agent, as tokens."""

from contextlib import closing
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from m3.loading import LoadedAgent


class Episode(NamedTuple):
    """The first S steps of one episode.

    tokens: int64 (S + 1, K_m, C_m) per modality. actions: (S, A). rewards: float32 (S,). ends: bool (S,), true where
    the episode was terminated. total: the sum of these rewards.
    """

    tokens: dict[str, Tensor]
    actions: Tensor
    rewards: Tensor
    ends: Tensor

    @property
    def total(self) -> float:
        return float(self.rewards.sum())


def play(agent: LoadedAgent, seed: int, most_steps: int) -> Episode:
    """Play one episode, or its first ``most_steps`` steps."""
    with closing(agent.make_environment()) as environment:
        observations, actions = [environment.reset(seed)], list[np.ndarray]()
        rewards, ends = list[float](), list[bool]()
        agent.reset(seed)
        over = False
        while not over and len(actions) < most_steps:
            actions.append(agent.act(observations[-1]))
            step = environment.step(actions[-1])
            observations.append(step.observation)
            rewards.append(step.reward)
            ends.append(step.terminated)
            over = step.terminated or step.truncated
    device = agent.device
    raw = {name: torch.from_numpy(np.stack([o[name] for o in observations])).to(device) for name in observations[0]}
    with torch.no_grad():
        tokens = agent.networks.tokenizer.encode(raw)
    return Episode(
        tokens,
        torch.from_numpy(np.stack(actions)).to(device),
        torch.tensor(rewards, dtype=torch.float32, device=device),
        torch.tensor(ends, device=device),
    )
