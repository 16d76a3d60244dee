"""YAML as this project reads and writes it: no duplicate keys, floats as in YAML 1.2, one canonical form."""

import re
from pathlib import Path
from typing import Any

import yaml

from m3.errors import UserError


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which silently keeps the last of duplicate keys and reads ``1e-4`` as a string."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is not text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping.

    Raises:
        UserError: the file cannot be read, is not YAML, has a key twice, or holds no mapping.
    """
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text in a file. Raises UserError where it cannot be read, or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a UTF-8 text file") from error


def parse_yaml(text: str, origin: str) -> dict[str, Any]:
    """As ``read_yaml``, of a text that ``origin`` names in errors."""
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise UserError(f"{origin}:{line} {error.problem}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{origin}: expected keys and values, got {type(content).__name__}")
    return content


def dump_yaml(content: dict[str, Any]) -> str:
    """The canonical text of plain content: keys sorted, so that equal content gives equal bytes."""
    text = _dump(content, getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    # libyaml, which is quick, writes the same but for characters beyond 16 bits.
    return _dump(content, yaml.SafeDumper) if "\\U" in text else text


def _dump(content: dict[str, Any], dumper: type) -> str:
    return yaml.dump(content, Dumper=dumper, sort_keys=True, allow_unicode=True, width=120)
