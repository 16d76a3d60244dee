"""Gymnasium spaces as modalities and actions, and custom environments by their id."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from m3.environments.gymnasium_spaces import ObservationMap, action_map
from m3.errors import UserError
from m3.specs import ContinuousActions, DiscreteActions, ModalitySpec


def pixels(*shape):
    return spaces.Box(0, 255, shape, np.uint8)


class Everything(gymnasium.Env):
    """Every kind of space at once; the episode's numbers follow from its seed and actions."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - Gymnasium's way
    observation_space = spaces.Dict(
        {
            "camera": pixels(32, 32, 3),
            "inner": spaces.Tuple([spaces.Discrete(5, start=-2), spaces.Box(-1, 1, (2, 3), np.float64)]),
            "map": spaces.MultiDiscrete([[3, 300]] * 4),
            "radar": pixels(16, 16, 1),
        }
    )
    action_space = spaces.Box(np.array([-3.0, 0.0]), np.array([1.0, 10.0]), dtype=np.float64)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.received = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._observe(), {}

    def step(self, action):
        self.received.append(action)
        self.steps += 1
        return self._observe(), np.float32(action.sum()), self.steps == 7, False, {}

    def render(self):
        return np.full((50, 60, 3), self.steps, np.uint8)

    def _observe(self):
        random = self.np_random
        return {
            "camera": random.integers(256, size=(32, 32, 3), dtype=np.uint8),
            "inner": (random.integers(-2, 3), random.uniform(-1, 1, (2, 3))),
            "map": random.integers([[3, 300]] * 4),
            "radar": random.integers(256, size=(16, 16, 1), dtype=np.uint8),
        }


@pytest.fixture
def everything():
    """The id of a registered custom environment."""
    gymnasium.register("Everything-v0", Everything, max_episode_steps=20)
    yield "Everything-v0"
    del gymnasium.registry["Everything-v0"]


def test_a_custom_environment_runs_by_its_id(everything, make, assert_matches_spec):
    environment = make("gymnasium", everything)
    assert dict(environment.observation_spec.modalities) == {
        "image": ModalitySpec((6, 64, 64), "uint8"),
        "vector": ModalitySpec((6,), "float32"),
        "token": ModalitySpec((1,), "uint8", (5,)),
        "token_2d": ModalitySpec((4, 2), "int32", (3, 300)),
    }
    assert environment.action_spec == ContinuousActions(2)
    assert_matches_spec(environment, 30)


def test_states_are_reached_again_by_playing(everything, make, assert_reproducible):
    assert_reproducible(lambda: make("gymnasium", everything), before=10, after=20)
    assert_reproducible(lambda: make("gymnasium", "CartPole-v1"), before=40, after=60)


def test_rendering_starts_in_the_middle_of_an_episode_without_disturbing_it(everything, make, random_actions):
    seen, unseen = make("gymnasium", everything), make("gymnasium", everything)
    seen.reset(seed=2)
    unseen.reset(seed=2)
    for count, action in enumerate(random_actions(seen, 6), start=1):
        step, expected = seen.step(action), unseen.step(action)
        np.testing.assert_array_equal(step.observation["vector"], expected.observation["vector"])
        np.testing.assert_array_equal(seen.render(), np.full((50, 60, 3), count))


def test_an_environment_draws_what_is_seen_and_names_its_actions(make, monkeypatch):
    seen = []

    def draw_observation(self, observation):
        seen.append(observation)
        return np.full((8, 8, 3), 7, np.uint8)

    plain = make("gymnasium", "CartPole-v1")
    assert plain.draw(plain.reset(seed=0)) is None
    assert plain.action_names == ()
    monkeypatch.setattr(type(plain._env.unwrapped), "draw_observation", draw_observation, raising=False)
    monkeypatch.setattr(type(plain._env.unwrapped), "action_names", ("left", "right"), raising=False)
    environment = make("gymnasium", "CartPole-v1")
    observation = environment.reset(seed=0)
    assert (environment.draw(observation) == 7).all()
    assert seen == [observation]
    assert environment.action_names == ("left", "right")


