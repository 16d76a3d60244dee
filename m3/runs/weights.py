"""Trained weights as safetensors, with the settings they belong to."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from m3.config.identity import canonical, config_hash, from_canonical
from m3.config.schema import TRAINING_VERSION, RunSettings
from m3.errors import UserError, shown
from m3.files.atomic import Fence, atomic_file
from m3.files.names import WEIGHTS_FORMAT
from m3.files.provenance import collect
from m3.reading import refuse_special

VERSION = 2


class Weights(NamedTuple):
    """Parameters and buffers by name, the settings they were trained with, and the agent steps that took."""

    state: dict[str, Tensor]
    settings: RunSettings
    agent_steps: int


def save_weights(
    path: Path, module: nn.Module, settings: RunSettings, agent_steps: int, fence: Fence | None = None
) -> None:
    """Write a module's state, atomically; ``fence`` is the right to write it, where only one process may."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    description = {
        "format": WEIGHTS_FORMAT,
        "format_version": VERSION,
        "config": canonical(settings),
        "config_hash": config_hash(settings),
        "agent_steps": agent_steps,
        **collect(),
    }
    sealed = {**description, "sha256": _digest(description, state)}
    # One key, because the order in which safetensors writes several is not reproducible.
    metadata = {"m3": json.dumps(sealed, sort_keys=True)}
    with atomic_file(path, fence) as file:
        file.write(save(state, metadata))


def load_weights(path: Path) -> Weights:
    """Read a file of :func:`save_weights`, checked to be whole.

    Raises:
        UserError: it is missing, damaged, of another kind or of another version.
    """
    try:
        refuse_special(path)
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {}).get("m3", "{}"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; train the run first") from error
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged, or no safetensors ({error!s:.200}); if M3 wrote it, train the run again"
        ) from error
    known = isinstance(description, dict) and description.get("format") == WEIGHTS_FORMAT
    if not known or description.get("format_version") != VERSION:
        raise UserError(f"{path} is not a file of {WEIGHTS_FORMAT} version {VERSION}")
    if description.pop("sha256", None) != _digest(description, state):
        raise UserError(f"{path} is damaged (its checksum differs); delete it and train the run again")
    config, agent_steps = description.get("config"), description.get("agent_steps")
    if not isinstance(config, str) or type(agent_steps) is not int or not 0 <= agent_steps < 2**63:
        raise UserError(f"{path} does not say with which settings, and for how many steps, it was trained")
    return Weights(state, from_canonical(config, str(path)), agent_steps)


def fill(module: nn.Module, state: Mapping[str, Tensor], settings: RunSettings, origin: Path) -> None:
    """Give a network weights from a file.

    Args:
        module: the network of the settings.
        state: tensors by name.
        settings: with which they were trained.
        origin: where they come from, for the error.

    Raises:
        UserError: they are of another training version, of a network with other names, shapes or number formats, or
            not finite.
    """
    if settings.training_version != TRAINING_VERSION:
        raise UserError(
            f"{origin} was trained by training version {settings.training_version}, this is {TRAINING_VERSION}: train "
            "the run again, or use the M3 that trained it"
        )
    own = module.state_dict()
    for name in sorted(own.keys() | state.keys()):
        needed, given = (_described(tensors.get(name)) for tensors in (own, state))
        if needed != given:
            raise UserError(
                f"{origin} holds weights of another network than its settings describe: {shown(name)} is {given}, "
                f"where {needed} is needed; train the run again"
            )
        if state[name].is_floating_point() and not bool(state[name].isfinite().all()):
            raise UserError(f"{origin} holds weights that are not finite ({shown(name)}): train the run again")
    module.load_state_dict(dict(state))


def _described(tensor: Tensor | None) -> str:
    return "nothing" if tensor is None else f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _digest(description: dict[str, Any], state: dict[str, Tensor]) -> str:
    """Hash the whole content, however the file lays it out."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(state):
        tensor = state[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
