"""Write requirements.lock and envs/*.yaml: the exact versions, installed here, of what pyproject.toml asks for.

`make lock` runs this in a fresh environment. Each conda environment holds the packages of one layer of the workflow.
"""

import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LAYERS = {"train": ["train", "watch", "atari", "dmc", "craftax", "baselines"], "analysis": ["analysis"]}
"""Environment -> extras of pyproject.toml."""
PLATFORM_PREFIXES = ("cuda-", "nvidia-", "triton")
"""Torch's own dependencies on machines with a GPU, which it pins itself; elsewhere they are not installed."""


def locked(extras: list[str]) -> list[str]:
    """Lines name==version of the project's dependencies with the given extras, and of all that these need."""
    versions: dict[str, str] = {}
    pending = [Requirement(f"m3[{','.join(extras)}]")]
    seen: set[tuple[str, str]] = set()
    while pending:
        requirement = pending.pop()
        installed = distribution(requirement.name)
        name = canonicalize_name(requirement.name)
        if name != "m3":
            versions[name] = installed.version.partition("+")[0]  # torch says how it was built: 2.13.0+cpu
        for extra in ["", *sorted(requirement.extras)]:
            if (name, extra) not in seen:
                seen.add((name, extra))
                pending += _dependencies(installed.requires or [], extra)
    return [f"{name}=={version}" for name, version in sorted(versions.items())]


def _dependencies(requires: list[str], extra: str) -> list[Requirement]:
    """The requirements that hold on this machine with an extra, or without any."""
    requirements = [Requirement(line) for line in requires]
    return [
        requirement
        for requirement in requirements
        if (requirement.marker is None or requirement.marker.evaluate({"extra": extra}))
        and not requirement.name.startswith(PLATFORM_PREFIXES)
    ]


def requirements_text() -> str:
    """requirements.lock."""
    lines = ["# The exact versions that everything was tested with. Written by `make lock`.", *locked(["all"])]
    return "\n".join(lines) + "\n"


def environment_text(layer: str) -> str:
    """The conda environment of a layer. Everything but Python is from pip: the versions of the lock."""
    lines = [
        f"# For the rules of the {layer} layer, with `snakemake --sdm conda`. Written by `make lock`.",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        "  - python=3.11",
        "  - pip",
        "  - pip:",
        *(f"      - {line}" for line in locked(LAYERS[layer])),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    (ROOT / "requirements.lock").write_text(requirements_text())
    for layer in LAYERS:
        (ROOT / "envs" / f"{layer}.yaml").write_text(environment_text(layer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
