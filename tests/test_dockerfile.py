"""The container's recipe names what the other ways to install do."""

import re
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECIPE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
STEPS = [tuple(line.split(maxsplit=1)) for line in RECIPE.splitlines() if line and not line.startswith("#")]


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in STEPS if name == instruction]


def test_python_is_that_of_the_conda_environment() -> None:
    version = re.search(r"python=([\d.]+)", (ROOT / "environment.yml").read_text())
    assert version is not None
    assert arguments("FROM") == [f"python:{version[1]}-slim"]


def test_packages_are_those_of_the_lock_and_no_others() -> None:
    (copied,) = arguments("COPY")
    source, target = copied.split()
    assert source == "requirements.lock"
    assert [step for step in arguments("RUN") if "pip" in step] == [
        f"pip install --no-cache-dir --requirement {target}"
    ]


def test_what_is_copied_reaches_the_build() -> None:
    rules = (ROOT / ".dockerignore").read_text().split()
    for copied in arguments("COPY"):
        decisions = [rule for rule in rules if fnmatch(copied.split()[0], rule.removeprefix("!"))]
        assert decisions[-1].startswith("!")


def test_rendering_finds_both_of_its_libraries() -> None:
    (system,) = [step for step in arguments("RUN") if "apt-get" in step]
    assert {"libegl1", "libegl-mesa0", "libosmesa6"} <= set(system.split())
