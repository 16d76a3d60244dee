"""What other code uses from a run: its trained agent and its newest checkpoint.

    import m3

    agent = m3.load("results/runs/atari100k/tiny/Breakout/seed-0")
    agent.reset()
    action = agent.act(observation)

An observation is a mapping from modality to array, as the environments of ``agent.make_environment()`` give it.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from m3.agent.agent import Agent
from m3.agent.policy import Policy
from m3.config.schema import RunSettings
from m3.data.replay import Replay
from m3.environments import Environment, Mode, make_environment
from m3.environments.own_values import OwnValues
from m3.errors import UserError
from m3.files.names import CHECKPOINTS, WEIGHTS
from m3.files.run_folder import read_settings
from m3.hub.places import is_address, weights_file
from m3.runs.manifest import understood
from m3.runs.named_code import refuse_unnamed_code
from m3.runs.saving import checkpoints_of
from m3.runs.weights import fill, load_weights
from m3.seeding import randomness
from m3.specs import ActionSpec, ObservationSpec
from m3.training.devices import select_device
from m3.training.state import to_tensors
from m3.training.trainer import new_replay


class LoadedAgent:
    """A trained agent that acts on one observation after another.

    Args:
        settings: of its run.
        networks: in evaluation mode.
        observation_spec, action_spec: of its environment.
        agent_steps: how long it has trained.
    """

    def __init__(
        self,
        settings: RunSettings,
        networks: Agent,
        observation_spec: ObservationSpec,
        action_spec: ActionSpec,
        agent_steps: int,
    ) -> None:
        self.settings = settings
        self.networks = networks
        self.observation_spec = observation_spec
        self.action_spec = action_spec
        self.agent_steps = agent_steps
        self.device = networks.actor_critic.actor.weight.device
        self._policy = Policy(networks, settings.evaluation.temperature)
        self.reset(seed=0)

    def make_environment(self, mode: Mode = "test") -> Environment:
        """Make an environment of the task that the agent was trained on."""
        return make_environment(self.settings.environment, self.settings.task, mode)

    def reset(self, seed: int | None = None) -> None:
        """Forget the episode, before the first observation of another one.

        Args:
            seed: of the random choices from here on; none: they go on as they would have.
        """
        if seed is not None:
            self._random = randomness(self.device, seed, "acting")
        self._state = self._policy.initial_state(1)

    def act(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """Choose an action.

        Args:
            observation: modality -> array of the shape and dtype in ``observation_spec``.

        Returns:
            (A,) int64 or float32, as ``action_spec`` says.

        Raises:
            UserError: the observation lacks a modality or has another shape.
        """
        self._check(observation)
        batch = {name: np.asarray(observation[name])[None] for name in self.observation_spec.modalities}
        actions, self._state = self._policy.act(batch, self._state, self._random)
        return actions[0]

    def _check(self, observation: Mapping[str, np.ndarray]) -> None:
        for name, spec in self.observation_spec.modalities.items():
            given = np.shape(observation[name]) if name in observation else "nothing"
            if given != spec.shape:
                raise UserError(f"the agent observes {name} {spec.dtype} {spec.shape}, given is {given}")


class Checkpoint(NamedTuple):
    """A run as its newest checkpoint has it."""

    settings: RunSettings
    replay: Replay
    trainer: dict[str, Any]
    """State of the trainer, as arrays and plain values."""
    frames_per_step: int
    own: OwnValues
    """How its environment's actions and observations differ from the agent's."""


def newest_checkpoint(run: Path, own_code: Sequence[Path | str] = ()) -> Checkpoint:
    """Read the newest checkpoint in a run's folder.

    Raises:
        UserError: the run has no checkpoint, or its environment's packages are missing.
    """
    settings = read_settings(run)
    refuse_unnamed_code(settings, own_code, run)
    with closing(make_environment(settings.environment, settings.task, "train")) as environment:
        replay, own = new_replay(settings, environment), environment.own
    state = checkpoints_of(run, settings).load_latest(replay)
    if state is None:
        raise UserError(f"{run} has no checkpoint: train it first")
    with understood(run):
        return Checkpoint(settings, replay, state["trainer"], environment.frames_per_step, own)


def load(path: Path | str, device: str = "cpu", own_code: Sequence[Path | str] = ()) -> LoadedAgent:
    """Load the agent in a run's folder or weights file; of a run that is not finished, as in its newest checkpoint.

    Args:
        path: a run's folder, or its weights; also an address on the Hub, ``hf://OWNER/NAME[@REVISION][/PATH]``.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:N" or "mps".
        own_code: Python files and modules that may be executed where the agent's settings ask for them; what the
            benchmark and variant of these names in ``config`` name may be anyway.

    Raises:
        UserError: there is no trained agent, or its environment's packages are missing.
    """
    chosen = select_device(device)
    path = weights_file(path) if is_address(path) else Path(path)
    if path.is_dir() and not (path / WEIGHTS).exists() and (path / CHECKPOINTS).is_dir():
        checkpoint = newest_checkpoint(path, own_code)
        with understood(path):
            state, agent_steps = to_tensors(checkpoint.trainer["agent"]), checkpoint.trainer["collector"]["agent_steps"]
        return _build(checkpoint.settings, state, agent_steps, path, chosen)
    file = _weights_file(path)
    weights = load_weights(file)
    refuse_unnamed_code(weights.settings, own_code, file)
    return _build(weights.settings, weights.state, weights.agent_steps, file, chosen)


def _build(
    settings: RunSettings, state: Mapping[str, Tensor], agent_steps: int, origin: Path, device: torch.device
) -> LoadedAgent:
    """Build the agent of these weights. Its environment is made once, to learn what it shows and accepts."""
    with closing(make_environment(settings.environment, settings.task, "test")) as environment:
        networks = Agent(settings, environment.observation_spec, environment.action_spec).eval()
    fill(networks, state, settings, origin)
    networks.to(device)
    return LoadedAgent(settings, networks, environment.observation_spec, environment.action_spec, agent_steps)


def _weights_file(path: Path) -> Path:
    if path.is_dir():
        if not (path / WEIGHTS).exists():
            runs = sorted(str(found.parent) for found in path.glob(f"**/{WEIGHTS}"))
            hint = f"did you mean {runs[0]}?" if runs else "train it first (m3 train --help)"
            raise UserError(f"{path} has no trained agent ({WEIGHTS}): {hint}")
        return path / WEIGHTS
    if not path.exists():
        siblings = [str(found) for found in path.parent.iterdir()] if path.parent.is_dir() else []
        nearest = get_close_matches(str(path), siblings, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else "give a run's folder, such as results/runs/.../seed-0"
        raise UserError(f"{path} does not exist: {hint}")
    return path
