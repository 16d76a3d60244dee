"""How long dreams stay true: python examples/dream_fidelity.py RUN... prints a CSV, one row per run and dreamt step.

The agent of each run plays new episodes. From every step of them its world model dreams on with the actions that were
really taken, and the dream is compared with what really happened:

- tokens: share of observation tokens that are the real ones;
- unchanged: the same share for a dream in which nothing ever changes;
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
from m3.world_model.imagination import Imagination

EPISODES = 20
HEADER = "benchmark,task,seed,dreamt_step,dreams,tokens,unchanged,reward_error,reward_spread,ends,false_ends"
MOST_STEPS = 200
"""Of an episode."""


class Episode(NamedTuple):
    """Steps of one episode; observations are tokens, modality -> (steps + 1, K, C)."""

    observations: dict[str, torch.Tensor]
    actions: torch.Tensor
    rewards: np.ndarray
    ends: np.ndarray


def play(agent: LoadedAgent, seed: int) -> Episode:
    environment = agent.make_environment()
    observations, actions, rewards, ends = [environment.reset(seed)], [], [], []
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
    return Episode(tokens, torch.from_numpy(np.stack(actions)), np.array(rewards), np.array(ends))


@torch.no_grad()
def compare(agent: LoadedAgent, episode: Episode) -> list[tuple[int, float, float, float, float, bool, bool]]:
    """Dreams from every step: dreamt step, tokens, unchanged, reward, dreamt reward, end, dreamt end."""
    context, length = agent.settings.sequences.context_length, agent.settings.sequences.length
    generator = torch.Generator().manual_seed(0)
    imagination = Imagination(agent.networks.world_model, agent.networks.tokenizer.codebooks, generator)
    rows = []
    for first in range(len(episode.actions) - context + 1):
        now = first + context - 1
        start = {name: tokens[None, first : now + 1] for name, tokens in episode.observations.items()}
        state = imagination.start(start, episode.actions[None, first:now])
        for t in range(now, min(first + length, len(episode.actions))):
            dreamt, state = imagination.step(state, episode.actions[None, t])
            right = share(episode.observations, t + 1, {name: o[0] for name, o in state.observation.items()})
            same = share(episode.observations, t + 1, {name: o[now] for name, o in episode.observations.items()})
            real = (float(episode.rewards[t]), float(dreamt.reward[0]), bool(episode.ends[t]), bool(dreamt.end[0]))
            rows.append((t - now + 1, right, same, *real))
    return rows


def share(observations: dict[str, torch.Tensor], step: int, others: dict[str, torch.Tensor]) -> float:
    """Share of the tokens of a step that others have, too."""
    return float(torch.cat([(o[step] == others[name]).flatten() for name, o in observations.items()]).float().mean())


def main(runs: list[str]) -> None:
    print(HEADER)
    for run in runs:
        agent = m3.load(Path(run))
        settings = agent.settings
        rows = np.array([row for seed in range(EPISODES) for row in compare(agent, play(agent, 10_000 + seed))], float)
        for step in range(1, int(rows[:, 0].max()) + 1):
            of_step = rows[rows[:, 0] == step]
            names = (settings.benchmark, settings.task, settings.seed, step, len(of_step))
            print(",".join([*map(str, names), *(f"{number:.4f}" for number in summary(of_step))]))


def summary(rows: np.ndarray) -> tuple[float, ...]:
    """The last six columns."""
    _, tokens, unchanged, reward, dreamt, end, dreamt_end = rows.T
    ended = end == 1
    return (
        tokens.mean(),
        unchanged.mean(),
        np.abs(dreamt - reward).mean(),
        np.abs(reward - reward.mean()).mean(),
        dreamt_end[ended].mean() if ended.any() else np.nan,
        dreamt_end[~ended].mean(),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
