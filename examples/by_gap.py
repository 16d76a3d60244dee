"""How agents of the lava gap do, by where the gap is: python examples/by_gap.py RUN... prints a CSV, one row per run.

The agent starts in the top left corner, and the wall of lava is the middle column of the room's three.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

import m3
from m3.diagnosis.episodes import play

EPISODES, STEPS = 60, 100
"""How many, and the most steps of each."""
LAVA, SIDE = 9, 3
"""MiniGrid's number of lava, and cells of the room's side."""
GAPS = ("top", "middle", "bottom")


def main() -> None:
    print("variant,seed," + ",".join(GAPS))
    for folder in sys.argv[1:]:
        agent = m3.load(Path(folder))
        returns = defaultdict(list)
        for seed in range(EPISODES):
            played = play(agent, seed, STEPS)
            returns[gap(played.observations["token_2d"][0])].append(played.rewards.sum(dtype=np.float64))
        means = ",".join(f"{np.mean(returns[name]):.2f}" for name in GAPS)
        print(f"{agent.settings.variant},{agent.settings.seed},{means}", flush=True)


def gap(cells: np.ndarray) -> str:
    """Where the gap is, in the cells (9, 3) of an observation, column by column."""
    wall = cells[:, 0].reshape(SIDE, SIDE)[1]
    return GAPS[int(np.flatnonzero(wall != LAVA)[0])]


if __name__ == "__main__":
    main()
