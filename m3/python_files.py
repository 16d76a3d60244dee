"""The user's own Python files outside the package, which settings name."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from m3.config.schema import Own
from m3.errors import UserError


@cache
def execute(file: Path, setting: str) -> ModuleType:
    """Execute a file once, as a module that processes and pickles know by its name.

    Args:
        file: relative to where commands are called.
        setting: that names the file, for errors.

    Raises:
        UserError: the file does not exist, is no Python file, or fails.
    """
    if not file.is_file():
        raise UserError(f"{setting}: {file} does not exist in {Path.cwd()}")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise UserError(f"{setting}: {file} is no Python file (.py)")
    taken = _installed(file)
    if taken is not None:
        raise UserError(f"{setting}: {file} has the name of {taken}, which it would replace: rename it")
    if str(file.parent.resolve()) not in sys.path:
        sys.path.append(str(file.parent.resolve()))  # behind everything else: for modules beside the file
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        del sys.modules[file.stem]
        raise UserError(f"{setting}: {file} fails: {type(error).__name__}: {error}") from error
    return module


def _installed(file: Path) -> str | None:
    """Name the module of a file's name that is there already; none where there is none but the file itself."""
    known = sys.modules.get(file.stem)
    try:
        origin = getattr(known, "__file__", "built in") if known else importlib.util.find_spec(file.stem)
    except (ImportError, ValueError):  # no name of a module
        return None
    where = getattr(origin, "origin", origin)
    same = isinstance(where, str) and Path(where).exists() and Path(where).samefile(file)
    return None if origin is None or same else f"the installed module {file.stem} ({where})"


def make_own(own: Own, base: type, setting: str, *arguments: Any) -> Any:
    """Make an object of the class that a file of the user's defines.

    Args:
        own: names file and class, and has its options.
        base: the class that it extends.
        setting: that names the file, for errors.
        arguments: what the class is called with before its options.

    Raises:
        UserError: there is no such file or class, or it cannot be made.
    """
    file, _, name = own.model.rpartition(":")
    made = getattr(execute(Path(file), setting), name, None)
    if not (isinstance(made, type) and issubclass(made, base)):
        raise UserError(f"{setting}: {file} has no class {name} that extends {base.__module__}.{base.__qualname__}")
    try:
        return made(*arguments, **own.options)
    except (TypeError, ValueError) as error:
        raise UserError(f"{setting}: {own.model} cannot be made: {error}") from error
