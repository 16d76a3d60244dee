"""Python files of the user's own, outside of the package, that settings name."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

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
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        del sys.modules[file.stem]
        raise UserError(f"{setting}: {file} fails: {type(error).__name__}: {error}") from error
    return module
