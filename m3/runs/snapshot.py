"""A snapshot of an unfinished run: what a finished run leaves, taken from the newest checkpoint."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch

from m3.errors import UserError
from m3.files.atomic import atomic_file
from m3.files.names import DIAGNOSIS, SCORES, SNAPSHOT
from m3.files.run_folder import read_settings, write_settings
from m3.runs.named_code import refuse_unnamed_code
from m3.runs.processes import Processes
from m3.runs.saving import checkpoints_of, load_newest
from m3.runs.train import set_up, write_results
from m3.training.trainer import Trainer


class Reached(NamedTuple):
    """How far a run has come."""

    epoch: int
    epochs: int
    agent_steps: int


def take_snapshot(run: Path, output: Path, own_code: Sequence[Path | str] = ()) -> Reached:
    """Write settings, weights and metrics of a run's newest checkpoint, as the run would if it ended there.

    The run's folder is only read; the run may be training. An earlier snapshot in ``output`` is replaced, and what was
    measured with its weights is removed.

    Args:
        run: the run's folder.
        output: a folder of its own.
        own_code: as of ``m3.load``.

    Raises:
        UserError: the run has no checkpoint, its environment's packages are missing, or ``output`` holds something
            that is no snapshot.
    """
    if output.exists() and not (output / SNAPSHOT).exists() and any(output.iterdir()):
        raise UserError(f"{output} holds something else: a snapshot needs a folder of its own")
    settings = read_settings(run)
    refuse_unnamed_code(settings, own_code, run)
    checkpoints = checkpoints_of(run, settings)
    processes = Processes()
    with ExitStack() as resources:
        trainer = set_up(settings, torch.device("cpu"), perceptual=None, resources=resources)  # as nothing trains
        if not load_newest(checkpoints, trainer, processes):
            raise UserError(f"{run} has no checkpoint: train it first")
        with atomic_file(output / SNAPSHOT) as file:
            file.write(f"A snapshot of {run}\n".encode())
        _replace(trainer, processes, output)
    return Reached(trainer.epoch, settings.epochs, trainer.collector.agent_steps)


def _replace(trainer: Trainer, processes: Processes, output: Path) -> None:
    for measured in (SCORES, DIAGNOSIS):
        (output / measured).unlink(missing_ok=True)
    write_settings(output, trainer.settings)
    write_results(trainer, processes, output)
