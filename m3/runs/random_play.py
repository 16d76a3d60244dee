"""What random play returns in an environment, which counts as 0 in normalised scores."""

from contextlib import closing

import numpy as np

from m3.config.simulators import EnvironmentSettings
from m3.environments import make_environment
from m3.seeding import derive
from m3.specs import ActionSpec, DiscreteActions


def random_returns(settings: EnvironmentSettings, task: str, episodes: int, seed: int) -> np.ndarray:
    """Play episodes in test mode by uniformly random actions; return their returns, float64 (episodes,)."""
    rng = np.random.default_rng(derive(seed, "random play"))
    returns = np.zeros(episodes)
    with closing(make_environment(settings, task, "test")) as environment:
        for episode in range(episodes):
            environment.reset(derive(seed, "random play", episode) % 2**31)
            ended = False
            while not ended:
                step = environment.step(_random_action(environment.action_spec, rng))
                returns[episode] += step.reward
                ended = step.terminated or step.truncated
    return returns


def _random_action(spec: ActionSpec, rng: np.random.Generator) -> np.ndarray:
    if isinstance(spec, DiscreteActions):
        return rng.integers(np.array(spec.sizes))
    return rng.uniform(-1, 1, spec.shape).astype(np.float32)
