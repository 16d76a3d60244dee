"""What the tests of all environments share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from m3.config.simulators import (
    AtariEnvironment,
    CraftaxEnvironment,
    DmcEnvironment,
    GymnasiumEnvironment,
    ToyEnvironment,
)
from m3.environments import Environment, Step, make_environment
from m3.specs import ContinuousActions

SETTINGS = {
    "atari": AtariEnvironment(family="atari"),
    "dmc": DmcEnvironment(family="dmc"),
    "craftax": CraftaxEnvironment(family="craftax"),
    "gymnasium": GymnasiumEnvironment(family="gymnasium"),
    "toy": ToyEnvironment(family="toy"),
}


@pytest.fixture
def make() -> Callable[..., Environment]:
    """Make an environment with a family's default settings."""

    def make_default(family: str, task: str, mode: Any = "train") -> Environment:
        return make_environment(SETTINGS[family], task, mode)

    return make_default


@pytest.fixture
def random_actions() -> Callable[..., np.ndarray]:
    """Draw actions (count, A) that an environment accepts."""

    def draw(environment: Environment, count: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        spec = environment.action_spec
        if isinstance(spec, ContinuousActions):
            return rng.uniform(-1, 1, (count, *spec.shape)).astype(np.float32)
        return rng.integers(spec.sizes, size=(count, *spec.shape))

    return draw


def play(environment: Environment, actions: np.ndarray) -> list[Step]:
    """Act, resetting without a seed where an episode ends; the resets' observations follow their step."""
    steps = []
    for action in actions:
        steps.append(environment.step(action))
        if steps[-1].terminated or steps[-1].truncated:
            steps.append(Step(environment.reset(), 0.0, False, False))
    return steps


def assert_equal_steps(first: list[Step], second: list[Step]) -> None:
    """Every number is the same, bit for bit."""
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one[1:] == other[1:]
        assert one.observation.keys() == other.observation.keys()
        for name, array in one.observation.items():
            np.testing.assert_array_equal(array, other.observation[name])


@pytest.fixture
def assert_reproducible(random_actions: Callable[..., np.ndarray]) -> Callable[..., None]:
    """Same seed, same episode; and a state taken midway continues identically here and in a fresh environment."""

    def check(make_one: Callable[[], Environment], before: int, after: int) -> None:
        first, second = make_one(), make_one()
        actions = random_actions(first, before + after)
        for name, array in first.reset(seed=11).items():
            np.testing.assert_array_equal(array, second.reset(seed=11)[name])
        assert_equal_steps(play(first, actions[:before]), play(second, actions[:before]))
        state = first.get_state()
        expected = play(first, actions[before:])
        assert_equal_steps(expected, play(second, actions[before:]))
        first.set_state(state)
        assert_equal_steps(expected, play(first, actions[before:]))
        fresh = make_one()
        fresh.set_state(state)
        np.testing.assert_equal(fresh.get_state(), state)
        assert_equal_steps(expected, play(fresh, actions[before:]))
        for environment in (first, second, fresh):
            environment.close()

    return check


@pytest.fixture
def assert_matches_spec(random_actions: Callable[..., np.ndarray]) -> Callable[..., None]:
    """Observations have the shapes, types and ranges that the environment announces."""

    def check(environment: Environment, steps: int) -> None:
        observations = [environment.reset(seed=3)]
        observations += [step.observation for step in play(environment, random_actions(environment, steps))]
        for observation in observations:
            assert list(observation) == list(environment.observation_spec.modalities)
            for name, spec in environment.observation_spec.modalities.items():
                array = observation[name]
                assert (array.shape, array.dtype.name) == (spec.shape, spec.dtype)
                if spec.vocabularies:
                    assert (array < np.array(spec.vocabularies)).all()
                assert np.isfinite(array).all()

    return check
