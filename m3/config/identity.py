"""A run's identity: the canonical text of its settings, and that text's hash."""

import hashlib

from m3.config.schema import RunSettings
from m3.config.yaml_files import dump_yaml


def canonical(settings: RunSettings) -> str:
    """The settings as YAML: every field, defaults too, keys sorted. Equal settings give equal text."""
    return dump_yaml(settings.model_dump(mode="json"))


def config_hash(settings: RunSettings) -> str:
    """SHA-256 of the canonical text, 64 hex digits."""
    return hashlib.sha256(canonical(settings).encode()).hexdigest()
