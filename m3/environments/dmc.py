"""DeepMind Control suite with proprioceptive observations."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from m3.config.simulators import DmcEnvironment, EnvironmentSettings
from m3.environments.base import Environment, Mode, Step
from m3.environments.own_values import OwnObservations, OwnValues, ScaledActions
from m3.errors import unknown_name
from m3.specs import ModalitySpec, Observation, ObservationSpec


@contextmanager
def _no_display() -> Iterator[None]:
    """Keep MuJoCo, while it is imported, from looking for a display or GPU, unless the user chose a backend."""
    if "MUJOCO_GL" in os.environ:
        yield
        return
    os.environ["MUJOCO_GL"] = "disabled"
    try:
        yield
    finally:
        del os.environ["MUJOCO_GL"]


with _no_display():
    import mujoco
    from dm_control import suite

    from m3.environments.mujoco_rendering import OffscreenRenderer

EPISODE_STEPS = 1000
"""Simulation steps of an episode, in every task, unless the settings ask for shorter ones in training."""

_STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)

_MODEL_FIELDS = (
    "body_pos",
    "body_quat",
    "dof_damping",
    "geom_pos",
    "geom_size",
    "light_pos",
    "site_pos",
    "site_size",
    "wrap_prm",
)
"""What the suite's tasks change in the model when an episode starts: targets, their sizes, random actuators."""

_LEFT_OUT = {"lqr-lqr_2_1", "lqr-lqr_6_2", "quadruped-escape"}
"""Tasks whose model is drawn at random when it is loaded, out of a seed's reach, or that need a display."""


def tasks() -> list[str]:
    """List the names of the suite's tasks, as ``domain-task``."""
    return sorted({f"{domain}-{task}" for domain, task in suite.ALL_TASKS} - _LEFT_OUT)


def make(settings: EnvironmentSettings, task: str, mode: Mode) -> Environment:
    """Make one task; only the length of training episodes may differ. Raises UserError for an unknown task."""
    assert isinstance(settings, DmcEnvironment)
    if task not in tasks():
        raise unknown_name("DeepMind Control task", task, tasks())
    return ControlTask(settings, task, settings.train_step_limit if mode == "train" else EPISODE_STEPS)


class ControlTask(Environment):
    """One task: observation vector float32 (D,), the suite's entries flattened and joined in its own order.

    A step repeats its action ``action_repeat`` times, fewer where the episode ends, and sums the rewards. Actions in
    [-1, 1] are mapped to the task's range. Episodes are truncated after ``step_limit`` simulation steps; none of the
    benchmark's tasks terminates.

    See Tassa et al., "DeepMind Control Suite", arXiv 1801.00690.
    """

    def __init__(self, settings: DmcEnvironment, task: str, step_limit: int) -> None:
        domain, _, name = task.partition("-")
        # The time limit is counted here, where it can be saved and restored.
        with _quiet():
            self._env = suite.load(domain, name, task_kwargs={"time_limit": float("inf")})
        self._repeat = settings.action_repeat
        self._step_limit = step_limit
        self._steps = 0
        self._renderer: OffscreenRenderer | None = None
        range_ = self._env.action_spec()
        low, high = (
            np.broadcast_to(bound, range_.shape).astype(np.float64) for bound in (range_.minimum, range_.maximum)
        )
        self._to_action = ScaledActions(low, high, np.float64)
        # Also the reset without which the suite refuses the first step after set_state.
        shown = self._env.reset().observation
        self.observation_spec = ObservationSpec({"vector": ModalitySpec(_flatten(shown)["vector"].shape, "float32")})
        self._parts = [f"{name}: float64 {np.shape(value)}" for name, value in shown.items()]
        self.action_spec = self._to_action.spec
        self.frames_per_step = settings.action_repeat

    @property
    def own(self) -> OwnValues:
        return OwnValues(self._to_action, OwnObservations(self.observation_spec, parts={"vector": self._parts}))

    def reset(self, seed: int | None = None) -> Observation:
        if seed is not None:
            self._env.task.random.seed(np.random.SeedSequence(seed).generate_state(4))
        self._steps = 0
        return _flatten(self._env.reset().observation)

    def step(self, action: np.ndarray) -> Step:
        scaled = self._to_action(action)
        reward = 0.0
        for _ in range(self._repeat):
            result = self._env.step(scaled)
            self._steps += 1
            reward += result.reward
            truncated = self._steps >= self._step_limit
            if result.last() or truncated:
                break
        # Without a time limit the suite only ends an episode where the task itself does.
        return Step(_flatten(result.observation), reward, result.last(), truncated and not result.last())

    def get_state(self) -> dict[str, Any]:
        model, data = self._model_and_data()
        physics = np.empty(mujoco.mj_stateSize(model, _STATE))
        mujoco.mj_getState(model, data, physics, _STATE)
        return {
            "physics": physics,
            "model": {name: getattr(model, name).copy() for name in _MODEL_FIELDS},
            "random": self._env.task.random.get_state(legacy=False),
            "steps": self._steps,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        model, data = self._model_and_data()
        for name in _MODEL_FIELDS:
            getattr(model, name)[:] = state["model"][name]
        physics = np.asarray(state["physics"], np.float64)
        mujoco.mj_setState(model, data, physics, _STATE)
        # Derived quantities follow from the state; computing them moves the solver's warm start, so it is set again.
        mujoco.mj_forward(model, data)
        mujoco.mj_setState(model, data, physics, _STATE)
        self._env.task.random.set_state(state["random"])
        self._steps = int(state["steps"])

    def render(self) -> np.ndarray:
        model, data = self._model_and_data()
        if self._renderer is None:
            self._renderer = OffscreenRenderer(model)
        return self._renderer.render(data)

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        self._env.close()

    def _model_and_data(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        physics = self._env.physics
        return physics.model.ptr, physics.data.ptr


def _flatten(observation: Mapping[str, np.ndarray | float]) -> Observation:
    return {"vector": np.concatenate([np.ravel(value) for value in observation.values()]).astype(np.float32)}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence MuJoCo's warnings about the suite's own, older model files."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
