"""A run's identity: the canonical text of its settings, and that text's hash."""

import hashlib
from copy import deepcopy
from typing import Any

from m3.config.layers import Layer, validate
from m3.config.schema import RunSettings
from m3.config.yaml_files import dump_yaml, parse_yaml

ADDED: dict[str, Any] = {
    "world_model.sequence": {"kind": "retention"},
    "controller.curiosity_while_collecting_only": False,
    "tokenizer.quantizer": {"kind": "vq"},
    "compile": "none",
    "command": None,
    "options": {},
    "initialize_from": {},
    "dataset": None,
    "environment[gymnasium].outside": "stop",
    "environment[gymnasium].when_it_fails": "stop",
    "environment[dmc].train_step_limit": 1000,
    "tokenizer.optimizer.schedule": "constant",
    "world_model.optimizer.schedule": "constant",
    "controller.optimizer.schedule": "constant",
}
"""Settings that were added when there were runs already, oldest first: key -> what earlier runs had in its place.

In brackets stands the family that a section must have to hold the setting.

The canonical text leaves a setting out while it has that value. So a new setting changes the identity only of runs that
use it, and runs that were finished before stay finished.
"""


def canonical(settings: RunSettings) -> str:
    """Write the settings as YAML: every field, defaults too, keys sorted. Equal settings give equal text.

    Only what ``ADDED`` names is left out, where it has the value from before it was a setting.
    """
    content = settings.model_dump(mode="json")
    for key, before in reversed(ADDED.items()):  # a part of an added section goes before the section is compared
        section, name = _section(content, key)
        if section is not None and section.get(name) == before:
            del section[name]
    return dump_yaml(content)


def from_canonical(text: str, origin: str) -> RunSettings:
    """Read the settings of a canonical text, also of one that is older than some of the settings.

    Args:
        text: what ``canonical`` returned, now or in an earlier version.
        origin: what errors name as its place.

    Raises:
        UserError: it is damaged or foreign.
    """
    content = parse_yaml(text, origin)
    for key, before in ADDED.items():
        section, name = _section(content, key)
        if section is not None:
            section.setdefault(name, deepcopy(before))
    return validate(RunSettings, [Layer(origin, content)])


def _section(content: dict[str, Any], key: str) -> tuple[dict[str, Any] | None, str]:
    """Find the mapping that holds a dotted key, none where there is no such section, and the key's last part."""
    *path, name = key.split(".")
    section: Any = content
    for part in path:
        part, _, family = part.rstrip("]").partition("[")
        section = section.get(part) if isinstance(section, dict) else None
        if family and isinstance(section, dict) and section.get("family") != family:
            section = None
    return section if isinstance(section, dict) else None, name


def config_hash(settings: RunSettings) -> str:
    """Return the SHA-256 of the canonical text, 64 hex digits."""
    return hashlib.sha256(canonical(settings).encode()).hexdigest()
