"""Games of Craftax stepped together are each the game that is stepped alone."""

import numpy as np
import pytest

from m3.config.simulators import CraftaxEnvironment
from m3.environments import make_environment, make_environments
from m3.environments.craftax import compiled_game
from m3.environments.craftax_batch import CraftaxBatch
from m3.environments.vector import VectorEnvironment
from m3.errors import UserError

SETTINGS = CraftaxEnvironment(family="craftax")
TASK = "Craftax-Symbolic-v1"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def games() -> VectorEnvironment:
    return make_environments(SETTINGS, TASK, "test", 2, workers=2)


def test_every_game_is_the_game_alone(games: VectorEnvironment) -> None:
    """Also where one of them rests, where one starts anew, and where one ends."""
    assert isinstance(games, CraftaxBatch)
    alone = [make_environment(SETTINGS, TASK, "test") for _ in range(2)]
    rng = np.random.default_rng(0)
    observations = games.reset([0, 1], [3, 4])
    expected = [single.reset(3 + index) for index, single in enumerate(alone)]
    ends = 0
    for step in range(400):
        for name, array in observations.items():
            np.testing.assert_array_equal(array, np.stack([observation[name] for observation in expected]), strict=True)
        playing = [0, 1] if step % 5 else [step % 2]
        if step == 50:
            observations, expected = games.reset([1], [None]), [alone[1].reset()]
            continue
        actions = rng.integers(games.action_spec.sizes, size=(len(playing), 1))
        found = games.step(playing, actions)
        steps = [alone[index].step(action) for index, action in zip(playing, actions, strict=True)]
        assert found.rewards.tolist() == [single.reward for single in steps]
        assert found.terminated.tolist() == [single.terminated for single in steps]
        assert found.truncated.tolist() == [single.truncated for single in steps]
        observations, expected = found.observation, [single.observation for single in steps]
        over = [index for index, single in zip(playing, steps, strict=True) if single.terminated or single.truncated]
        if over:
            ends += len(over)
            observations = games.reset(over, [step] * len(over))
            expected = [alone[index].reset(step) for index in over]
    assert ends


def test_no_setting_compiles_the_game_again(games: VectorEnvironment) -> None:
    game = compiled_game()
    other = CraftaxEnvironment(family="craftax", mob_encoding="reference")
    assert (games.observation_spec.modalities["token_2d"].vocabularies[2], len(games)) == (41, 2)
    batch = make_environments(other, TASK, "train", 2)
    assert batch.observation_spec.modalities["token_2d"].vocabularies[2] == 40
    compiled = game.step_some._cache_size()
    batch.reset([0, 1], [0, 1])
    batch.step([1], np.zeros((1, 1), np.int64))
    make_environment(other, TASK, "train").reset(0)
    assert compiled_game() is game
    assert game.step_some._cache_size() == compiled == 1


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(UserError, match="Craftax-Symbolic-v1"):
        make_environments(SETTINGS, "Craftax-Symbolic-v2", "test", 2)
