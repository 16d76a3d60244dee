"""No file that is read as data can execute code: no pickle, no YAML tags, no eval."""

import ast
from pathlib import Path

import pytest

from m3.config.yaml_files import parse_yaml
from m3.errors import UserError

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("m3", "workflow", "envs", "examples") for path in (ROOT / folder).rglob("*.py"))

FORBIDDEN = {
    *("eval", "exec", "__import__", "pickle.load", "pickle.loads", "pickle.Unpickler", "dill.load", "joblib.load"),
    *("marshal.load", "marshal.loads", "shelve.open", "torch.jit.load", "torch.hub.load", "pd.read_pickle"),
    *("pandas.read_pickle", "yaml.unsafe_load", "yaml.full_load", "importlib.util.spec_from_file_location"),
}
SAID_WITH_THE_CALL = {
    "torch.load": ("weights_only", {"True"}),
    "np.load": ("allow_pickle", {"False"}),
    "numpy.load": ("allow_pickle", {"False"}),
    "yaml.load": ("Loader", {"yaml.SafeLoader", "_Loader"}),  # _Loader: a safe one, tested below
}
"""Defaults differ between versions of a library, so that they do not count."""
PROGRAMS_OF_THE_USER = {"m3/python_files.py": ["importlib.util.spec_from_file_location"]}
"""Where the settings name a Python file that is to be run."""


def faults(source: str) -> list[str]:
    """What in a program could execute code from a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in FORBIDDEN:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in SAID_WITH_THE_CALL:
            keyword, safe = SAID_WITH_THE_CALL[ast.unparse(node.func)]
            given = {argument.arg: ast.unparse(argument.value) for argument in node.keywords}
            if given.get(keyword) not in safe:
                found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", [str(path.relative_to(ROOT)) for path in SOURCES])
def test_nothing_that_is_read_can_execute_code(path: str) -> None:
    assert faults((ROOT / path).read_text(encoding="utf-8")) == PROGRAMS_OF_THE_USER.get(path, [])


@pytest.mark.parametrize(
    "line",
    ["torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f)", "pickle.load(f)", "eval(x)", "yaml.load(f)"],
)
def test_the_test_sees_faults(line: str) -> None:
    assert faults(f"def f():\n    return {line}") != []


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [ls]", "!!python/name:os.system", "!mine {a: 1}"])
def test_yaml_makes_plain_values_only(tag: str) -> None:
    with pytest.raises(UserError, match="could not determine a constructor"):
        parse_yaml(f"a: {tag}", "own.yaml")
