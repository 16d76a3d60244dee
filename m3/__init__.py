"""M3: a modular world-model agent over streams of tokens, and its benchmark suite."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m3.loading import LoadedAgent

__version__ = "0.1.0"


def load(path: Path | str, device: str = "cpu") -> "LoadedAgent":
    """A trained agent with ``reset()`` and ``act(observation)``; see ``m3.loading``.

    Args:
        path: a run's folder, or its weights.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        UserError: there is no trained agent, or its environment's packages are missing.
    """
    from m3.loading import load_agent  # imports torch

    return load_agent(Path(path), device)
