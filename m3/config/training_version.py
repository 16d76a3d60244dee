"""Keep the version of the training in step with the sources that decide what training computes.

``training_version.json`` holds a digest of each of these sources as it was when somebody last decided whether training
behaves as before. A test compares. Comments, docstrings and formatting do not count.

    python -m m3.config.training_version --same-behaviour   the changes compute the same: runs go on as they are
    python -m m3.config.training_version --new-behaviour    they do not: all runs are new ones, and train again
"""

import argparse
import ast
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from m3.config.schema import TRAINING_VERSION

PACKAGE = Path(__file__).parents[1]
RECORD = Path(__file__).with_suffix(".json")

_INCLUDED = (
    *("agent", "data", "environments", "nn", "tokenizers", "training", "world_model"),
    *("seeding.py", "specs.py"),
)
"""Folders and files on the training path, whole. Settings are not: their values are a part of what a run is."""
_EXCLUDED = (
    "environments/craftax_drawing.py",
    "environments/mujoco_rendering.py",
)
"""Files in these folders that only read or show. A file that is added to the folders counts until it is named here."""


class Record(NamedTuple):
    """A version of the training, and the digests of its sources by path below the package."""

    training_version: int
    sources: dict[str, str]


def current(package: Path = PACKAGE) -> Record:
    """Digest the code as it is now."""
    files = [file for name in _INCLUDED for file in _python_files(package / name)]
    texts = {str(file.relative_to(package)): file.read_text(encoding="utf-8") for file in files}
    return Record(TRAINING_VERSION, {name: digest(texts[name]) for name in sorted(texts.keys() - set(_EXCLUDED))})


def recorded(path: Path = RECORD) -> Record:
    """Read what the code was at the last decision."""
    return Record(**json.loads(path.read_text(encoding="utf-8")))


def changes(before: Record, now: Record) -> list[str]:
    """Name the sources that are new, gone or changed."""
    names = sorted(before.sources.keys() | now.sources.keys())
    return [name for name in names if before.sources.get(name) != now.sources.get(name)]


def digest(source: str) -> str:
    """Hash what a source does: its syntax tree, without docstrings. The same on every version of Python."""
    return hashlib.sha256(_text(ast.parse(source)).encode()).hexdigest()[:16]


def _text(node: object) -> str:
    if isinstance(node, list):
        return f"[{','.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        fields["body"] = [statement for statement in node.body if not _is_text(statement)]
    return f"{type(node).__name__}({','.join(f'{name}={_text(value)}' for name, value in sorted(fields.items()))})"


def _is_text(statement: ast.stmt) -> bool:
    """Tell whether a statement is a string alone: documentation."""
    if not isinstance(statement, ast.Expr):
        return False
    return isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)


def _python_files(path: Path) -> Iterable[Path]:
    return path.rglob("*.py") if path.is_dir() else [path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    decision = parser.add_mutually_exclusive_group(required=True)
    decision.add_argument("--same-behaviour", action="store_true")
    decision.add_argument("--new-behaviour", action="store_true")
    given = parser.parse_args()
    version = TRAINING_VERSION + given.new_behaviour
    if given.new_behaviour:
        schema = PACKAGE / "config/schema.py"
        text = schema.read_text(encoding="utf-8")
        text = re.sub(r"^(TRAINING_VERSION = )\d+$", rf"\g<1>{version}", text, flags=re.MULTILINE)
        schema.write_text(text, encoding="utf-8")
    record = current()._replace(training_version=version)
    RECORD.write_text(json.dumps(record._asdict(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
