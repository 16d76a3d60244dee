"""Environments as people bring them, each with one habit: what M3 makes of it, or says about it."""

import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from toy_runs import toy_settings

from m3.config.experiment import Tracking
from m3.config.simulators import DmcEnvironment, GymnasiumEnvironment
from m3.environments import Environment, make_environment
from m3.environments.gymnasium_spaces import ObservationMap, action_map
from m3.errors import UserError
from m3.runs.requirements import refuse_batches_without_data
from m3.runs.tracking import make_tracker
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
    for shape in ((64, 64, 3), (3, 32, 32), (16, 8, 1)):
        with pytest.raises(
            UserError, match=r"a picture of floats would be \d+ tokens; wrap the .*TransformObservation"
        ):
            ObservationMap(spaces.Box(0, 1, shape, np.float32), 64)
    ObservationMap(spaces.Box(0, 1, (3, 4, 5), np.float32), 64)  # a vector
    with pytest.raises(UserError, match="5000 floats are as many tokens, at most 4096"):
        ObservationMap(spaces.Box(0, 1, (5000,), np.float32), 64)


def test_the_advice_for_pictures_of_floats_works() -> None:
    class Floats(Habit):
        observation_space = spaces.Box(0, 1, (64, 64, 3), np.float32)

        def observe(self) -> Any:
            return np.ones((64, 64, 3), np.float32)

    with pytest.raises(UserError) as caught:
        ObservationMap(Floats.observation_space, 64)
    advice = str(caught.value).rpartition("from 0 to 1: ")[2]
    env = eval(advice, {"gymnasium": gymnasium, "np": np, "env": Floats()})
    view = ObservationMap(env.observation_space, 64)
    assert (view(env.reset()[0])["image"] == 255).all()


@pytest.mark.parametrize("space", [spaces.Box(0, 1, (0,), np.float32), spaces.Box(0, 255, (0, 8, 3), np.uint8)])
def test_spaces_without_entries_are_refused(space: spaces.Space[Any]) -> None:
    with pytest.raises(UserError, match="it has no entries"):
        ObservationMap(space, 64)


@pytest.mark.parametrize(
    "space", [spaces.Discrete(10**9), spaces.MultiDiscrete([100] * 2000), spaces.Box(-1, 1, (0,), np.float32)]
)
def test_spaces_of_too_many_actions_or_none_are_refused(space: spaces.Space[Any]) -> None:
    with pytest.raises(UserError, match=r"actions, of 1 to 65536 possible"):
        action_map(space)


STEPS: list[tuple[tuple[Any, ...], str]] = [
    ((None, False, False), "reward None"),
    ((float("nan"), False, False), "reward nan"),
    ((float("inf"), False, False), "reward inf"),
    ((1e300, False, False), r"reward 1e\+300"),
    ((1j, False, False), "reward 1j"),
    (("x", False, False), "reward 'x'"),
    ((np.ones(2), False, False), r"reward \[1.0, 1.0\]"),
    ((1.0, None, False), "terminated None"),
    ((1.0, False, np.ones(2, bool)), r"truncated \[True, True\]"),
]


@pytest.mark.parametrize(("given", "told"), STEPS, ids=[told for _, told in STEPS])
def test_a_step_gives_numbers(bring: Callable[..., Environment], given: tuple[Any, ...], told: str) -> None:
    class Odd(Habit):
        def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
            return (self.observe(), *given, {})

    environment = bring(Odd)
    environment.reset(seed=0)
    with pytest.raises(UserError, match=f"a step gives {told}, which is no finite number"):
        environment.step(np.array([0]))


def test_whole_numbers_stay_whole(bring: Callable[..., Environment]) -> None:
    for space, value in (
        (spaces.Discrete(9), 1.5),
        (spaces.Box(0, 255, (4, 4, 3), np.uint8), np.full((4, 4, 3), 0.5)),
    ):
        with pytest.raises(UserError, match=r"has the value \d.5, where its space has whole numbers"):
            bring(observing(space, value)).reset(seed=0)


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
    told = r"fails in a step: ZeroDivisionError: unstable \(test_habits.py, line \d+\)"
    with pytest.raises(UserError, match=f"Habit-v0 {told}"):
        fails.step(np.array([0]))
    with caplog.at_level(logging.WARNING):
        step = goes_on.step(np.array([0]))
    assert (step.reward, step.terminated, step.truncated) == (0.0, False, True)
    assert re.search(f"Fragile-v0 {told}; the episode is truncated", caplog.text)
    goes_on.reset()


def test_what_is_raised_around_steps_is_told(
    bring: Callable[..., Environment], caplog: pytest.LogCaptureFixture
) -> None:
    class NoSeed(Habit):
        def reset(self) -> Any:  # type: ignore[override]
            return self.observe(), {}

    class Exits(Habit):
        def __init__(self) -> None:
            sys.exit("no licence")

    class Unclosable(Habit):
        def close(self) -> None:
            raise RuntimeError("busy")

    with pytest.raises(UserError, match=r"fails in its reset: TypeError: .*unexpected keyword argument 'seed'"):
        bring(NoSeed).reset(seed=0)
    with pytest.raises(UserError, match="'Exits-v0' cannot be made: SystemExit: no licence"):
        bring(Exits, "Exits-v0")
    bring(Unclosable).close()
    assert "Habit-v0 cannot be closed: RuntimeError: busy" in caplog.text


def test_a_simulator_that_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise RuntimeError("invalid value for environment variable MUJOCO_GL: banana")

    monkeypatch.setenv("MUJOCO_GL", "banana")
    monkeypatch.setattr("importlib.import_module", refuse)
    with pytest.raises(UserError, match=r"dmc environments cannot be loaded here: invalid .*\(here MUJOCO_GL=banana\)"):
        make_environment(DmcEnvironment(family="dmc"), "cartpole-swingup", "test")


def test_wandb_without_a_key_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class UsageError(Exception):
        pass

    def init(**_: Any) -> None:
        raise UsageError("api_key not configured (no-tty)\ncall wandb.login")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    with pytest.raises(UserError, match=r"Weights & Biases cannot be started: api_key not .* set WANDB_API_KEY"):
        make_tracker(Tracking(tool="wandb"), tmp_path, toy_settings("vector"))


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
