"""What a run starts from, if its settings say so: parts of other agents, and the episodes of a dataset."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from m3.agent.agent import Agent
from m3.config.schema import RunSettings
from m3.data.replay import Replay
from m3.environments.own_values import OwnValues
from m3.errors import UserError, unknown_name
from m3.files.contents import episode_of, read_dataset
from m3.hub.places import weights_file
from m3.nn.actions import ACTION_BINS, to_values
from m3.runs.weights import load_weights
from m3.specs import ActionSpec, DiscreteActions, ObservationSpec
from m3.training.trainer import Trainer

MINARI = "minari:"
_MODULES = {"tokenizer": "tokenizer.", "world_model": "world_model.", "controller": "actor_critic."}
"""Part in the settings -> how the names of its tensors begin."""


class Episode(NamedTuple):
    """T steps: observations by modality (T + 1, ...), actions (T, A), rewards, terminations and truncations (T,).

    Observations and actions are the agent's. In a file, they are the environment's.
    """

    observations: Mapping[str, np.ndarray]
    actions: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray


def begin(trainer: Trainer) -> None:
    """Give a new run the weights and the experience that its settings name.

    Raises:
        UserError: one of them is missing, damaged, or of another agent or task.
    """
    settings = trainer.settings
    for part, source in settings.initialize_from.items():
        _initialize(trainer.agent, part, source)
    if settings.dataset is not None:
        spec = trainer.agent.actor_critic.actions
        for episode in _episodes(settings, trainer.observation_spec, spec, trainer.own_values):
            _store(trainer.replay, episode, trainer.observation_spec, spec, settings.dataset)
        if trainer.replay.first_row > 0:
            raise UserError(
                f"dataset: {settings.dataset} does not fit into the replay: raise replay.capacity_gigabytes"
            )
        if trainer.replay.num_windows == 0:
            raise UserError(f"dataset: {settings.dataset} has no episode that is long enough to train on")


def _initialize(agent: Agent, part: str, source: str) -> None:
    """Copy a part's tensors from weights elsewhere."""
    where = f"initialize_from.{part}: {source}"
    given = load_weights(weights_file(source)).state
    own = {name: value for name, value in agent.state_dict().items() if name.startswith(_MODULES[part])}
    if not own:
        raise UserError(f"{where}: the {part} of this agent has no weights")
    for name, value in own.items():
        found = tuple(given[name].shape) if name in given else "missing"
        if found != tuple(value.shape):
            raise UserError(f"{where}: is of another agent, {name} is {found} and not {tuple(value.shape)}")
    agent.load_state_dict({name: given[name] for name in own}, strict=False)


def _episodes(
    settings: RunSettings, observations: ObservationSpec, actions: ActionSpec, own: OwnValues
) -> Iterator[Episode]:
    assert settings.dataset is not None
    if settings.dataset.startswith(MINARI):
        return _of_minari(settings, observations, actions)
    return _of_file(Path(settings.dataset), own)


def _of_file(path: Path, own: OwnValues) -> Iterator[Episode]:
    """Read the episodes in a file of ``python -m m3 dataset``, oldest first, in an environment of these values."""
    content = read_dataset(path)
    _refuse_other_spaces(path, content["spaces"], own)
    kinds = own.actions.low, own.observations.example()
    for index in range(content["total_episodes"]):
        stored = episode_of(path, content, index, *kinds)
        episode = Episode(**{name: stored[name] for name in Episode._fields})
        yield episode._replace(
            observations=own.observations.inverse(episode.observations),
            actions=own.actions.inverse(episode.actions, _agents_choices()),
        )


def _refuse_other_spaces(path: Path, spaces: Mapping[str, Any], own: OwnValues) -> None:
    """Raise UserError where a file's own values have other names, ranges or types than those of the task."""
    names = list(own.observations.spec.modalities)
    if spaces["observations"].keys() != set(names):
        given = ", ".join(sorted(spaces["observations"]))
        raise UserError(
            f"dataset: {path} is of another task: its observations differ: {given}, where the task has "
            f"{', '.join(names)}"
        )
    for name in names:
        given, expected = _range(spaces["observations"][name]), _range(own.observations.bounds.get(name, ()))
        if given != expected:
            raise UserError(
                f"dataset: {path} is of another task: its observations differ: {name} {given}, where the task has "
                f"{expected}"
            )
    given, expected = _range(spaces["actions"]), _range((own.actions.low, own.actions.high))
    if given != expected:
        raise UserError(
            f"dataset: {path} is of another task: its actions differ: {given}, where the task takes {expected}"
        )


