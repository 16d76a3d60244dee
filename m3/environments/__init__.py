"""Environments by family; a simulator is imported only when one of its environments is made."""

import importlib
import os
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

from m3.config.simulators import EnvironmentSettings
from m3.environments.base import Environment, Mode, Step
from m3.environments.vector import SerialEnvironments, VectorEnvironment, VectorStep
from m3.errors import UserError

__all__ = [
    "Environment",
    "Mode",
    "SerialEnvironments",
    "Step",
    "VectorEnvironment",
    "VectorStep",
    "make_environment",
    "make_environments",
    "valid_tasks",
]


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
    batch: str | None = None
    """The module whose ``make_batch`` makes several environments that are stepped together."""


_FAMILIES = {
    "atari": _Family("m3.environments.atari", ("ale-py", "pillow")),
    "dmc": _Family("m3.environments.dmc", ("dm_control", "mujoco"), ("MUJOCO_GL",)),
    "craftax": _Family(
        "m3.environments.craftax", ("craftax", "jax"), ("JAX_PLATFORMS",), "m3.environments.craftax_batch"
    ),
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


def make_environments(
    settings: EnvironmentSettings, task: str, mode: Mode, count: int, workers: int = 1
) -> VectorEnvironment:
    """Make environments side by side. What they do depends neither on their number nor on that of the workers.

    Args:
        settings: the family and its options.
        task: one of ``valid_tasks(settings)``.
        mode: training and test differ in Atari only.
        count: how many.
        workers: processes that step them, at most one for each environment; 1: this process does, as it always does
            where one compiled function steps all (Craftax).

    Raises:
        UserError: the task does not exist, or the family's simulator is not installed.
    """
    module = _FAMILIES[settings.family].batch
    if module is not None and count > 1:
        return cast(VectorEnvironment, _import(settings, module).make_batch(settings, task, count))
    if min(workers, count) > 1:
        from m3.environments.workers import WorkerEnvironments

        return WorkerEnvironments(settings, task, mode, count, min(workers, count))
    return SerialEnvironments(partial(make_environment, settings, task, mode), count)


def valid_tasks(settings: EnvironmentSettings) -> list[str]:
    """List the names of all tasks of a family.

    Raises:
        UserError: the family's simulator is not installed, or cannot be loaded.
    """
    return _adapter(settings).tasks()


def _adapter(settings: EnvironmentSettings) -> _Adapter:
    return cast(_Adapter, _import(settings, _FAMILIES[settings.family].module))


def _import(settings: EnvironmentSettings, module: str) -> Any:
    family = _FAMILIES[settings.family]
    try:
        return importlib.import_module(module)
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
