"""When a run's checkpoints are saved, and what is in them."""

from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from m3.config.identity import config_hash
from m3.config.schema import RunSettings
from m3.files.atomic import Fence
from m3.files.run_folder import checkpoint_folder
from m3.runs.checkpoint import CheckpointFolder, EarlierReplay
from m3.runs.lease import Lease
from m3.runs.manifest import understood
from m3.runs.processes import Processes
from m3.runs.progress import RunProgress
from m3.runs.stops import Stop
from m3.training.trainer import Trainer

MOST_TIME = 0.02
"""Checkpoints whose interval is given in minutes take at most this share of the time."""


@dataclass(frozen=True)
class CheckpointInterval:
    """A checkpoint follows an epoch once ``minutes`` have passed since the last, or after every ``epochs`` epochs."""

    minutes: float = 5.0
    epochs: int | None = None

    def due(self, epoch: int, seconds: float, cost: float = 0.0) -> bool:
        """Tell whether it is time, ``seconds`` after the last checkpoint, which took ``cost`` seconds."""
        late = seconds >= max(60 * self.minutes, cost / MOST_TIME)
        return late or (self.epochs is not None and epoch % self.epochs == 0)


def checkpoints_of(run: Path, settings: RunSettings, lease: Fence | None = None) -> CheckpointFolder:
    """Return the checkpoints in a run's folder that are of these settings."""
    return CheckpointFolder(checkpoint_folder(run, settings), config_hash(settings), lease)


def load_newest(folder: CheckpointFolder, trainer: Trainer, processes: Processes) -> bool:
    """Bring a run to where its newest checkpoint has it; return whether there is one."""
    state = folder.load_latest(trainer.replay)
    if state is None:
        return False
    with understood(folder.path):
        trainer.load_state_dict(state["trainer"])
        processes.load_state_dict(state["processes"])
    return True


@dataclass(frozen=True)
class _Moment:
    """A run between two epochs; training that goes on does not change it."""

    epoch: int
    state: dict[str, Any]
    replay: EarlierReplay

    @classmethod
    def of(cls, trainer: Trainer, processes: Processes) -> "_Moment":
        state = {"trainer": trainer.state_dict(), "processes": processes.state_dict()}
        return cls(trainer.epoch, state, EarlierReplay(trainer.replay))


class Saver:
    """Saves a run's checkpoints and restores the newest.

    Args:
        folder: the run's checkpoints.
        interval: between them.
        lease: on the run; nothing is written once another process has it.
        progress: is told what checkpoints cost.
        stop: does not end the process while a checkpoint is written.
    """

    def __init__(
        self, folder: CheckpointFolder, interval: CheckpointInterval, lease: Lease, progress: RunProgress, stop: Stop
    ) -> None:
        self._folder = folder
        self._interval = interval
        self.lease = lease
        self._progress = progress
        self._stop = stop
        self._held: _Moment | None = None
        self._start = self._saved_at = monotonic()
        self._total = 0.0
        self.seconds = 0.0
        """How long the latest checkpoint took."""
        self.epoch = 0
        """The epoch of the newest checkpoint."""
        self.processes = Processes()

    def restore(self, trainer: Trainer, device: torch.device) -> None:
        """Continue from the newest checkpoint, if there is one.

        On the CPU, results depend on the number of threads: a run keeps that with which it began.
        """
        if load_newest(self._folder, trainer, self.processes):
            self.epoch = trainer.epoch
            self._progress.say(f"continues after epoch {trainer.epoch}")
        else:
            self._progress.say("begins")
        self._progress.restored(trainer.epoch, trainer.collector.agent_steps)
        threads = self.processes.threads
        if threads is not None and device.type == "cpu" and threads != torch.get_num_threads():
            self._progress.say(f"computes with {threads} threads, as it began, to come to the same results")
            torch.set_num_threads(threads)
        changes = self.processes.add_this(trainer.epoch, device)
        if changes:
            self._progress.say(f"results may differ from those of one process: {', '.join(changes)}")
        self._start = self._saved_at = monotonic()

    def save_if_due(self, trainer: Trainer) -> None:
        """Save a checkpoint after an epoch, if it is time for one."""
        if self._interval.due(trainer.epoch, monotonic() - self._saved_at, self.seconds):
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save a checkpoint after an epoch, unless there is one of it."""
        if trainer.epoch == self.epoch:
            return
        start = monotonic()
        with self._stop.postponed():
            self.lease.check()
            self._save(self._moment_of(trainer), start)

    def hold(self, trainer: Trainer) -> None:
        """Hold in memory what a checkpoint after this epoch contains, in case a stop cuts the next epoch short."""
        if trainer.epoch > self.epoch:
            with self._stop.postponed():
                self._held = self._moment_of(trainer)

    def save_held(self) -> None:
        """Save a checkpoint of what is held, unless the newest is as new, or the replay has dropped rows of it."""
        if self._held is not None and self._held.epoch > self.epoch and self._held.replay.is_whole:
            with self._stop.postponed():
                self.lease.check()
                self._save(self._held, monotonic())

    def _moment_of(self, trainer: Trainer) -> _Moment:
        if self._held is None or self._held.epoch != trainer.epoch:
            self._held = None  # so that there are not two in memory
            return _Moment.of(trainer, self.processes)
        return self._held

    def _save(self, moment: _Moment, start: float) -> None:
        self._folder.save(moment.epoch, moment.state, moment.replay)
        self.epoch, self._held = moment.epoch, None
        self._progress.saved(self.epoch)
        self._saved_at = monotonic()
        self.seconds = self._saved_at - start
        self._total += self.seconds
        share = self._total / (self._saved_at - self._start)
        self._progress.say(
            f"checkpoint after epoch {self.epoch} in {self.seconds:.1f} s; checkpoints take {share:.1%} of the time"
        )
