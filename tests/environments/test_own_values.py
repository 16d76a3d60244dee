"""The environment's own actions and observations: one mapping, exact in both directions."""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from m3.environments import Environment
from m3.environments.gymnasium_spaces import ObservationMap, action_map
from m3.environments.own_values import ScaledActions, agents_values
from m3.nn.actions import to_values
from m3.specs import ContinuousActions, DiscreteActions, ModalitySpec, ObservationSpec

CHOICES = to_values(torch.arange(51)).numpy()


def random_ranges(count: int) -> list[tuple[float, float]]:
    """Of many magnitudes, most far from symmetrical."""
    rng = np.random.default_rng(0)
    lows = rng.normal(size=count) * 10 ** rng.uniform(-3, 3, count)
    return list(zip(lows, lows + np.abs(lows) * 10 ** rng.uniform(-2, 1, count), strict=True))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_what_an_agent_chooses_comes_back_with_its_own_bits(dtype: Any, precision: Any) -> None:
    told_apart = 0
    for low, high in random_ranges(300):
        actions = ScaledActions(np.array([low], dtype), np.array([high], dtype), precision)
        own = actions(CHOICES[:, None])
        assert (own.dtype, own.shape) == (dtype, (51, 1))
        back = actions.inverse(own, CHOICES)
        assert back.dtype == np.float32
        np.testing.assert_array_equal(actions(back), own)  # the environment cannot tell them apart
        if len(np.unique(own)) == 51:
            np.testing.assert_array_equal(back, CHOICES[:, None])
            told_apart += 1
    assert told_apart > 200


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_other_actions_come_back_up_to_the_rounding_of_the_environments_type(dtype: Any) -> None:
    actions = ScaledActions(np.array([[-3, 0.5]], dtype), np.array([[1, 7]], dtype), np.float32)
    given = np.random.default_rng(0).uniform(-1, 1, (1000, 2)).astype(np.float32)
    own = actions(given)
    assert own.shape == (1000, 1, 2)
    np.testing.assert_allclose(actions.inverse(own, CHOICES), given, rtol=0, atol=3e-7)


def test_actions_outside_or_without_a_range_have_the_nearest_inside() -> None:
    actions = ScaledActions(np.float32([-2, 5]), np.float32([2, 5]), np.float32)
    back = actions.inverse(np.float32([[-9, 5], [9, 5]]), CHOICES)
    assert back[:, 0].tolist() == [-1, 1]
    assert np.isfinite(back).all()


@pytest.mark.parametrize(
    ("space", "given", "expected"),
    [
        (spaces.Discrete(3, start=-1), [[0], [2]], [-1, 1]),
        (spaces.MultiDiscrete([3, 4], start=[5, -2]), [[0, 0], [2, 3]], [[5, -2], [7, 1]]),
        (spaces.MultiDiscrete([[3, 4]], dtype=np.uint8), [[0, 0], [2, 3]], [[[0, 0]], [[2, 3]]]),
        (spaces.MultiBinary(2), [[0, 1], [1, 1]], [[0, 1], [1, 1]]),
        (spaces.Box(-2, 2, (1,), np.float32), [[-1.0], [1.0]], [[-2], [2]]),
        (spaces.Box(0, 10, (), np.float64), [[-1.0], [1.0]], [0, 10]),
    ],
    ids=str,
)
def test_batches_of_actions_are_the_spaces_own(space: Any, given: Any, expected: Any) -> None:
    actions = action_map(space)
    batch = np.array(given, actions.spec.dtype)
    own = actions(batch)
    assert own.dtype == space.dtype
    np.testing.assert_array_equal(own, expected)
    for one, alone in zip(own, batch, strict=True):
        assert space.contains(actions(alone))
        np.testing.assert_array_equal(one, actions(alone))
    np.testing.assert_array_equal(actions.inverse(own, CHOICES), batch)
    assert space.contains(actions.low[()])
    assert space.contains(actions.high[()])


