import numpy as np
import pytest
from craftax.craftax.constants import Action

from m3.specs import ContinuousActions, DiscreteActions
from m3.watch.keyboard import Keyboard

ATARI = ("noop", "fire", "up", "right", "upright", "uprightfire")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [([], 0), (["space"], 1), (["up"], 2), (["up", "right"], 4), (["right", "space", "up"], 5), (["q"], 0)],
)
def test_arrows_and_space_combine(keys: list[str], expected: int) -> None:
    keyboard = Keyboard(DiscreteActions((6,)), ATARI)
    np.testing.assert_array_equal(keyboard.action(keys), [expected])


def test_the_nearest_action_is_taken_where_a_combination_does_not_exist() -> None:
    keyboard = Keyboard(DiscreteActions((3,)), ("noop", "fire", "right"))
    assert keyboard.action(["right", "up"])[0] == 2


def test_craftax_has_its_own_keys_and_all_are_different() -> None:
    names = tuple(action.name.lower().replace("_", " ") for action in Action)
    keyboard = Keyboard(DiscreteActions((len(names),)), names)
    assert len(keyboard._keys) == len(names)
    assert names[keyboard.action(["t"])[0]] == "place table"
    assert names[keyboard.action(["left"])[0]] == "left"
    assert names[keyboard.action([])[0]] == "noop"


def test_forward_is_up() -> None:
    keyboard = Keyboard(DiscreteActions((3,)), ("turn left", "turn right", "forward"))
    assert [keyboard.action([key])[0] for key in ("left", "right", "up")] == [0, 1, 2]


def test_actions_without_names_have_keys_in_order() -> None:
    keyboard = Keyboard(DiscreteActions((2,)), ())
    assert [keyboard.action([key])[0] for key in ("1", "2")] == [0, 1]
    assert keyboard.help() == "1: action 0, 2: action 1; Escape ends"


def test_pairs_of_keys_move_continuous_dimensions() -> None:
    keyboard = Keyboard(ContinuousActions(3), ())
    np.testing.assert_array_equal(keyboard.action(["right", "down", "d"]), np.float32([1, -1, 1]))
    np.testing.assert_array_equal(keyboard.action(["left", "right"]), np.zeros(3, np.float32))
    assert keyboard.action([]).dtype == np.float32
