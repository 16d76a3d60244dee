"""Environments by family; a simulator is imported only when one of its environments is made."""

import importlib
import os
from typing import NamedTuple, Protocol, cast

from m3.config.simulators import EnvironmentSettings
from m3.environments.base import Environment, Mode, Step
from m3.environments.vector import VectorEnvironment, VectorStep
from m3.errors import UserError

__all__ = ["Environment", "Mode", "Step", "VectorEnvironment", "VectorStep", "make_environment", "valid_tasks"]


class _Adapter(Protocol):
    """What every adapter module offers."""

    def tasks(self) -> list[str]:
        """List the names of all its tasks."""

    def make(self, settings: EnvironmentSettings, task: str, mode: Mode) -> Environment:
        """Make one environment; raises UserError where the task does not exist."""


class _Family(NamedTuple):
    module: str
    packages: tuple[str, ...]
    """Distributions to install, beyond what m3 itself needs."""
    variables: tuple[str, ...] = ()
    """Of the shell, that choose how its simulator runs."""


_FAMILIES = {
    "atari": _Family("m3.environments.atari", ("ale-py", "pillow")),
    "dmc": _Family("m3.environments.dmc", ("dm_control", "mujoco"), ("MUJOCO_GL",)),
    "craftax": _Family("m3.environments.craftax", ("craftax", "jax"), ("JAX_PLATFORMS",)),
    "gymnasium": _Family("m3.environments.gymnasium_adapter", ("gymnasium", "pillow")),
    "toy": _Family("m3.environments.toy", ()),
}


def make_environment(settings: EnvironmentSettings, task: str, mode: Mode) -> Environment:
    """Make one environment.

    Args:
        settings: the family and its options.
        task: one of ``valid_tasks(settings)``.
        mode: training and test differ in Atari only.

    Raises:
        UserError: the task does not exist, or the family's simulator is not installed.
    """
    return _adapter(settings).make(settings, task, mode)


def valid_tasks(settings: EnvironmentSettings) -> list[str]:
    """List the names of all tasks of a family.

    Raises:
        UserError: the family's simulator is not installed, or cannot be loaded.
    """
    return _adapter(settings).tasks()


def _adapter(settings: EnvironmentSettings) -> _Adapter:
    family = _FAMILIES[settings.family]
    try:
        return cast(_Adapter, importlib.import_module(family.module))
    except ModuleNotFoundError as error:
        packages = " ".join(family.packages)
        raise UserError(
            f"{settings.family} environments need packages that are not installed "
            f"({error.name} is missing): pip install {packages}"
        ) from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # a library or device is missing, or refuses
        chosen = [f"{name}={os.environ[name]}" for name in family.variables if name in os.environ]
        advice = f" (here {', '.join(chosen)})" if chosen else ""
        raise UserError(f"{settings.family} environments cannot be loaded here: {error}{advice}") from error