def test_a_simulator_that_cannot_draw_here_is_said_in_one_line(everything, make, monkeypatch):
    def fail(self):
        raise RuntimeError("no OpenGL")

    monkeypatch.setattr(Everything, "render", fail)
    environment = make("gymnasium", everything)
    environment.reset(seed=0)
    with pytest.raises(UserError, match="cannot be rendered here: RuntimeError: no OpenGL"):
        environment.render()


def test_ends_and_limits_are_the_environments_own(make):
    """CartPole falls under a constant action; Pendulum only ever reaches its limit of 200 steps."""
    cart_pole, pendulum = make("gymnasium", "CartPole-v1"), make("gymnasium", "Pendulum-v1")
    cart_pole.reset(seed=0)
    pendulum.reset(seed=0)
    fall = next(step for step in iter(lambda: cart_pole.step(np.array([1])), None) if step.terminated)
    assert not fall.truncated
    swings = [pendulum.step(np.zeros(1, np.float32)) for _ in range(200)]
    assert not any(step.terminated for step in swings)
    assert [step.truncated for step in swings] == [False] * 199 + [True]


@pytest.mark.parametrize(
    ("space", "modality", "spec", "raw", "expected"),
    [
        (spaces.Discrete(4), "token", ModalitySpec((1,), "uint8", (4,)), np.int64(3), [3]),
        (spaces.Discrete(4, start=-1), "token", ModalitySpec((1,), "uint8", (4,)), np.int64(-1), [0]),
        (spaces.MultiDiscrete([3, 300]), "token", ModalitySpec((2,), "int32", (300,)), np.array([2, 299]), [2, 299]),
        (
            spaces.MultiDiscrete([3, 3], start=[5, 0]),
            "token",
            ModalitySpec((2,), "uint8", (3,)),
            np.array([6, 2]),
            [1, 2],
        ),
        (
            spaces.MultiDiscrete([[3, 9], [5, 2]]),
            "token_2d",
            ModalitySpec((2, 2), "uint8", (5, 9)),
            np.array([[2, 8], [4, 1]]),
            [[2, 8], [4, 1]],
        ),
        (spaces.MultiBinary(3), "token", ModalitySpec((3,), "uint8", (2,)), np.array([1, 0, 1]), [1, 0, 1]),
        (
            spaces.MultiBinary([1, 2]),
            "token_2d",
            ModalitySpec((1, 2), "uint8", (2, 2)),
            np.array([[0, 1]]),
            [[0, 1]],
        ),
        (spaces.Box(-5, 5, (2,), np.int16), "token", ModalitySpec((2,), "uint8", (11,)), np.array([-5, 5]), [0, 10]),
        (pixels(2), "token", ModalitySpec((2,), "uint8", (256,)), np.array([0, 255]), [0, 255]),
        (spaces.Box(-np.inf, np.inf, ()), "vector", ModalitySpec((1,), "float32"), np.float32(0.5), [0.5]),
        (
            spaces.Box(-1, 1, (2, 2), np.float64),
            "vector",
            ModalitySpec((4,), "float32"),
            np.array([[1.0, 2], [3, 4]]),
            [1, 2, 3, 4],
        ),
        (
            spaces.Tuple([spaces.Discrete(2), spaces.Dict({"a": spaces.Discrete(9), "b": spaces.Box(0, 1, (1,))})]),
            "token",
            ModalitySpec((2,), "uint8", (9,)),
            (1, {"a": 8, "b": np.zeros(1)}),
            [1, 8],
        ),
    ],
    ids=str,
)
def test_spaces_become_modalities(space, modality, spec, raw, expected):
    mapped = ObservationMap(space, image_size=8)
    assert mapped.spec.modalities[modality] == spec
    array = mapped(raw)[modality]
    assert array.dtype.name == spec.dtype
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("shape", [(8, 8, 3), (3, 8, 8), (8, 8, 1)])
def test_images_get_their_channels_first(shape):
    image = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    mapped = ObservationMap(pixels(*shape), image_size=8)
    channels_first = image if shape[0] == 3 else image.transpose(2, 0, 1)
    expected = np.broadcast_to(channels_first, (3, 8, 8))
    np.testing.assert_array_equal(mapped(image)["image"], expected)


