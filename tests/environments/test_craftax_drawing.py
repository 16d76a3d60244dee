"""The symbols drawn are what the game draws."""

import numpy as np

from m3.config.simulators import CraftaxEnvironment
from m3.environments import make_environment
from m3.environments.craftax_encoding import MOBS

TASK = "Craftax-Symbolic-v1"
MAP = slice(0, 9 * 16)


def test_the_map_is_the_games_own_picture() -> None:
    environment = make_environment(CraftaxEnvironment(family="craftax"), TASK, "test")
    observation = environment.reset(seed=1)
    for action in (1, 1, 4, 5, 2, 3):
        observation = environment.step(np.array([action])).observation
    drawn, rendered = environment.draw(observation)[MAP].astype(int), environment.render()[MAP].astype(int)
    assert np.abs(drawn - rendered).mean() < 6  # the game tints the evening
    assert np.abs(drawn - rendered).mean() < np.abs(drawn - np.roll(rendered, 16, axis=1)).mean() / 5


def test_made_up_symbols_can_be_drawn_and_show_what_they_say() -> None:
    environment = make_environment(CraftaxEnvironment(family="craftax"), TASK, "test")
    observation = {
        "vector": np.zeros(47, np.float32),
        "token": np.zeros(1, np.uint8),
        "token_2d": np.tile(np.array([2, 0, MOBS, 20], np.uint8), (99, 1)),
    }
    observation["vector"][39] = 1  # daylight
    plain = environment.draw(observation).astype(int)
    assert (plain[MAP][:16, :16].mean((0, 1)).argmax()) == 1  # grass is green
    assert not plain[144:].any()  # nothing is carried

    observation["token_2d"][1, 2] = 15  # a type of passive mobs that no texture has
    observation["token_2d"][2, 3] = 0  # darkness
    observation["vector"][0] = np.sqrt(7) / 10  # seven pieces of wood
    changed = environment.draw(observation).astype(int)
    different = (changed != plain).any(-1)
    assert different[:16, 16:32].any()
    assert not changed[:16, 32:48].any()
    assert changed[144:160, :16].any()
    assert not different[16:144].any()
