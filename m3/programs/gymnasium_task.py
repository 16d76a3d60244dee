"""A run's task as a Gymnasium environment, for agents that use that interface."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from m3.config.schema import RunSettings
from m3.environments import Mode, make_environment
from m3.specs import ActionSpec, DiscreteActions, ModalitySpec, Observation, ObservationSpec


class GymnasiumTask(gymnasium.Env[dict[str, np.ndarray], Any]):
    """A run's task, exactly as M3 sees it: same observations, rewards and ends of episodes.

    Observations are a ``Dict`` of modalities: image and vector as ``Box``, tokens as a flat ``MultiDiscrete``. A plain
    discrete action is ``Discrete``, several are ``MultiDiscrete``, continuous ones a ``Box`` in [-1, 1].

    Args:
        settings: of the run.
        mode: "train" or "test"; they differ in Atari.

    Raises:
        UserError: the task does not exist, or its simulator is not installed.
    """

    def __init__(self, settings: RunSettings, mode: Mode) -> None:
        self._environment = make_environment(settings.environment, settings.task, mode)
        self._spec = self._environment.observation_spec
        self.frames_per_step = self._environment.frames_per_step
        self.observation_space = _observation_space(self._spec)
        self.action_space = _action_space(self._environment.action_spec)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        return self._flat(self._environment.reset(seed)), {}

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        spec = self._environment.action_spec
        step = self._environment.step(np.asarray(action, spec.dtype).reshape(spec.shape))
        return self._flat(step.observation), float(step.reward), step.terminated, step.truncated, {}

    def render(self) -> Any:
        return self._environment.render()

    def close(self) -> None:
        self._environment.close()

    def _flat(self, observation: Observation) -> dict[str, np.ndarray]:
        return {
            name: array.reshape(-1) if self._spec.modalities[name].vocabularies else array
            for name, array in observation.items()
        }


def _observation_space(spec: ObservationSpec) -> spaces.Space[Any]:
    return spaces.Dict({name: _modality_space(part) for name, part in spec.modalities.items()})


def _modality_space(spec: ModalitySpec) -> spaces.Space[Any]:
    if spec.vocabularies:  # token: one for all; token_2d: one for each column
        return spaces.MultiDiscrete(np.broadcast_to(spec.vocabularies, spec.shape).reshape(-1))
    if spec.dtype == "uint8":
        return spaces.Box(0, 255, spec.shape, np.uint8)
    return spaces.Box(-np.inf, np.inf, spec.shape, np.float32)


def _action_space(spec: ActionSpec) -> spaces.Space[Any]:
    if not isinstance(spec, DiscreteActions):
        return spaces.Box(-1, 1, spec.shape, np.float32)
    return spaces.Discrete(spec.sizes[0]) if len(spec.sizes) == 1 else spaces.MultiDiscrete(list(spec.sizes))