def test_images_are_resized_and_stacked():
    mapped = ObservationMap(spaces.Tuple([pixels(40, 60, 3), pixels(8, 8, 1)]), image_size=16)
    image = mapped((np.full((40, 60, 3), [10, 20, 30], np.uint8), np.full((8, 8, 1), 40, np.uint8)))["image"]
    assert (image.shape, image.dtype) == ((6, 16, 16), np.uint8)
    assert [int(value) for value in image.mean(axis=(1, 2))] == [10, 20, 30, 40, 40, 40]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Text(5), "Text"),
        (spaces.Dict({"view": spaces.Dict({"words": spaces.Sequence(spaces.Discrete(3))})}), "Sequence.*at view/words"),
        (pixels(4, 84, 84), r"\(H, W, 3\)"),
        (pixels(21, 79), r"MultiDiscrete \(N cells, C columns\)"),
        (spaces.Box(-(2**31), 2**31 - 1, (2,), np.int32), "too many"),
        (spaces.Tuple([spaces.MultiDiscrete([[2, 2]]), spaces.MultiDiscrete([[2, 2, 2]])]), "number of columns"),
    ],
)
def test_unsupported_observations_are_named(space, message):
    with pytest.raises(UserError, match=f"unsupported observation space.*{message}"):
        ObservationMap(space, image_size=8)


@pytest.mark.parametrize(
    ("space", "spec", "action", "expected"),
    [
        (spaces.Discrete(3), DiscreteActions((3,)), [2], 2),
        (spaces.Discrete(3, start=10), DiscreteActions((3,)), [2], 12),
        (spaces.MultiDiscrete([3, 4]), DiscreteActions((3, 4)), [2, 3], [2, 3]),
        (spaces.MultiDiscrete([[3, 4]]), DiscreteActions((3, 4)), [2, 3], [[2, 3]]),
        (spaces.MultiBinary(2), DiscreteActions((2, 2)), [0, 1], [0, 1]),
        (spaces.Box(-2, 6, (1, 2)), ContinuousActions(2), [-1.0, 0.5], [[-2.0, 4.0]]),
    ],
    ids=str,
)
def test_actions_reach_the_environment_as_it_expects_them(space, spec, action, expected):
    mapped = action_map(space)
    assert mapped.spec == spec
    given = mapped(np.array(action, spec.dtype))
    assert space.contains(given)
    np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize(
    "space",
    [spaces.Box(-1, np.inf, (2,)), spaces.Box(0, 9, (2,), np.int64), spaces.Dict({"a": spaces.Discrete(2)})],
    ids=str,
)
def test_unsupported_actions_are_named(space):
    with pytest.raises(UserError, match=rf"unsupported action space {type(space).__name__}"):
        action_map(space)


def test_an_environment_with_an_unsupported_space_names_its_task(make):
    gymnasium.register("Wordy-v0", type("Wordy", (Everything,), {"observation_space": spaces.Text(3)}))
    with pytest.raises(UserError, match="Wordy-v0: unsupported observation space Text"):
        make("gymnasium", "Wordy-v0")
    del gymnasium.registry["Wordy-v0"]


def test_an_environment_whose_packages_are_missing_is_no_crash(make):
    gymnasium.register("Broken-v0", "package_that_is_not_there:Game")
    with pytest.raises(UserError, match=r"'Broken-v0' cannot be made.*package_that_is_not_there"):
        make("gymnasium", "Broken-v0")
    del gymnasium.registry["Broken-v0"]


def test_an_id_unlike_any_other_lists_only_some(make):
    with pytest.raises(UserError, match=r"in all\)") as caught:
        make("gymnasium", "Zzzzzzzzz-v0")
    assert len(str(caught.value)) < 3000
