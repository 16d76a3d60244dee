"""What made a file: settings, seeds, versions, source revision, machine."""

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import m3

PACKAGES = (
    "numpy",
    "h5py",
    "torch",
    "safetensors",
    "gymnasium",
    "ale-py",
    "dm_control",
    "mujoco",
    "craftax",
    "jax",
    "rliable",
    "snakemake",
)
"""Distributions whose versions are recorded where they are installed."""


@dataclass(frozen=True)
class Provenance:
    """What a caller knows about the origin of a file; ``attributes`` adds what the process knows."""

    config: str
    """The resolved settings, as YAML."""
    config_hash: str
    """SHA-256 of ``config``, in hex."""
    seeds: Sequence[int]
    """The seeds of all runs that the content comes from."""
    device: str = "cpu"
    """Name of the device that computed the content."""

    def attributes(self) -> dict[str, Any]:
        """Return all attributes, by name, as they are written to a file."""
        own = {
            "config": self.config,
            "config_hash": self.config_hash,
            "seeds": [int(seed) for seed in self.seeds],
            "device": self.device,
        }
        return own | collect()


ATTRIBUTES = frozenset(
    {"config", "config_hash", "seeds", "device", "created_by", "packages", "git_revision", "git_dirty", "host"}
)
"""Names of the attributes that ``Provenance.attributes`` returns."""


@cache
def collect() -> dict[str, Any]:
    """Collect what is the same for all files of this process.

    Returns:
        created_by (str), packages (list of "name==version"), git_revision (str; "unknown" where M3 does not run from
        a repository), git_dirty (bool; tracked files that M3 did not write itself differ from the revision), host
        (str).
    """
    revision, is_dirty = git_state(Path(m3.__file__).parents[1])
    return {
        "created_by": f"m3 {m3.__version__}",
        "packages": [f"python=={platform.python_version()}", *_installed()],
        "git_revision": revision,
        "git_dirty": is_dirty,
        "host": platform.node(),
    }


def _installed() -> list[str]:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return found


_WRITTEN = (":(exclude,glob)results/*/*/**", ":(exclude)figures")
"""What M3 writes into its own repository: a run that replaces an earlier one in there has the same code."""


def git_state(repository: Path) -> tuple[str, bool]:
    """Ask git for the commit, and whether tracked files differ from it; ("unknown", False) if there is none."""
    if not (repository / ".git").exists():  # an installed copy may lie inside somebody else's repository
        return "unknown", False
    try:
        revision = _git(repository, "rev-parse", "HEAD")
        changed = _git(repository, "diff", "--quiet", "HEAD", "--", ".", *_WRITTEN)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown", False
    return (revision.stdout.strip(), changed.returncode != 0) if revision.returncode == 0 else ("unknown", False)


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "--no-optional-locks", *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=10)
