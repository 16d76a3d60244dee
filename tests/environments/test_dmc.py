"""DeepMind Control against the suite itself and against scripted episodes."""

from pathlib import Path

import dm_env
import numpy as np
import pytest
import yaml
from components import missing
from dm_env import specs

from m3.config.simulators import DmcEnvironment
from m3.environments import dmc, make_environment, mujoco_rendering
from m3.errors import UserError

BENCHMARK = Path(__file__).parents[2] / "config" / "benchmarks" / "dmc500k.yaml"
TASKS = yaml.safe_load(BENCHMARK.read_text())["tasks"]


class ScriptedTask:
    """Stands in for the suite's environment: actions in [-2, 6], reward k in simulation step k, ending when told."""

    def __init__(self, end: int | None) -> None:
        self.end = end
        self.actions: list[np.ndarray] = []

    def action_spec(self):
        return specs.BoundedArray((2,), np.float64, minimum=[-2.0, 0.0], maximum=[6.0, 1.0])

    def reset(self):
        self.actions.clear()
        return dm_env.restart(self._observation())

    def step(self, action):
        self.actions.append(action)
        count = len(self.actions)
        if count == self.end:
            return dm_env.termination(float(count), self._observation())
        return dm_env.transition(float(count), self._observation())

    def _observation(self):
        count = len(self.actions)
        return {"z_first": np.array([[count, 2.0]]), "a_second": 0.5, "m_third": np.array([3.0])}


@pytest.fixture
def scripted(monkeypatch):
    """Make an environment that plays a scripted episode."""

    def make(repeat=2, end=None, mode="train", **settings):
        task = ScriptedTask(end)
        monkeypatch.setattr(dmc.suite, "load", lambda *args, **kwargs: task)
        return make_environment(
            DmcEnvironment(family="dmc", action_repeat=repeat, **settings), "walker-walk", mode
        ), task

    return make


def test_actions_are_scaled_and_repeated_and_rewards_summed(scripted):
    environment, task = scripted()
    environment.reset()
    step = environment.step(np.array([-1.0, 0.5], np.float32))
    np.testing.assert_array_equal(task.actions, [[-2.0, 0.75]] * 2)
    assert step.reward == 1 + 2
    step = environment.step(np.array([0.5, 1.0], np.float32))
    np.testing.assert_array_equal(task.actions[2:], [[4.0, 1.0]] * 2)
    assert step.reward == 3 + 4
    assert environment.frames_per_step == 2


def test_observations_are_flattened_in_the_suites_order(scripted):
    environment, _ = scripted()
    np.testing.assert_array_equal(environment.reset()["vector"], np.float32([0, 2, 0.5, 3]))
    assert environment.observation_spec.modalities["vector"].shape == (4,)


@pytest.mark.parametrize(("repeat", "steps", "last_reward"), [(2, 500, 999 + 1000), (3, 334, 1000)])
def test_episodes_are_truncated_after_1000_simulation_steps(scripted, repeat, steps, last_reward):
    environment, task = scripted(repeat)
    for _ in range(2):
        environment.reset()
        results = [environment.step(np.zeros(2)) for _ in range(steps)]
        assert not any(result.terminated for result in results)
        assert [result.truncated for result in results] == [False] * (steps - 1) + [True]
        assert len(task.actions) == 1000
        assert results[-1].reward == last_reward


@pytest.mark.parametrize(("mode", "steps"), [("train", 50), ("test", 500)])
def test_only_training_episodes_may_be_shorter(scripted, mode, steps):
    environment, task = scripted(mode=mode, train_step_limit=99)
    for _ in range(2):
        environment.reset()
        assert [environment.step(np.zeros(2)).truncated for _ in range(steps)] == [False] * (steps - 1) + [True]
    assert len(task.actions) == (99 if mode == "train" else 1000)


@pytest.mark.parametrize(("end", "steps", "last_reward"), [(3, 2, 3), (1000, 500, 999 + 1000)])
def test_a_task_that_ends_by_itself_terminates_inside_the_repeat(scripted, end, steps, last_reward):
    environment, _ = scripted(end=end)
    environment.reset()
    results = [environment.step(np.zeros(2)) for _ in range(steps)]
    assert [result.terminated for result in results] == [False] * (steps - 1) + [True]
    assert not any(result.truncated for result in results)
    assert results[-1].reward == last_reward


@pytest.mark.parametrize("task", ["cheetah-run", "hopper-hop"])
def test_episodes_equal_the_suites_own(task, make, random_actions):
    environment = make("dmc", task)
    raw = dmc.suite.load(*task.split("-"))
    raw.task.random.seed(np.random.SeedSequence(4).generate_state(4))
    result = raw.reset()
    observation = environment.reset(seed=4)
    for action in random_actions(environment, 500):
        np.testing.assert_array_equal(
            observation["vector"],
            np.hstack([np.ravel(part) for part in result.observation.values()]).astype(np.float32),
        )
        step = environment.step(action)
        rewards = []
        for _ in range(2):
            result = raw.step(action)
            rewards.append(result.reward)
        assert step.reward == sum(rewards)
        assert (step.terminated, step.truncated) == (False, result.last())
        observation = step.observation
    assert step.truncated


@pytest.mark.parametrize("task", TASKS)
def test_seeds_and_states_reproduce_play(task, make, assert_reproducible):
    assert_reproducible(lambda: make("dmc", task), before=15, after=15)


def test_states_reproduce_play_into_the_next_episodes(make, assert_reproducible):
    """Targets are drawn anew when an episode starts."""
    assert_reproducible(lambda: make("dmc", "finger-turn_hard"), before=490, after=520)


def test_rendering_needs_no_display(make):
    environment = make("dmc", "cartpole-swingup")
    environment.reset(seed=0)
    try:
        picture = environment.render()
    except UserError as error:
        missing(str(error))
    assert (picture.shape, picture.dtype) == ((480, 480, 3), np.uint8)
    assert picture.std() > 1
    environment.close()


def test_rendering_without_a_library_names_it(make, monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(mujoco_rendering.sys, "platform", "linux")
    monkeypatch.setattr(mujoco_rendering.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(UserError, match="libEGL or libOSMesa"):
        make("dmc", "cartpole-swingup").render()


def test_tasks_beyond_the_benchmarks_are_offered_where_they_can_be_seeded():
    assert set(TASKS) < set(dmc.tasks())
    assert not any(task.startswith("lqr") for task in dmc.tasks())
