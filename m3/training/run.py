"""A run's life: set up, resume, train, save."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

import torch

from m3.config.identity import canonical, config_hash
from m3.config.schema import RunSettings
from m3.data.checkpoint import CheckpointFolder
from m3.data.provenance import Provenance
from m3.environments import VectorEnvironment, make_environment
from m3.nn.perceptual import load_lpips
from m3.training.devices import device_name
from m3.training.metrics import write_metrics
from m3.training.progress import Progress, duration
from m3.training.trainer import Trainer
from m3.training.weights import save_weights

WEIGHTS = "weights.safetensors"
METRICS = "metrics.h5"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class CheckpointInterval:
    """A checkpoint follows an epoch once ``minutes`` have passed since the last, or after every ``epochs`` epochs."""

    minutes: float
    epochs: int | None = None

    def due(self, epoch: int, seconds: float) -> bool:
        """Whether it is time after ``epoch``, ``seconds`` after the last checkpoint."""
        return seconds >= 60 * self.minutes or (self.epochs is not None and epoch % self.epochs == 0)


def train_run(
    settings: RunSettings, folder: Path, device: torch.device, interval: CheckpointInterval, pretrained: Path
) -> None:
    """Train a run to its end, from its newest checkpoint if it has one; leaves weights and metrics in its folder.

    Args:
        settings: the run.
        folder: of the run; checkpoints are in a subfolder named by the settings' hash, so other settings start anew.
        device: where the networks are.
        interval: between checkpoints.
        pretrained: folder of the perceptual distance's weights, read where the settings ask for it.

    Raises:
        UserError: something is missing or damaged, the disk is full, or a loss is not finite.
    """
    perceptual = None
    if settings.tokenizer is not None and settings.tokenizer.perceptual == "lpips":
        perceptual = load_lpips(pretrained).to(device)
    identity = config_hash(settings)
    with ExitStack() as resources:
        environment = make_environment(settings.environment, settings.task, "train")
        resources.callback(environment.close)
        make_test = partial(make_environment, settings.environment, settings.task, "test")
        test_environments = resources.enter_context(VectorEnvironment(make_test, settings.evaluation.environments))
        trainer = Trainer(settings, environment, test_environments, perceptual, device)
        checkpoints = CheckpointFolder(folder / CHECKPOINTS / identity[:8], identity)
        progress = Progress(settings)
        state = checkpoints.load_latest(trainer.replay)
        if state is not None:
            trainer.load_state_dict(state)
            progress.say(f"continues after epoch {trainer.epoch}")
        _train(trainer, checkpoints, progress, settings.epochs, interval)

    save_weights(folder / WEIGHTS, trainer.agent, settings, trainer.collector.agent_steps)
    provenance = Provenance(canonical(settings), identity, [settings.seed], device_name(device))
    write_metrics(
        folder / METRICS, trainer.log, trainer.collector.episodes, settings, environment.frames_per_step, provenance
    )
    progress.say(f"finished: {folder / WEIGHTS}, {folder / METRICS}")


def _train(
    trainer: Trainer, checkpoints: CheckpointFolder, progress: Progress, epochs: int, interval: CheckpointInterval
) -> None:
    saved_at = monotonic()
    while trainer.epoch < epochs:
        trainer.run_epoch(progress)
        if trainer.epoch == epochs or interval.due(trainer.epoch, monotonic() - saved_at):
            start = monotonic()
            checkpoints.save(trainer.epoch, trainer.state_dict(), trainer.replay)
            saved_at = monotonic()
            progress.say(f"checkpoint after epoch {trainer.epoch}, took {duration(saved_at - start)}")
