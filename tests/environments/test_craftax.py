"""Craftax: what it shows against its own state, its ends, rewards and states."""

from pathlib import Path

import jax
import numpy as np
import pytest

from m3.config.simulators import CraftaxEnvironment
from m3.environments import craftax, make_environment
from m3.environments.craftax import Craftax

LEFT, RIGHT, UP, DOWN, PLACE_TABLE, NOOP = 1, 2, 3, 4, 8, 0
LIMIT = 100_000
"""The game's own limit of steps."""


@pytest.fixture(scope="module")
def environment():
    return make_environment(CraftaxEnvironment(family="craftax"), "Craftax-Symbolic-v1", "train")


def act(environment, action):
    return environment.step(np.array([action]))


def change(environment, **values):
    """Set entries of the game's state."""
    state = environment.get_state()
    for name, value in values.items():
        key = name.replace("__", ".")
        assert key in state["game"]
        state["game"][key] = np.full_like(state["game"][key], value)
    environment.set_state(state)


def test_tokens_show_the_map_around_the_player(environment):
    observation = environment.reset(seed=3)
    game = environment.get_state()["game"]
    row, column = game["player_position"]
    level = int(game["player_level"])
    window = np.s_[level, row - 4 : row + 5, column - 5 : column + 6]
    assert 5 <= row < 43
    assert 5 <= column < 42
    cells = observation["token_2d"].reshape(9, 11, 4)
    lit = game["light_map"][window] > 0.05
    np.testing.assert_array_equal(cells[..., 0][lit], game["map"][window][lit])
    np.testing.assert_array_equal(cells[..., 1][lit], game["item_map"][window][lit])
    np.testing.assert_array_equal(cells[..., 3], 20 * lit)
    assert lit.any()


def test_vector_and_direction_show_the_player(environment):
    environment.reset(seed=3)
    change(environment, inventory__wood=9, player_health=7, player_food=3)
    observations = [act(environment, action).observation for action in (LEFT, RIGHT, UP, DOWN)]
    assert [int(observation["token"][0]) for observation in observations] == [0, 1, 2, 3]
    np.testing.assert_allclose(observations[-1]["vector"][[0, 22, 23]], [0.3, 0.7, 0.3], rtol=1e-6)


def test_an_achievement_is_rewarded_once(environment):
    environment.reset(seed=3)
    grass = 2
    change(environment, map=grass, inventory__wood=99, achievements=False)
    act(environment, LEFT)
    assert act(environment, PLACE_TABLE).reward == pytest.approx(1)
    act(environment, RIGHT)
    assert act(environment, PLACE_TABLE).reward == pytest.approx(0)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (False, False)),
        ({"player_health": 0}, (True, False)),
        ({"timestep": LIMIT - 1}, (False, True)),
        ({"timestep": LIMIT - 2}, (False, False)),
        ({"timestep": LIMIT - 1, "player_health": 0}, (True, False)),
    ],
)
def test_death_terminates_and_the_limit_truncates(environment, changes, expected):
    environment.reset(seed=3)
    change(environment, **changes)
    step = act(environment, NOOP)
    assert (step.terminated, step.truncated) == expected


def test_the_last_observation_is_of_the_episode_that_ended(environment):
    environment.reset(seed=3)
    change(environment, player_health=0, inventory__wood=16)
    step = act(environment, NOOP)
    assert step.terminated
    assert step.observation["vector"][0] == pytest.approx(0.4)
    assert environment.reset()["vector"][0] == 0


def test_seeds_and_states_reproduce_play(assert_reproducible):
    assert_reproducible(lambda: Craftax(CraftaxEnvironment(family="craftax")), before=150, after=300)


def test_a_state_before_the_first_reset_can_be_restored():
    first, second = (Craftax(CraftaxEnvironment(family="craftax")) for _ in range(2))
    second.set_state(first.get_state())
    np.testing.assert_array_equal(first.reset()["token_2d"], second.reset()["token_2d"])


def test_both_mob_encodings_show_the_same_game():
    settings = [CraftaxEnvironment(family="craftax", mob_encoding=name) for name in ("explicit_none", "reference")]
    explicit, reference = (Craftax(one).reset(seed=7)["token_2d"] for one in settings)
    np.testing.assert_array_equal(np.where(explicit == 40, 0, explicit), reference)
    assert (explicit[:, 2] == 40).any()


def test_rendering_shows_map_and_inventory(environment):
    environment.reset(seed=3)
    picture = environment.render()
    assert (picture.shape, picture.dtype) == ((208, 176, 3), np.uint8)
    assert picture[:144].std() > 10


def test_compiled_programs_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert craftax._cache_folder() == tmp_path / "m3" / "jax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert craftax._cache_folder() == Path.home() / ".cache" / "m3" / "jax"
    assert jax.config.jax_compilation_cache_dir
