"""Any registered Gymnasium environment, with its spaces mapped to modalities and actions."""

import hashlib
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from m3.config.simulators import EnvironmentSettings, GymnasiumEnvironment
from m3.environments.base import Environment, Mode, Step
from m3.environments.gymnasium_spaces import ObservationMap, action_map
from m3.environments.own_values import OwnValues
from m3.errors import UserError, shown, unknown_name
from m3.python_files import execute
from m3.reading import MOST_NUMBER
from m3.specs import Observation

_logger = logging.getLogger(__name__)


def tasks() -> list[str]:
    """The ids registered so far. ``make`` also takes Gymnasium's ``module:id``, which imports the module first."""
    return sorted(gymnasium.registry)


def make(settings: EnvironmentSettings, task: str, mode: Mode) -> Environment:
    """Make one environment; training and test are alike.

    Raises:
        UserError: the environment does not exist or cannot be made here, or one of its spaces cannot be mapped, or the
            file that registers it is missing or fails.
    """
    assert isinstance(settings, GymnasiumEnvironment)
    if settings.file is not None:
        execute(Path(settings.file), "environment.file")
    return GymnasiumAdapter(settings, task)


class GymnasiumAdapter(Environment):
    """A Gymnasium environment with its own rewards, ends and limits; ``ObservationMap`` and ``action_map`` map spaces.

    Gymnasium has no way to save an environment. The state is therefore the way to get there: the seed of the episode
    and the actions since, which ``set_state`` plays again. That is exact where an episode follows from its seed and its
    actions alone, which Gymnasium asks of every environment but nobody checks, and it takes as long as the episode did.
    So that no earlier episode matters, every episode gets a seed of its own, drawn from a generator that starts from
    the seed of ``reset``.
    """

    def __init__(self, settings: GymnasiumEnvironment, task: str) -> None:
        self._task = task
        self._truncates = settings.when_it_fails == "truncate"
        self._env = _make(task)
        self._generator = np.random.default_rng()
        self._seed: int | None = None
        self._actions: list[np.ndarray] = []
        self._observation: Observation = {}
        try:
            clip = settings.outside == "clip"
            self._to_modalities = ObservationMap(self._env.observation_space, settings.image_size, clip)
            self._to_action = action_map(self._env.action_space)
        except UserError as error:
            self._env.close()
            raise UserError(f"{task}: {error}") from error
        self.observation_spec = self._to_modalities.spec
        self.action_spec = self._to_action.spec
        names = self._env.get_wrapper_attr("action_names") if self._env.has_wrapper_attr("action_names") else ()
        self.action_names = tuple(map(str, names)) if isinstance(names, tuple | list) else ()

    @property
    def own(self) -> OwnValues:
        return OwnValues(self._to_action, self._to_modalities.own)

    def reset(self, seed: int | None = None) -> Observation:
        if seed is not None:
            self._generator = np.random.default_rng(seed)
        # Below 2^31, as some environments pass it on to 32-bit generators.
        self._seed = int(self._generator.integers(2**31))
        self._actions = []
        self._observation = self._to_modalities(self._reset())
        return self._observation

    def step(self, action: np.ndarray) -> Step:
        self._actions.append(np.array(action))
        try:
            observation, reward, terminated, truncated = self._step(action)
        except _SimulatorError as error:
            if not self._truncates:
                raise
            _logger.warning("%s; the episode is truncated", error)
            return Step(self._observation, 0.0, False, True)
        self._observation = self._to_modalities(observation)
        return Step(self._observation, reward, terminated, truncated)

    def get_state(self) -> dict[str, Any]:
        actions = np.array(self._actions, self.action_spec.dtype).reshape(-1, *self.action_spec.shape)
        return {
            "generator": self._generator.bit_generator.state,
            "seed": self._seed,
            "actions": actions,
            "observation": _digest(self._observation),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._seed = state["seed"]
        self._actions = list(np.asarray(state["actions"]))
        self._generator.bit_generator.state = state["generator"]
        self._replay()
        if state.get("observation") not in (None, _digest(self._observation)):
            raise UserError(
                f"{self._task} does not come to the same observation from the same seed and actions, so that the "
                "episode in progress cannot be continued: let its reset(seed) decide every random choice"
            )

    def render(self) -> np.ndarray:
        """Raises UserError where the environment cannot draw itself."""
        if self._env.render_mode is None:
            # Drawing may need a display or further packages, so it is only asked for here.
            drawing = _make(self._task, render_mode="rgb_array")
            self._env.close()
            self._env = drawing
            self._replay()
        try:
            image = self._env.render()
        except Exception as error:  # a simulator's own, such as mujoco.FatalError where OpenGL is missing
            raise UserError(f"{self._task} cannot be rendered here: {type(error).__name__}: {error}") from error
        if not isinstance(image, np.ndarray):
            raise UserError(f"{self._task} cannot be rendered as an image")
        return image

    def draw(self, observation: Observation) -> np.ndarray | None:
        """Draw an observation by the environment's own ``draw_observation``; without one, show its image, if any."""
        if self._env.has_wrapper_attr("draw_observation"):
            return np.asarray(self._env.get_wrapper_attr("draw_observation")(observation))
        return super().draw(observation)

    def close(self) -> None:
        try:
            self._env.close()
        except Exception as error:  # whatever a simulator raises: nothing is lost by it
            _logger.warning("%s cannot be closed: %s: %s", self._task, type(error).__name__, error)

    def _replay(self) -> None:
        """Play the current episode again, from its seed."""
        if self._seed is None:
            self._observation = {}
            return
        observation = self._reset()
        for action in self._actions:
            observation, *_ = self._step(action)
        self._observation = self._to_modalities(observation)

    def _reset(self) -> Any:
        """Start the episode of the present seed; return what the environment shows."""
        with _telling(f"{self._task} fails in its reset"):
            observation, _ = self._env.reset(seed=self._seed)
        return observation

    def _step(self, action: np.ndarray) -> tuple[Any, float, bool, bool]:
        """Act; return what the environment shows, the reward, and whether the episode terminated or was truncated."""
        with _telling(f"{self._task} fails in a step"):
            observation, reward, terminated, truncated, _ = self._env.step(self._to_action(action))
        numbers = np.asarray(reward), np.asarray(terminated), np.asarray(truncated)
        for name, value in zip(("reward", "terminated", "truncated"), numbers, strict=True):
            if value.size != 1 or value.dtype.kind not in "biuf" or not abs(float(value.item())) <= MOST_NUMBER:
                raise UserError(f"{self._task}: a step gives {name} {shown(value.tolist())}, which is no finite number")
        return observation, *(kind(value.item()) for kind, value in zip((float, bool, bool), numbers, strict=True))


class _SimulatorError(UserError):
    """Something that an environment raises."""


@contextmanager
def _telling(what: str) -> Iterator[None]:
    """Word what an environment raises in the block as an error of the user's, who has its source: with its place."""
    try:
        yield
    except (Exception, SystemExit) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        raise _SimulatorError(f"{what}: {type(error).__name__}: {error} ({where})") from error


def _digest(observation: Observation) -> str:
    """Hash an observation, to see whether another is the same."""
    digest = hashlib.sha256()
    for name in sorted(observation):
        digest.update(f"{name} {observation[name].dtype} {observation[name].shape};".encode())
        digest.update(np.ascontiguousarray(observation[name]).tobytes())
    return digest.hexdigest()


def _make(task: str, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    options: dict[str, Any] = (
        {} if render_mode is None else {"render_mode": render_mode}
    )  # not every constructor has it
    try:
        return gymnasium.make(task, disable_env_checker=True, **options)
    except gymnasium.error.UnregisteredEnv as error:
        if task in gymnasium.registry:  # it asks for another one itself
            raise UserError(f"Gymnasium environment {task!r} cannot be made: {error}") from error
        raise unknown_name("Gymnasium environment", task, tasks()) from error
    except (Exception, SystemExit) as error:  # whatever a constructor raises
        raise UserError(f"Gymnasium environment {task!r} cannot be made: {type(error).__name__}: {error}") from error
