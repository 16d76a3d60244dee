"""The lock, the conda environments and pyproject.toml name the same packages in the same versions."""

import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins(lines: list[str]) -> dict[str, str]:
    """Name -> version of lines name==version."""
    requirements = [Requirement(line) for line in lines]
    assert all([specifier.operator for specifier in req.specifier] == ["=="] for req in requirements)
    return {canonicalize_name(req.name): next(iter(req.specifier)).version for req in requirements}


def asked_for(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for, in all or with the given extras."""
    return [Requirement(line) for line in PROJECT["dependencies"] + [line for name in extras for line in EXTRAS[name]]]


def pip_section(path: Path) -> list[str]:
    """The pip packages of a conda environment."""
    return next(entry["pip"] for entry in yaml.safe_load(path.read_text())["dependencies"] if isinstance(entry, dict))


LOCK = pins([line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")])


@pytest.mark.parametrize("requirement", asked_for(*(name for name in EXTRAS if name != "all")), ids=str)
def test_the_lock_satisfies_the_project(requirement: Requirement) -> None:
    assert requirement.specifier.contains(LOCK[canonicalize_name(requirement.name)])


def test_all_is_every_extra() -> None:
    assert Requirement(EXTRAS["all"][0]).extras == EXTRAS.keys() - {"all"}


@pytest.mark.parametrize(
    ("name", "extras"), [("train", ["train", "atari", "dmc", "craftax"]), ("analysis", ["analysis"])]
)
def test_a_layers_environment_is_a_part_of_the_lock(name: str, extras: list[str]) -> None:
    environment = pins(pip_section(ROOT / "envs" / f"{name}.yaml"))
    assert environment.items() <= LOCK.items()
    assert {canonicalize_name(requirement.name) for requirement in asked_for(*extras)} <= environment.keys()


def test_the_analysis_environment_has_no_torch() -> None:
    assert "torch" not in pins(pip_section(ROOT / "envs" / "analysis.yaml"))


def test_conda_users_get_the_lock() -> None:
    assert pip_section(ROOT / "environment.yml") == ["--requirement requirements.lock", "--editable ."]


def test_every_environment_has_the_same_python() -> None:
    files = [ROOT / "environment.yml", *(ROOT / "envs").glob("*.yaml")]
    assert {yaml.safe_load(path.read_text())["dependencies"][0] for path in files} == {"python=3.11"}
