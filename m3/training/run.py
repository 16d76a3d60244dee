"""A run's life: set up, resume, train, save."""

import math
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import torch

from m3.config.identity import canonical, config_hash, resolved_name
from m3.config.schema import RunSettings
from m3.data.checkpoint import CheckpointFolder
from m3.data.lease import Lease
from m3.data.provenance import Provenance
from m3.environments import Environment, VectorEnvironment, make_environment
from m3.errors import OccupiedError, UserError
from m3.nn.perceptual import load_lpips
from m3.tokenizers.image_vqvae import Perceptual
from m3.training.failure import FailureRecord
from m3.training.metrics import write_metrics
from m3.training.needs import KEPT_CHECKPOINTS, Needs, folder_bytes, size
from m3.training.processes import Processes
from m3.training.progress import Progress
from m3.training.saving import CheckpointInterval, Saver
from m3.training.stops import Stop, StopNow
from m3.training.trainer import Trainer
from m3.training.weights import save_weights

WEIGHTS = "weights.safetensors"
METRICS = "metrics.h5"
CHECKPOINTS = "checkpoints"
FAILURE = "failure.json"

_WAIT_SECONDS = 1.0

AfterEpoch = Callable[[Trainer], None]
"""Looks at a run after each epoch, and changes nothing."""


def train_run(
    settings: RunSettings,
    folder: Path,
    device: torch.device,
    interval: CheckpointInterval,
    pretrained: Path,
    stop: Stop | None = None,
    wait: bool = False,
    after_epoch: AfterEpoch | None = None,
    graphs: bool = False,
) -> bool:
    """Train a run to its end, from its newest checkpoint if it has one; leaves weights and metrics in its folder.

    Args:
        settings: the run.
        folder: of the run; checkpoints are in a subfolder named by the settings' hash, so other settings start anew.
        device: where the networks are.
        interval: between checkpoints.
        pretrained: folder of the perceptual distance's weights, read where the settings ask for it.
        stop: ends the process early; none: never.
        wait: for another process that trains the run, instead of refusing.
        after_epoch: is called after each epoch, for example to show what was measured.
        graphs: capture steps and replay them (CUDA graphs), with the same results.

    Returns:
        whether the run is finished. If not, the process was stopped, and the next call continues the run.

    Raises:
        StopNow: it is time to stop before training began.
        OccupiedError: another process trains the run.
        RunFailedError: a loss is not finite, or the run has failed in the same way again and again.
        UserError: something is missing or damaged, memory or disk do not suffice, the folder is of other settings, or
            the time budget does not suffice for an epoch.
    """
    stop = stop or Stop()
    progress = Progress(settings)
    identity = config_hash(settings)
    with ExitStack() as resources:
        lease = _lease(folder, wait, stop, progress)
        if lease is None:
            return False
        resources.enter_context(lease)
        _check_folder(folder, settings)
        failures = FailureRecord(folder / FAILURE, identity)
        failures.raise_if_final()
        trainer = set_up(settings, device, _perceptual(settings, pretrained, device), resources, graphs)
        _say_start(trainer, settings, folder, identity, progress)
        checkpoints = CheckpointFolder(folder / CHECKPOINTS / identity[:8], identity, KEPT_CHECKPOINTS)
        saver = Saver(checkpoints, interval, lease, progress, stop)
        saver.restore(trainer, device)
        try:
            finished = _train(trainer, saver, failures, stop, progress, settings.epochs, after_epoch)
            if finished:
                _write_results(trainer, saver, folder, stop)
        except OccupiedError:
            raise
        except Exception as error:
            raise failures.record(trainer.epoch, error, saver.epoch) from error
    if finished:
        progress.say(f"finished: {folder / WEIGHTS}, {folder / METRICS}")
    return finished


def _check_folder(folder: Path, settings: RunSettings) -> None:
    """Refuse a folder that holds the settings of another run."""
    found = [path.name for path in folder.glob("resolved-*.yaml")]
    if found and resolved_name(settings) not in found:
        raise UserError(
            f"{folder} is now of the settings in {found[0]}, not of {resolved_name(settings)}: train those, or use "
            "another folder"
        )


def _lease(folder: Path, wait: bool, stop: Stop, progress: Progress) -> Lease | None:
    """The lease on a run, at once or once its holder has ended; none where the process was stopped while it waited."""
    waiting = False
    while not stop.due():
        try:
            return Lease(folder)
        except OccupiedError as error:
            if not wait:
                raise
            if not waiting:
                progress.say(f"waits: {error}")
                waiting = True
            sleep(_WAIT_SECONDS)
    progress.say(f"stopped before it began: {stop.reason}; start again")
    return None