def _range(bounds: Mapping[str, np.ndarray] | tuple[np.ndarray, ...]) -> str:
    """Word smallest and largest values, exactly."""
    if isinstance(bounds, Mapping):
        bounds = tuple(bounds[name] for name in ("low", "high") if name in bounds)
    return " to ".join(f"{bound.dtype} {bound.tolist()}" for bound in bounds) or "of any value"


def _agents_choices() -> np.ndarray:
    """Return the values of continuous actions that an agent on the CPU chooses from, float32 (51,), ascending."""
    return to_values(torch.arange(ACTION_BINS)).numpy()


def _of_minari(settings: RunSettings, observations: ObservationSpec, actions: ActionSpec) -> Iterator[Episode]:
    """Read a Minari dataset of this machine, whose spaces become modalities as those of an environment do."""
    assert settings.dataset is not None
    name = settings.dataset.removeprefix(MINARI)
    try:
        import minari

        from m3.environments.gymnasium_spaces import ObservationMap, action_map
    except ModuleNotFoundError as error:
        raise UserError(f"dataset: {settings.dataset} needs {error.name}: pip install 'minari[hdf5]'") from error
    known = minari.list_local_datasets()
    if name not in known:
        raise UserError(f"dataset: {unknown_name('Minari dataset', name, known)}; `minari download {name}` gets one")
    dataset = minari.load_dataset(name)
    to_modalities = ObservationMap(dataset.observation_space, getattr(settings.environment, "image_size", 64))
    to_actions = action_map(dataset.action_space)
    if to_modalities.spec != observations or to_actions.spec != actions:
        raise UserError(f"dataset: {settings.dataset} is of another task: its observations or actions differ")
    for episode in dataset.iterate_episodes():
        steps = len(episode.rewards)
        frames = [to_modalities(_at(episode.observations, index)) for index in range(steps + 1)]
        yield Episode(
            {modality: np.stack([frame[modality] for frame in frames]) for modality in observations.modalities},
            to_actions.inverse(episode.actions, _agents_choices()),
            episode.rewards,
            episode.terminations,
            episode.truncations,
        )


def _at(values: Any, index: int) -> Any:
    """One entry of nested arrays."""
    if isinstance(values, dict):
        return {key: _at(value, index) for key, value in values.items()}
    return tuple(_at(value, index) for value in values) if isinstance(values, tuple) else values[index]


def _refuse_odd_numbers(episode: Episode, observations: ObservationSpec, name: str) -> None:
    """Raise UserError where a number is not finite, or a token outside its vocabulary."""
    numbers = {"actions": episode.actions, "rewards": episode.rewards, **episode.observations}
    for key, values in numbers.items():
        if not np.isfinite(values).all():
            raise UserError(f"dataset: {name} has {key} that are not finite")
    for key, spec in observations.modalities.items():
        tokens = episode.observations[key]
        if spec.vocabularies and not ((tokens >= 0) & (tokens < np.array(spec.vocabularies))).all():
            raise UserError(f"dataset: {name} is of another task: it has {key} outside of its vocabulary")


def _store(replay: Replay, episode: Episode, observations: ObservationSpec, actions: ActionSpec, name: str) -> None:
    """Add an episode to the replay as if it had just happened. One that was broken off counts as truncated."""
    steps = len(episode.rewards)
    shapes = {key: (steps + 1, *spec.shape) for key, spec in observations.modalities.items()}
    if {key: np.shape(value) for key, value in episode.observations.items()} != shapes:
        raise UserError(f"dataset: {name} is of another task: its observations differ")
    valid = np.shape(episode.actions) == (steps, *actions.shape)
    if valid and isinstance(actions, DiscreteActions):
        valid = bool(((episode.actions >= 0) & (episode.actions < np.array(actions.sizes))).all())
    if not valid:
        raise UserError(f"dataset: {name} is of another task: its actions differ")
    _refuse_odd_numbers(episode, observations, name)
    for index in range(steps):
        frames = [{key: value[at] for key, value in episode.observations.items()} for at in (index, index + 1)]
        last, terminated = index == steps - 1, bool(episode.terminations[index])
        truncated = bool(episode.truncations[index]) or (last and not terminated)
        action = np.asarray(episode.actions[index], actions.dtype)
        replay.add(frames[0], action, float(episode.rewards[index]), terminated, truncated, frames[1])
        if terminated or truncated:
            break
