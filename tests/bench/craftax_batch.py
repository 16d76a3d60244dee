"""Time a step of eight Craftax games, one by one and as one compiled batch.

PYTHONPATH=. python tests/bench/craftax_batch.py
"""

from collections.abc import Callable
from time import process_time

import numpy as np

from m3.config.simulators import CraftaxEnvironment
from m3.environments import make_environment, make_environments

TASK = "Craftax-Symbolic-v1"
GAMES = 8
STEPS = 60


def milliseconds(step: Callable[[np.ndarray], object]) -> float:
    """Processor time per step of a game with random actions, after one step that compiles."""
    actions = np.random.default_rng(0).integers(0, 43, (STEPS + 1, GAMES, 1))
    step(actions[0])
    began = process_time()
    for chosen in actions[1:]:
        step(chosen)
    return 1000 * (process_time() - began) / (GAMES * STEPS)


def main() -> None:
    settings = CraftaxEnvironment(family="craftax")
    alone = [make_environment(settings, TASK, "test") for _ in range(GAMES)]
    for seed, game in enumerate(alone):
        game.reset(seed)
    together = make_environments(settings, TASK, "test", GAMES, workers=1)
    every = list(range(GAMES))
    together.reset(every, every)
    one_by_one = milliseconds(lambda chosen: [game.step(action) for game, action in zip(alone, chosen, strict=True)])
    print(f"one by one: {one_by_one:.2f} ms per step of a game")
    print(f"together: {milliseconds(lambda chosen: together.step(every, chosen)):.2f} ms")


if __name__ == "__main__":
    main()
