"""How long dreams stay true: python examples/dream_fidelity.py RUN... prints a CSV, one row per run and dreamt step.

The agent of each run plays new episodes. From every step of them its world model dreams on with the actions that were
really taken, and the dream is compared with what really happened:

- error: share of tokens that are not the real ones; of vectors, how many of the quantiser's bins they are off;
- far_off: share of a vector's numbers that are off by more than five bins; 0 without vectors;
- unchanged: the same error of a dream in which nothing ever changes;
- reward_error: mean absolute error of the predicted reward, and reward_spread, that of always predicting the mean;
- ends, false_ends: share of the real ends that were dreamt, and of the other steps at which an end was dreamt.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import m3
from m3.loading import LoadedAgent
from m3.specs import Modality
from m3.world_model.imagination import Imagination

EPISODES = 10
HEADER = "benchmark,task,seed,dreamt_step,dreams,error,far_off,unchanged,reward_error,reward_spread,ends,false_ends"
MOST_STEPS = 100
"""Of an episode."""
FAR = 5
"""Bins of the vectors' quantiser."""


class Episode(NamedTuple):
    """Steps of one episode; observations are tokens, modality -> (steps + 1, K, C)."""

    observations: dict[str, torch.Tensor]
    actions: torch.Tensor
    rewards: torch.Tensor
    ends: torch.Tensor


def play(agent: LoadedAgent, seed: int) -> Episode:
    environment = agent.make_environment()
    observations, actions = [environment.reset(seed)], list[np.ndarray]()
    rewards, ends = list[float](), list[bool]()
    agent.reset(seed)
    over = False
    while not over and len(actions) < MOST_STEPS:
        actions.append(agent.act(observations[-1]))
        step = environment.step(actions[-1])
        observations.append(step.observation)
        rewards.append(step.reward)
        ends.append(step.terminated)
        over = step.terminated or step.truncated
    environment.close()
    raw = {name: torch.from_numpy(np.stack([o[name] for o in observations])) for name in observations[0]}
    tokens = agent.networks.tokenizer.encode(raw)
    return Episode(tokens, torch.from_numpy(np.stack(actions)), torch.tensor(rewards), torch.tensor(ends))


@torch.no_grad()
def compare(agent: LoadedAgent, episode: Episode) -> np.ndarray:
    """Dreams from every step: dreamt step, error, far off, unchanged, reward, dreamt reward, end, dreamt end."""
    context, length = agent.settings.sequences.context_length, agent.settings.sequences.length
    imagination = Imagination(
        agent.networks.world_model, agent.networks.tokenizer.codebooks, torch.Generator().manual_seed(0)
    )
    steps = len(episode.actions)
    now = torch.arange(context - 1, steps)  # the steps from which dreams begin
    before = now[:, None] + torch.arange(1 - context, 1)
    begun = {name: tokens[before] for name, tokens in episode.observations.items()}
    state = imagination.start(begun, episode.actions[before[:, :-1]])
    rows = []
    for dreamt_step in range(1, length + 1):
        real = (now + dreamt_step - 1).clamp(max=steps - 1)  # dreams beyond the episode's end are left out below
        dreamt, state = imagination.step(state, episode.actions[real])
        following = {name: tokens[real + 1] for name, tokens in episode.observations.items()}
        columns = (
            torch.full(now.shape, dreamt_step),
            difference(following, state.observation),
            far_off(following, state.observation),
            difference(following, {name: tokens[:, -1] for name, tokens in begun.items()}),
            *(episode.rewards[real], dreamt.reward, episode.ends[real], dreamt.end),
        )
        rows.append(torch.stack([column.double() for column in columns], dim=1)[now + dreamt_step <= steps])
    return torch.cat(rows).numpy()


def difference(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean over tokens, for each of a batch of observations: bins in between for vectors, 0 or 1 for others."""
    parts = [(some[name] - others[name]).abs().flatten(1) for name in some if name == Modality.VECTOR]
    parts += [(some[name] != others[name]).flatten(1) for name in some if name != Modality.VECTOR]
    return torch.cat(parts, dim=1).double().mean(dim=1)


def far_off(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> torch.Tensor:
    """Share of a vector's numbers that are off by more than ``FAR`` bins, for each of a batch of observations."""
    if Modality.VECTOR not in some:
        return torch.zeros(len(next(iter(some.values()))))
    bins = (some[Modality.VECTOR] - others[Modality.VECTOR]).abs().flatten(1)
    return (bins > FAR).double().mean(dim=1)


def main(runs: list[str]) -> None:
    print(HEADER)
    for run in runs:
        agent = m3.load(Path(run))
        settings = agent.settings
        rows = np.concatenate([compare(agent, play(agent, 10_000 + seed)) for seed in range(EPISODES)])
        for step in range(1, int(rows[:, 0].max()) + 1):
            of_step = rows[rows[:, 0] == step]
            names = (settings.benchmark, settings.task, settings.seed, step, len(of_step))
            print(",".join([*map(str, names), *(f"{number:.4f}" for number in summary(of_step))]))


def summary(rows: np.ndarray) -> tuple[float, ...]:
    """The last seven columns."""
    _, error, wild, unchanged, reward, dreamt, end, dreamt_end = rows.T
    ended = end == 1
    return (
        error.mean(),
        wild.mean(),
        unchanged.mean(),
        np.abs(dreamt - reward).mean(),
        np.abs(reward - reward.mean()).mean(),
        dreamt_end[ended].mean() if ended.any() else np.nan,
        dreamt_end[~ended].mean(),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
