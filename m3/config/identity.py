"""A run's identity: the canonical text of its settings, and that text's hash."""

import hashlib
from pathlib import Path

from m3.config.layers import Layer, validate
from m3.config.schema import TRAINING_VERSION, RunSettings
from m3.config.yaml_files import dump_yaml, read_yaml
from m3.errors import UserError


def canonical(settings: RunSettings) -> str:
    """The settings as YAML: every field, defaults too, keys sorted. Equal settings give equal text."""
    return dump_yaml(settings.model_dump(mode="json"))


def config_hash(settings: RunSettings) -> str:
    """SHA-256 of the canonical text, 64 hex digits."""
    return hashlib.sha256(canonical(settings).encode()).hexdigest()


def resolved_name(settings: RunSettings) -> str:
    """Name of the file that holds the canonical text in the run's folder. Other settings have another name."""
    return f"resolved-{config_hash(settings)[:8]}.yaml"


def read_resolved(path: Path) -> RunSettings:
    """The settings in a file of canonical text.

    Raises:
        UserError: the file is damaged or foreign, was changed under the name that holds the hash, or is for a code
            that trains otherwise.
    """
    settings = validate(RunSettings, [Layer(str(path), read_yaml(path))])
    expected = resolved_name(settings)
    if path.name != expected:
        raise UserError(f"{path}: was renamed or changed by hand, its content belongs to {expected}; resolve it again")
    if settings.training_version != TRAINING_VERSION:
        given = settings.training_version
        raise UserError(f"{path}: is for training version {given}, this is {TRAINING_VERSION}; resolve it again")
    return settings
