"""Trained weights as safetensors, with the settings they belong to."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from m3.config.identity import canonical, config_hash, from_canonical
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files.atomic import atomic_file
from m3.files.names import WEIGHTS_FORMAT
from m3.files.provenance import collect

VERSION = 2


class Weights(NamedTuple):
    """Parameters and buffers by name, the settings they were trained with, and the agent steps that took."""

    state: dict[str, Tensor]
    settings: RunSettings
    agent_steps: int


def save_weights(path: Path, module: nn.Module, settings: RunSettings, agent_steps: int) -> None:
    """Write a module's state, atomically."""
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
    with atomic_file(path) as file:
        file.write(save(state, metadata))


def load_weights(path: Path) -> Weights:
    """Read a file of :func:`save_weights`, checked to be whole.

    Raises:
        UserError: it is missing, damaged, of another kind or of another version.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; train the run first")
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {}).get("m3", "{}"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise UserError(
            f"{path} is damaged, or no safetensors ({error}); if M3 wrote it, train the run again"
        ) from error
    known = isinstance(description, dict) and description.get("format") == WEIGHTS_FORMAT
    if not known or description.get("format_version") != VERSION:
        raise UserError(f"{path} is not a file of {WEIGHTS_FORMAT} version {VERSION}")
    if description.pop("sha256", None) != _digest(description, state):
        raise UserError(f"{path} is damaged (its checksum differs); delete it and train the run again")
    return Weights(state, from_canonical(description["config"], str(path)), description["agent_steps"])


def _digest(description: dict[str, Any], state: dict[str, Tensor]) -> str:
    """Hash the whole content, however the file lays it out."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(state):
        tensor = state[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()