def _perceptual(settings: RunSettings, pretrained: Path, device: torch.device) -> Perceptual | None:
    """The tokenizer's perceptual distance, where the settings ask for one."""
    if settings.tokenizer is None or settings.tokenizer.perceptual != "lpips":
        return None
    return load_lpips(pretrained).to(device)


def set_up(
    settings: RunSettings,
    device: torch.device,
    perceptual: Perceptual | None,
    resources: ExitStack,
    graphs: bool = False,
) -> Trainer:
    """The run as it is before its first epoch. Environments are closed with ``resources``."""
    environment: Environment = make_environment(settings.environment, settings.task, "train")
    resources.callback(environment.close)
    make_test = partial(make_environment, settings.environment, settings.task, "test")
    test_environments = resources.enter_context(VectorEnvironment(make_test, settings.evaluation.environments))
    trainer = Trainer(settings, environment, test_environments, perceptual, device, graphs)
    if settings.tokenizer is not None and trainer.agent.tokenizer.image is None:
        raise UserError("the environment shows no images: leave the `tokenizer` section out of the settings")
    return trainer


def _say_start(trainer: Trainer, settings: RunSettings, folder: Path, identity: str, progress: Progress) -> None:
    """Say what the run needs, and whether other settings have left checkpoints.

    Raises:
        UserError: memory or disk do not suffice.
    """
    own = folder / CHECKPOINTS / identity[:8]
    parameter_bytes = sum(parameter.nbytes for parameter in trainer.agent.parameters())
    progress.say(Needs.of(settings, trainer.replay, parameter_bytes).check(folder, own))
    others = [other for other in folder.glob(f"{CHECKPOINTS}/*") if other != own]
    if others and not own.exists():
        progress.say("is a new run: its settings, or the training version, are not those of earlier checkpoints here")
    for other in others:
        progress.say(f"not used: {other}, {size(folder_bytes(other))} of other settings; delete it to free the space")


def _train(
    trainer: Trainer,
    saver: Saver,
    failures: FailureRecord,
    stop: Stop,
    progress: Progress,
    epochs: int,
    after_epoch: AfterEpoch | None,
) -> bool:
    """Train until the end, or until it is time to stop; whether it is the end."""
    began = trainer.epoch
    looked = 0.0  # the longest that after_epoch took, in seconds
    try:
        while trainer.epoch < epochs:
            expected = progress.expected_seconds(trainer.epoch + 1)
            unknown = math.isnan(expected)
            if stop.due(0 if unknown else expected + looked + saver.seconds):
                break
            if unknown and stop.has_budget:
                saver.save(trainer)  # should the epoch turn out too long, the next process has its whole budget for it
            trainer.run_epoch(progress)
            saver.save_if_due(trainer)
            if after_epoch is not None:
                start = monotonic()
                after_epoch(trainer)
                looked = max(looked, monotonic() - start)
            failures.forget_before(saver.epoch)
        saver.save(trainer)
    except StopNow:
        pass  # what was not saved is lost
    if saver.epoch < epochs:
        _say_stopped(trainer, saver, stop, progress, began)
    return saver.epoch == epochs


def _say_stopped(trainer: Trainer, saver: Saver, stop: Stop, progress: Progress, began: int) -> None:
    """Say where training stopped, or refuse: without progress, starting again with this budget would never end."""
    cut_short = trainer.epoch > saver.epoch
    if saver.epoch == began and not stop.signalled:
        epoch = trainer.epoch if cut_short else trainer.epoch + 1
        raise UserError(f"the time budget does not suffice for epoch {epoch}: give it more minutes")
    if cut_short:
        lost = f"what was done since epoch {saver.epoch} is lost, start again to continue from there"
        progress.say(f"stopped within epoch {trainer.epoch}: {stop.reason}; {lost}")
    else:
        progress.say(f"stopped after epoch {trainer.epoch}: {stop.reason}; start again to continue")


def _write_results(trainer: Trainer, saver: Saver, folder: Path, stop: Stop) -> None:
    with suppress(StopNow), stop.postponed():
        saver.lease.check()
        _check_folder(folder, trainer.settings)
        write_results(trainer, saver.processes, folder)


def write_results(trainer: Trainer, processes: Processes, folder: Path) -> None:
    """Leave weights and metrics in a folder, of what the run has come to."""
    settings = trainer.settings
    save_weights(folder / WEIGHTS, trainer.agent, settings, trainer.collector.agent_steps)
    provenance = Provenance(canonical(settings), config_hash(settings), [settings.seed], processes.device)
    write_metrics(
        folder / METRICS,
        trainer.log,
        trainer.collector.episodes,
        processes.tree(),
        settings,
        trainer.frames_per_step,
        provenance,
    )