def test_tokens_are_the_spaces_own_and_their_parts_are_named() -> None:
    space = spaces.Dict(
        {
            "position": spaces.Box(-5, 5, (2,), np.int16),
            "speed": spaces.Box(-1, 1, (2, 1), np.float64),
            "turn": spaces.Tuple([spaces.Discrete(3, start=-1), spaces.MultiBinary(1)]),
            "grid": spaces.MultiDiscrete([[3, 300], [2, 9]], start=[[1, -7], [0, 0]]),
        }
    )
    view = ObservationMap(space, image_size=8)
    space.seed(0)
    raw = [space.sample() for _ in range(50)]
    seen = [view(one) for one in raw]
    rows = {name: np.stack([one[name] for one in seen]) for name in view.spec.modalities}
    own = view.own(rows)
    expected = [np.hstack([one["position"], one["turn"][0], one["turn"][1]]) for one in raw]
    np.testing.assert_array_equal(own["token"], expected)
    np.testing.assert_array_equal(own["token_2d"], [one["grid"] for one in raw])
    assert (own["token"].dtype, own["token_2d"].dtype, own["vector"].dtype) == (np.int8, np.int16, np.float32)
    for name, (low, high) in view.own.bounds.items():
        assert low.dtype == high.dtype == own[name].dtype
    assert [bound.tolist() for bound in view.own.bounds["token"]] == [[-5, -5, -1, 0], [5, 5, 1, 1]]
    assert view.own.parts["token"] == ["position: int16 (2,)", "turn/0: int64 ()", "turn/1: int8 (1,)"]
    for name, values in view.own.inverse(own).items():
        np.testing.assert_array_equal(values, rows[name])


def test_an_environment_of_the_agents_values_changes_none() -> None:
    spec = ObservationSpec({"token": ModalitySpec((2,), "uint8", (5,)), "vector": ModalitySpec((3,), "float32")})
    rng = np.random.default_rng(0)
    own = agents_values(ContinuousActions(2), spec)
    given = np.concatenate([rng.uniform(-1, 1, (500, 2)).astype(np.float32), np.stack([CHOICES, CHOICES], 1)])
    np.testing.assert_array_equal(own.actions(given), given)
    np.testing.assert_array_equal(own.actions.inverse(given, CHOICES), given)
    assert agents_values(DiscreteActions((4,)), spec).actions(np.array([[3], [0]])).tolist() == [3, 0]
    assert agents_values(DiscreteActions((4, 2)), spec).actions(np.array([[3, 1]])).tolist() == [[3, 1]]
    tokens = rng.integers(5, size=(9, 2))
    np.testing.assert_array_equal(own.observations({"token": tokens, "vector": tokens})["token"], tokens)


def received(environment: Any, monkeypatch: pytest.MonkeyPatch, play: Callable[[], None]) -> list[Any]:
    """What an environment inside gets while something is played."""
    taken, step = [], environment.step
    monkeypatch.setattr(environment, "step", lambda action: taken.append(np.copy(action)) or step(action))
    play()
    return taken


@pytest.mark.parametrize(("family", "task"), [("gymnasium", "Pendulum-v1"), ("dmc", "cartpole-swingup")])
def test_own_actions_are_what_the_simulator_gets(
    family: str, task: str, make: Callable[..., Environment], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = make(family, task)
    environment.reset(seed=0)
    own = environment.own.actions(CHOICES[:, None])
    inside = environment._env.unwrapped if family == "gymnasium" else environment._env  # type: ignore[attr-defined]
    taken = received(inside, monkeypatch, lambda: [environment.step(one) for one in CHOICES[:, None]] and None)
    np.testing.assert_array_equal(np.array(taken)[:: len(taken) // 51], own)
    assert np.array(taken).dtype == own.dtype
    assert (own.min(), own.max()) == ((-2, 2) if family == "gymnasium" else (-1, 1))
    np.testing.assert_array_equal(environment.own.actions.inverse(own, CHOICES), CHOICES[:, None])


def test_the_parts_of_a_control_tasks_vector_are_named(make: Callable[..., Environment]) -> None:
    own = make("dmc", "cartpole-swingup").own.observations
    assert own.parts == {"vector": ["position: float64 (3,)", "velocity: float64 (2,)"]}
    assert own.bounds == {}


def test_actions_of_a_game_are_plain_numbers(make: Callable[..., Environment]) -> None:
    environment = make("gymnasium", "CartPole-v1")
    assert environment.own.actions(np.array([[0], [1]])).tolist() == [0, 1]
    assert isinstance(environment.own.actions(np.array([1])), np.int64)
    assert gymnasium.make("CartPole-v1").action_space.contains(environment.own.actions(np.array([1])))
