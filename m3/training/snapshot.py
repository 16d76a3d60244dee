"""A run looked at before it is finished: what a finished one leaves, as of its newest checkpoint."""

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch

from m3.config.identity import canonical, config_hash, resolved_name
from m3.data.atomic import atomic_file
from m3.data.checkpoint import CheckpointFolder
from m3.errors import UserError
from m3.training.experience import read_settings
from m3.training.processes import Processes
from m3.training.run import CHECKPOINTS, set_up, write_results
from m3.training.saving import load_newest
from m3.training.trainer import Trainer

_MEASURED = ("scores.h5", "diagnosis.h5")
"""What is measured with the weights of a snapshot."""
_MARK = "snapshot.txt"
"""In a folder of a snapshot, which the next one may replace; tells of which run."""


class Reached(NamedTuple):
    """How far a run has come."""

    epoch: int
    epochs: int
    agent_steps: int


def take_snapshot(run: Path, output: Path) -> Reached:
    """Write settings, weights and metrics of a run's newest checkpoint, as the run would if it ended there.

    The run's folder is only read; the run may be training. An earlier snapshot in ``output`` is replaced, and what was
    measured with its weights is removed.

    Args:
        run: the run's folder.
        output: a folder of its own.

    Raises:
        UserError: the run has no checkpoint, its environment's packages are missing, or ``output`` holds something
            that is no snapshot.
    """
    if output.exists() and not (output / _MARK).exists() and any(output.iterdir()):
        raise UserError(f"{output} holds something else: a snapshot needs a folder of its own")
    settings = read_settings(run)
    identity = config_hash(settings)
    processes = Processes()
    with ExitStack() as resources:
        trainer = set_up(settings, torch.device("cpu"), perceptual=None, resources=resources)  # as nothing trains
        if not load_newest(CheckpointFolder(run / CHECKPOINTS / identity[:8], identity), trainer, processes):
            raise UserError(f"{run} has no checkpoint: train it first")
        with atomic_file(output / _MARK) as file:
            file.write(f"A snapshot of {run}\n".encode())
        _replace(trainer, processes, output)
    return Reached(trainer.epoch, settings.epochs, trainer.collector.agent_steps)


def _replace(trainer: Trainer, processes: Processes, output: Path) -> None:
    for outdated in (*output.glob("resolved-*.yaml"), *(output / name for name in _MEASURED)):
        outdated.unlink(missing_ok=True)
    with atomic_file(output / resolved_name(trainer.settings)) as file:
        file.write(canonical(trainer.settings).encode())
    write_results(trainer, processes, output)
