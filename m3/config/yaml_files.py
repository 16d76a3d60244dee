"""YAML as this project reads and writes it: no duplicate keys, floats as in YAML 1.2, one canonical form."""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from m3.errors import UserError, escaped, shown
from m3.reading import read_text as read_text_file

MOST_BYTES = 2**18
"""Of a file."""
MOST_DEPTH = 50
"""Of mappings and lists within each other."""
MOST_VALUES = 100_000
"""With those that aliases repeat."""
_MOST_DIGITS = 400
"""Of a number: more is neither an integer that anything counts nor a float."""
_TAG = "tag:yaml.org,2002:"
_TOO_DEEP = f"more than {MOST_DEPTH} mappings and lists within each other"
_TOO_LARGE = 2**63
_PLAIN = {
    yaml.ScalarNode: [_TAG + kind for kind in ("null", "bool", "int", "float", "str")],
    yaml.SequenceNode: [f"{_TAG}seq"],
    yaml.MappingNode: [f"{_TAG}map"],
}


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which silently keeps the last of duplicate keys and reads ``1e-4`` as a string."""

    _depth = 0

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                problem = f"key {shown(key)} is not text"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                problem = f"duplicate key {shown(key)}"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def get_single_data(self) -> Any:
        """Return the document's content, once it is sure that it is small and holds plain values."""
        node = self.get_single_node()
        if node is None:
            return None
        self._measure(node, {})
        return self.construct_document(node)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self._depth > MOST_DEPTH:
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, _TOO_DEEP, mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _measure(self, node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
        """Count a node's values, and how deep they lie, aliases followed, before any of them is made."""
        if node.tag not in _PLAIN[type(node)]:
            raise self._error(node, f"could not determine a constructor for the tag {shown(node.tag)}")
        if isinstance(node, yaml.ScalarNode):
            self._check_scalar(node)
            return 1, 0
        if id(node) not in known:
            known[id(node)] = MOST_VALUES + 1, 0  # of one that holds itself
            inside = (
                node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
            )
            measures = [self._measure(part, known) for part in inside]
            known[id(node)] = (
                1 + sum(count for count, _ in measures),
                1 + max((depth for _, depth in measures), default=0),
            )
        count, depth = known[id(node)]
        if count > MOST_VALUES:
            raise self._error(node, f"more than {MOST_VALUES} values, with those that aliases repeat")
        if depth > MOST_DEPTH:
            raise self._error(node, _TOO_DEEP)
        return count, depth

    def _check_scalar(self, node: yaml.ScalarNode) -> None:
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            return
        if kind in ("int", "float") and len(node.value) > _MOST_DIGITS:
            raise self._error(node, f"a number of more than {_MOST_DIGITS} digits")
        if node.tag != self.resolve(yaml.ScalarNode, node.value, (True, False)):
            raise self._error(node, f"{shown(node.value)} is no {kind}")
        try:
            value = self.construct_object(node)
        except ValueError as error:
            raise self._error(node, f"{shown(node.value)} is no {kind}") from error
        if kind == "int" and abs(value) >= _TOO_LARGE:
            raise self._error(node, f"{shown(value)} is larger than any number that settings have")

    @staticmethod
    def _error(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
        return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


# Dates and times stay text: no setting is one, and impossible ones would fail.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file; an empty file is an empty mapping.

    Raises:
        UserError: the file cannot be read, is not YAML, is too large or too deep, has a key twice, or holds no mapping.
    """
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text in a file. Raises UserError where it cannot be read, or is not UTF-8."""
    try:
        return read_text_file(path, MOST_BYTES)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a UTF-8 text file") from error


def parse_yaml(text: str, origin: str) -> dict[str, Any]:
    """Parse a text as ``read_yaml`` does; ``origin`` names it in errors."""
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise UserError(f"{origin}:{line} {_one_line(error.problem)}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{origin}: {_one_line(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{origin}: expected keys and values, got {type(content).__name__}")
    return content


def _one_line(problem: object) -> str:
    return escaped(" ".join(str(problem)[:300].split()))


def dump_yaml(content: dict[str, Any]) -> str:
    """The canonical text of content that JSON has too: keys sorted, so that equal content gives equal bytes."""
    if not content:
        return "{}\n"
    return "".join(_dump_section(json.dumps({key: content[key]}, sort_keys=True)) for key in sorted(content))


@lru_cache(maxsize=4096)
def _dump_section(section: str) -> str:
    """One key and its value, given as JSON: an experiment's runs have most sections in common."""
    content = json.loads(section)
    text = _dump(content, getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    # libyaml, which is quick, writes the same but for characters beyond 16 bits.
    return _dump(content, yaml.SafeDumper) if "\\U" in text else text


def _dump(content: dict[str, Any], dumper: type) -> str:
    return yaml.dump(content, Dumper=dumper, sort_keys=True, allow_unicode=True, width=120)
