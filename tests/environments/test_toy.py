"""The toy environments do what tests elsewhere rely on."""

import numpy as np
import pytest

from m3.environments import toy

CONTINUOUS_TARGETS = [-0.75, -0.25, 0.25, 0.75]


def episode_ends(environment, episodes):
    """(length, terminated, truncated) of each episode."""
    ends = []
    environment.reset(seed=0)
    for _ in range(episodes):
        length, step = 0, None
        while step is None or not (step.terminated or step.truncated):
            step = environment.step(np.array([0]))
            length += 1
        ends.append((length, step.terminated, step.truncated))
        environment.reset()
    return ends


@pytest.mark.parametrize(("task", "terminated"), [("terminating", True), ("truncating", False)])
def test_episodes_end_at_known_lengths(task, terminated, make):
    ends = episode_ends(make("toy", task), 6)
    assert ends == [(length, terminated, not terminated) for length in (3, 1, 5, 2, 3, 1)]


@pytest.mark.parametrize("task", toy.tasks())
def test_every_toy_keeps_its_promises(task, make, assert_matches_spec, assert_reproducible):
    assert_matches_spec(make("toy", task), 30)
    assert_reproducible(lambda: make("toy", task), before=13, after=20)


def test_the_cue_is_rewarded_and_moved_by_the_action(make):
    environment = make("toy", "mixed")
    cue = int(environment.reset(seed=5)["token"][0])
    for _ in range(9):
        step = environment.step(np.array([cue]))
        assert step.reward == 1
        cue = (2 * cue + 1) % 4
        assert step.observation["token"][0] == cue
        np.testing.assert_array_equal(step.observation["token_2d"][:, 0], np.arange(4) == cue)
    assert environment.step(np.array([(cue + 1) % 4])).reward == 0


def test_each_dimension_of_an_action_counts(make):
    discrete = make("toy", "multi_discrete")
    cue = int(discrete.reset(seed=1)["token"][0])
    assert discrete.step(np.array([cue, (cue + 1) % 3])).reward == 0.5
    continuous = make("toy", "vector")
    x, y = np.rint(continuous.reset(seed=1)["vector"][:2]).astype(int)
    target = CONTINUOUS_TARGETS[[(1, 0), (0, 1), (-1, 0), (0, -1)].index((x, y))]
    assert continuous.step(np.array([target, target], np.float32)).reward == 1


def test_the_image_shows_the_cue(make):
    environment = make("toy", "all_modalities")
    observation = environment.reset(seed=2)
    row, column = divmod(int(observation["token"][0]), 2)
    quadrants = observation["image"].reshape(3, 2, 8, 2, 8)
    assert (quadrants[:, row, :, column] == 255).all()
    assert (observation["image"] == 255).mean() == 0.25
    np.testing.assert_array_equal(environment.render(), observation["image"].transpose(1, 2, 0))
