"""The authors' published checkpoints as weights of ours."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from m3.agent.agent import Agent
from m3.config.schema import FiniteScalarQuantizer, RunSettings
from m3.environments import make_environment
from m3.errors import UserError
from m3.reference.weights import LEVELS, from_reference
from m3.runs.weights import save_weights
from m3.torch_files import read_torch_file

PARTS = ("tokenizer", "world_model", "actor_critic")


class Imported(NamedTuple):
    """How many tensors were taken, and the names of those that have no use here."""

    taken: int
    unused: list[str]


def import_weights(published: Path, settings: RunSettings, output: Path) -> Imported:
    """Translate a published checkpoint for the agent of these settings and write it as weights.

    Args:
        published: a file of ``torch.save`` with a state dictionary under the reference's names, read without
            executing code from it.
        settings: of the run that the weights become.
        output: the weights file.

    Raises:
        UserError: the file is missing, is no such checkpoint, or is of another size, modality or action space.
    """
    state = _read(published)
    with closing(make_environment(settings.environment, settings.task, "test")) as environment:
        agent = Agent(settings, environment.observation_spec, environment.action_spec)
    wanted = agent.state_dict()
    translation = from_reference(state, wanted)
    missing = sorted(set(wanted) - set(translation.weights))
    if missing:
        raise UserError(f"{published} has no weights for {_list(missing)} of {settings.benchmark} {settings.task}")
    other = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(wanted[name].shape)}"
        for name, tensor in translation.weights.items()
        if tensor.shape != wanted[name].shape
    ]
    if other:
        raise UserError(f"{published} is of another size: {_list(other)}")
    _refuse_other_levels(published, state, settings)
    agent.load_state_dict(translation.weights)
    save_weights(output, agent, settings, settings.agent_steps)
    return Imported(len(translation.weights), translation.unused)


def _refuse_other_levels(published: Path, state: Mapping[str, Tensor], settings: RunSettings) -> None:
    """Raise UserError where image tokens mean something else, although all weights have the same shapes."""
    quantizer = settings.tokenizer.quantizer if settings.tokenizer else None
    given = state.get(LEVELS)
    if given is None or not isinstance(quantizer, FiniteScalarQuantizer):
        return
    levels = given.flatten().tolist()
    if levels != list(quantizer.levels):
        wanted = list(quantizer.levels)
        raise UserError(f"{published} has image tokens of levels {levels}; tokenizer.quantizer.levels is {wanted}")


def _read(path: Path) -> dict[str, Tensor]:
    """Read the state dictionary in a file, with one flat name per tensor."""
    state = _flatten(read_torch_file(path))
    if not any(name.startswith(PARTS) for name in state):
        raise UserError(f"{path} has no weights under the names of M3 ({', '.join(PARTS)})")
    return state


def _flatten(content: Mapping[str, object], prefix: str = "") -> dict[str, Tensor]:
    flat: dict[str, Tensor] = {}
    for name, value in content.items():
        if isinstance(value, Tensor):
            flat[f"{prefix}{name}"] = value
        elif isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
    return flat


def _list(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
