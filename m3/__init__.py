"""M3: a modular world-model agent over streams of tokens, and its benchmark suite. docs/api.md lists what is public."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.version_info < (3, 11):  # noqa: UP036 (a copy that was never installed is run by any Python)
    sys.exit(f"error: M3 needs Python 3.11 or newer, and this is {sys.version.partition(' ')[0]} ({sys.executable})")

if sys.platform == "win32":
    sys.exit("error: M3 does not run on Windows itself: use WSL 2, which runs Linux")

if TYPE_CHECKING:
    from m3.environments import make_environment
    from m3.runs.evaluate import evaluate
    from m3.runs.loading import load
    from m3.runs.train import train

__version__ = "0.1.0"
__all__ = ["evaluate", "load", "make_environment", "train"]

_HOMES = {
    "evaluate": "m3.runs.evaluate",
    "load": "m3.runs.loading",
    "make_environment": "m3.environments",
    "train": "m3.runs.train",
}


def __getattr__(name: str) -> Any:
    """Import what is public when it is asked for first: the commands that need no torch import this package too."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
