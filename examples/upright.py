"""How agents of cartpole-swingup spend an episode: python examples/upright.py RUN... prints a CSV, one row per run.

- upright: share of the time at which the pole is within 26 degrees of upright;
- speed: median speed of the pole then, radians per second;
- longest: most seconds on end that it stays there;
- spin: median speed of the pole over the whole episode.
"""

import sys
from itertools import groupby
from pathlib import Path

import numpy as np

import m3
from m3.diagnosis.episodes import play

EPISODES, STEPS = 10, 500
"""How many, and the steps of each."""
COSINE, SPEED = 1, 4
"""Where the pole's are in an observation."""
UPRIGHT = 0.9
"""Cosine of 26 degrees."""
SECONDS = 0.02
"""Of a step: two of the simulation."""


def main() -> None:
    print("benchmark,variant,seed,return,upright,speed,longest,spin")
    for folder in sys.argv[1:]:
        agent = m3.load(Path(folder))
        played = [play(agent, seed, STEPS) for seed in range(EPISODES)]
        episodes = [episode.observations["vector"][1:] for episode in played]
        returns = [episode.rewards.sum(dtype=np.float64) for episode in played]
        upright = [episode[:, COSINE] > UPRIGHT for episode in episodes]
        longest = max(sum(1 for _ in stay) for flags in upright for up, stay in groupby(flags) if up)
        speeds, up = np.abs(np.concatenate(episodes)[:, SPEED]), np.concatenate(upright)
        settings = agent.settings
        print(
            f"{settings.benchmark},{settings.variant},{settings.seed},{np.mean(returns):.0f},{up.mean():.3f},"
            f"{np.median(speeds[up]):.1f},{longest * SECONDS:.2f},{np.median(speeds):.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
