"""The page of what is public: signatures are those of the code, and its examples run in order."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/api.md").read_text()
SIGNATURES = list(re.finditer(r"`([\w.]+)(\([^`]*\) -> [^`]*)`", PAGE))
NAMES = sorted(set(re.findall(r"`(m3(?:\.\w+)+)[`(]", PAGE)))


def public(path: str) -> Any:
    """What a dotted path names."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise AssertionError(path)


def interface(function: ast.FunctionDef) -> str:
    """Arguments with their types and defaults, and the type of the result."""
    assert function.returns is not None
    return f"({ast.unparse(function.args)}) -> {ast.unparse(function.returns)}"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_public_exists(name: str) -> None:
    assert public(name) is not None


def test_the_public_face_is_all_of_it() -> None:
    assert {f"m3.{name}" for name in import_module("m3").__all__} <= set(NAMES)


def named(signature: re.Match[str]) -> Any:
    """A function by its path, or a method of the class that the page names last before it."""
    if "." in signature[1]:
        return public(signature[1])
    before = re.findall(r"`(m3(?:\.\w+)+)`", PAGE[: signature.start()])
    return getattr([found for found in map(public, before) if inspect.isclass(found)][-1], signature[1])


@pytest.mark.parametrize("signature", SIGNATURES, ids=lambda signature: signature[1])
def test_signatures_are_those_of_the_code(signature: re.Match[str]) -> None:
    given = ast.parse(f"def f{signature[2]}: ...").body[0]
    source = ast.parse(inspect.cleandoc("\n" + inspect.getsource(named(signature)))).body[0]
    assert isinstance(given, ast.FunctionDef)
    assert isinstance(source, ast.FunctionDef)
    assert interface(given) == interface(source)


def test_the_examples_run(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    script = "\n".join(line[4:] for line in PAGE.splitlines() if line.startswith("    ") or not line)
    (tmp_path / "example.py").write_text(script)
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "finished: my-run/weights.safetensors, my-run/metrics.h5" in done.stdout


def test_what_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'm3' has no attribute 'trian'"):
        _ = import_module("m3").trian
