"""A run's collected experience, from its newest checkpoint."""

from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from m3.config.identity import canonical, config_hash, read_resolved
from m3.config.schema import RunSettings
from m3.data import dataset
from m3.data.checkpoint import CheckpointFolder
from m3.data.provenance import Provenance
from m3.data.replay import Replay
from m3.environments import make_environment
from m3.errors import UserError
from m3.training.run import CHECKPOINTS
from m3.training.trainer import new_replay


class Checkpoint(NamedTuple):
    """A run as its newest checkpoint has it."""

    settings: RunSettings
    replay: Replay
    trainer: dict[str, Any]
    """State of the trainer, as arrays and plain values."""
    frames_per_step: int


def read_settings(run: Path) -> RunSettings:
    """The settings in a run's folder.

    Raises:
        UserError: there are none, or more than one.
    """
    files = sorted(run.glob("resolved-*.yaml"))
    if len(files) != 1:
        raise UserError(f"{run} has {len(files) or 'no'} resolved-*.yaml; give the folder of one run")
    return read_resolved(files[0])


def newest_checkpoint(run: Path) -> Checkpoint:
    """The newest checkpoint in a run's folder.

    Raises:
        UserError: the run has no checkpoint, or its environment's packages are missing.
    """
    settings = read_settings(run)
    identity = config_hash(settings)
    with closing(make_environment(settings.environment, settings.task, "train")) as environment:
        replay = new_replay(settings, environment)
    state = CheckpointFolder(run / CHECKPOINTS / identity[:8], identity).load_latest(replay)
    if state is None:
        raise UserError(f"{run} has no checkpoint: train it first")
    return Checkpoint(settings, replay, state["trainer"], environment.frames_per_step)


def export_dataset(run: Path, output: Path) -> int:
    """Write the finished episodes in the newest checkpoint's replay; their number.

    Raises:
        UserError: the run has no checkpoint.
    """
    settings, replay, _, frames_per_step = newest_checkpoint(run)
    scalars: dict[str, int | float | str | bool | None] = {
        "benchmark": settings.benchmark,
        "variant": settings.variant,
        "task": settings.task,
        "seed": settings.seed,
        "frames_per_step": frames_per_step,
    }
    dataset.export(output, replay, Provenance(canonical(settings), config_hash(settings), [settings.seed]), scalars)
    return len(replay.finished_episodes())
