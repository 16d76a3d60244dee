"""Environments side by side."""

import numpy as np
import pytest

from m3.config.simulators import ToyEnvironment
from m3.environments import SerialEnvironments, make_environment

SETTINGS = ToyEnvironment(family="toy")


@pytest.fixture
def vector():
    with SerialEnvironments(lambda: make_environment(SETTINGS, "terminating", "test"), 3) as environments:
        yield environments


def test_the_named_environments_and_no_others_move(vector):
    singles = [make_environment(SETTINGS, "terminating", "test") for _ in range(3)]
    batch = vector.reset([0, 1, 2], [7, 8, 9])
    for index, single in enumerate(singles):
        np.testing.assert_array_equal(batch["vector"][index], single.reset(seed=7 + index)["vector"])
    vector.step([2, 0], np.array([[1], [2]]))
    step = vector.step([2], np.array([[3]]))
    singles[2].step(np.array([1]))
    expected = singles[2].step(np.array([3]))
    np.testing.assert_array_equal(step.observation["vector"], expected.observation["vector"][None])
    assert step.rewards.tolist() == [expected.reward]
    before = vector.step([1], np.array([[0]])).observation["vector"]
    np.testing.assert_array_equal(before[0], singles[1].step(np.array([0])).observation["vector"])


def test_every_environment_is_played_to_its_own_end(vector):
    """The second episode of this toy has one step and the first three: they end at different times, without reset."""
    vector.reset([0, 1, 2], [0, 0, 0])
    vector.reset([1], [None])
    lengths, playing = np.zeros(3, int), [0, 1, 2]
    while playing:
        step = vector.step(playing, np.zeros((len(playing), 1), np.int64))
        assert step.rewards.shape == step.terminated.shape == (len(playing),)
        assert not step.truncated.any()
        lengths[playing] += 1
        playing = [index for index, over in zip(playing, step.terminated, strict=True) if not over]
    assert lengths.tolist() == [3, 1, 3]


def test_specs_are_the_environments_own(vector):
    single = make_environment(SETTINGS, "terminating", "test")
    assert len(vector) == 3
    assert vector.observation_spec == single.observation_spec
    assert vector.action_spec == single.action_spec
    assert vector.frames_per_step == single.frames_per_step


def test_indices_seeds_and_actions_must_match(vector):
    with pytest.raises(ValueError, match="shorter"):
        vector.reset([0, 1], [1])
    with pytest.raises(ValueError, match="shorter"):
        vector.step([0, 1], np.zeros((1, 1), np.int64))


class Closable:
    """Counts how often it was closed; may fail to."""

    observation_spec = action_spec = None
    frames_per_step = 1

    def __init__(self, fails=False):
        self.closed, self.fails = 0, fails

    def close(self):
        self.closed += 1
        if self.fails:
            raise OSError("cannot close")


def test_all_are_closed_once_even_if_one_fails():
    made = [Closable(), Closable(fails=True), Closable()]
    remaining = iter(made)
    vector = SerialEnvironments(lambda: next(remaining), 3)
    with pytest.raises(OSError, match="cannot close"):
        vector.close()
    vector.close()
    assert [environment.closed for environment in made] == [1, 1, 1]


def test_what_was_made_is_closed_when_making_fails():
    made = []

    def make():
        if len(made) == 2:
            raise OSError("no more")
        made.append(Closable())
        return made[-1]

    with pytest.raises(OSError, match="no more"):
        SerialEnvironments(make, 3)
    assert [environment.closed for environment in made] == [1, 1]
