"""Environments as people bring them, each with one habit: what M3 makes of it, or says about it."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from toy_runs import toy_settings

from m3.config.simulators import GymnasiumEnvironment
from m3.environments import Environment, make_environment
from m3.environments.gymnasium_spaces import ObservationMap
from m3.errors import UserError
from m3.runs.requirements import refuse_batches_without_data
from m3.training import evaluator

NAME = "Habit-v0"


class Habit(gymnasium.Env):
    """Ten steps in which nothing happens; tests change what they are about."""

    observation_space: spaces.Space[Any] = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - Gymnasium's way

    def __init__(self) -> None:  # without render_mode, as many are
        self.steps = 0

    def observe(self) -> Any:
        return np.zeros(2, np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.observe(), 1.0, self.steps == 10, False, {}


@pytest.fixture
def bring() -> Iterator[Callable[..., Environment]]:
    """Register an environment and make it."""
    names = [NAME]

    def register(kind: type[gymnasium.Env], name: str = NAME, **settings: Any) -> Environment:
        names.append(name)
        gymnasium.register(name, kind)
        return make_environment(GymnasiumEnvironment(family="gymnasium", **settings), name, "train")

    yield register
    for name in names:
        gymnasium.registry.pop(name, None)


def observing(space: spaces.Space[Any], value: Any) -> type[Habit]:
    class Odd(Habit):
        observation_space = space

        def observe(self) -> Any:
            return value

    return Odd


OUTSIDE = [
    (spaces.Discrete(256), 300, r"the token observation has the value 300, outside its space of 0 to 255", 255),
    (spaces.Discrete(256), -1, r"has the value -1, outside its space of 0 to 255", 0),
    (spaces.Discrete(5, start=-2), 3, r"has the value 3, outside its space of -2 to 2", 4),
    (spaces.MultiDiscrete([3, 5]), np.array([2, 5]), r"has the value 5, outside its space of 0 to 4", 4),
    (spaces.Box(0, 9, (2,), np.int32), np.array([0, 10]), r"has the value 10, outside its space of 0 to 9", 9),
    (spaces.MultiBinary(2), np.array([0, 2]), r"has the value 2, outside its space of 0 to 1", 1),
]


@pytest.mark.parametrize(("space", "value", "message", "nearest"), OUTSIDE)
def test_a_token_outside_its_space_stops_or_is_clipped_as_the_user_says(
    bring: Callable[..., Environment], space: spaces.Space[Any], value: Any, message: str, nearest: int
) -> None:
    with pytest.raises(UserError, match=message):
        bring(observing(space, value)).reset(seed=0)
    clipped = bring(observing(space, value), "Clipped-v0", outside="clip").reset(seed=0)
    assert clipped["token"].flat[-1] == nearest


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("outside", ["stop", "clip"])
def test_what_is_not_finite_stops_with_modality_and_value(
    bring: Callable[..., Environment], bad: float, outside: str
) -> None:
    space = spaces.Dict({"inner": spaces.Tuple([spaces.Box(-1, 1, (2,), np.float64)])})
    environment = bring(observing(space, {"inner": (np.array([0.5, bad]),)}), outside=outside)
    with pytest.raises(UserError, match=rf"the vector observation\['inner'\]\[0\] has the value {bad}"):
        environment.reset(seed=0)


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (spaces.Box(-1, 1, (2,), np.float32), np.zeros(3)),
        (spaces.Box(-1, 1, (2,), np.float32), "text"),
        (spaces.Box(-1, 1, (2,), np.float32), None),
        (spaces.Box(0, 255, (4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)),
        (spaces.Dict({"a": spaces.Discrete(2)}), {"b": 1}),
        (spaces.Dict({"a": spaces.Discrete(2)}), 3),
        (spaces.Discrete(2), np.zeros(2, np.int64)),
    ],
)
def test_an_observation_of_another_shape_is_told(
    bring: Callable[..., Environment], space: spaces.Space[Any], value: Any
) -> None:
    with pytest.raises(UserError, match=r"observation(\['a'\])? is "):
        bring(observing(space, value)).reset(seed=0)


def test_pictures_of_floats_are_refused() -> None:
    with pytest.raises(UserError, match=r"12288 floats are as many tokens .* an image is uint8: convert it"):
        ObservationMap(spaces.Box(0, 1, (64, 64, 3), np.float32), 64)


def test_constructors_need_no_render_mode_and_say_what_fails(bring: Callable[..., Environment]) -> None:
    bring(Habit).reset(seed=0)

    class Failing(Habit):
        def __init__(self) -> None:
            gymnasium.make("Nobody-v7")

    class Raising(Habit):
        def __init__(self) -> None:
            raise KeyError("data file")

    with pytest.raises(UserError, match=r"'Failing-v0' cannot be made: .*Nobody"):
        bring(Failing, "Failing-v0")
    with pytest.raises(UserError, match="'Raising-v0' cannot be made: KeyError: 'data file'"):
        bring(Raising, "Raising-v0")


def test_ids_with_namespace_and_module(bring: Callable[..., Environment]) -> None:
    bring(Habit, "space/Habit-v0").reset(seed=0)
    settings = GymnasiumEnvironment(family="gymnasium")
    make_environment(settings, "gymnasium.envs:CartPole-v1", "test").reset(seed=0)


def test_an_environment_that_ignores_its_seed_is_found_out(bring: Callable[..., Environment]) -> None:
    class Random(Habit):
        def observe(self) -> Any:
            return np.random.uniform(-1, 1, 2).astype(np.float32)  # noqa: NPY002 - the habit

    environment = bring(Random)
    environment.reset(seed=0)
    environment.step(np.array([0]))
    with pytest.raises(UserError, match="does not come to the same observation from the same seed and actions"):
        environment.set_state(environment.get_state())


def test_a_simulator_that_raises_ends_the_episode_where_the_user_says_so(
    bring: Callable[..., Environment], caplog: pytest.LogCaptureFixture
) -> None:
    class Fragile(Habit):
        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            if self.steps == 3:
                raise ZeroDivisionError("unstable")
            return super().step(action)

    fails, goes_on = bring(Fragile), bring(Fragile, "Fragile-v0", when_it_fails="truncate")
    for environment in (fails, goes_on):
        environment.reset(seed=0)
        for _ in range(3):
            environment.step(np.array([0]))
    with pytest.raises(ZeroDivisionError):
        fails.step(np.array([0]))
    with caplog.at_level(logging.WARNING):
        step = goes_on.step(np.array([0]))
    assert (step.reward, step.terminated, step.truncated) == (0.0, False, True)
    assert "Fragile-v0 fails, and the episode is truncated: ZeroDivisionError: unstable" in caplog.text
    goes_on.reset()


def test_an_environment_file_replaces_no_module_and_finds_those_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "json.py").write_text("raise SystemExit")
    with pytest.raises(UserError, match=r"json\.py has the name of the installed module json .*rename it"):
        make_environment(GymnasiumEnvironment(family="gymnasium", file=str(tmp_path / "json.py")), "A-v0", "test")
    (tmp_path / "the_module_beside_it.py").write_text("ID = 'Beside-v0'\n")
    (tmp_path / "the_environment_file.py").write_text(
        "import gymnasium\nfrom the_module_beside_it import ID\n"
        "gymnasium.register(ID, 'gymnasium.envs.classic_control:CartPoleEnv')\n"
    )
    file = str(tmp_path / "the_environment_file.py")
    make_environment(GymnasiumEnvironment(family="gymnasium", file=file), "Beside-v0", "test").close()


def test_an_evaluation_without_end_has_one(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    from functools import partial

    import torch
    from toy_runs import toy_agent

    from m3.environments import SerialEnvironments, Step
    from m3.environments.toy import Toy
    from m3.runs.progress import finish

    def endless(self: Toy, action: np.ndarray, step: Callable = Toy.step) -> Step:
        return step(self, action)._replace(terminated=False, truncated=False)

    monkeypatch.setattr(evaluator, "MOST_STEPS", 30)
    monkeypatch.setattr(Toy, "step", endless)
    settings = toy_settings("vector")
    make = partial(make_environment, settings.environment, "vector", "test")
    work = evaluator.play_episodes(
        toy_agent("vector").eval(), SerialEnvironments(make, 2), 3, 0.5, 0, torch.device("cpu")
    )
    assert finish(work, "", 3).lengths.tolist() == [30, 30, 30]
    assert "have not ended after 30 steps and are cut off: give the environment a time limit" in caplog.text


def test_batches_larger_than_all_the_data_are_refused_beforehand() -> None:
    settings = toy_settings("vector")
    refuse_batches_without_data(settings)
    schedule = {"start_after_epoch": 1, "steps_per_epoch": 2, "batch_size": 84}
    with pytest.raises(UserError, match=r"world_model.schedule.batch_size is 84, and the whole run collects 80 steps"):
        refuse_batches_without_data(toy_settings("vector", world_model={"schedule": schedule}))
    late = toy_settings("vector", world_model={"schedule": schedule | {"start_after_epoch": 4}})
    refuse_batches_without_data(late)
