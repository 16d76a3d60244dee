"""A run's life: claim its folder, set up, resume, train, save, leave the results."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import torch

from m3.config.identity import config_hash
from m3.config.schema import RunSettings
from m3.environments import Environment, make_environment, make_environments
from m3.errors import OccupiedError, UserError
from m3.files.names import CHECKPOINTS, FAILURE, METRICS, WEIGHTS
from m3.files.pretrained import refuse_other_weights
from m3.files.run_folder import checkpoint_folder, refuse_other_settings
from m3.nn.perceptual import load_lpips
from m3.runs.beginning import begin
from m3.runs.failure import FailureRecord
from m3.runs.lease import Lease
from m3.runs.metrics import write_metrics
from m3.runs.processes import Processes
from m3.runs.progress import RunProgress
from m3.runs.requirements import Requirements, check_batch, folder_bytes, refuse_batches_without_data, size
from m3.runs.saving import CheckpointInterval, Saver, checkpoints_of
from m3.runs.stops import Stop, StopNow
from m3.runs.weights import save_weights
from m3.runs.workload import refuse_weeks_on_the_cpu, seconds_of_parts
from m3.tokenizers.base import Perceptual
from m3.training.devices import be_deterministic, device_name, select_device
from m3.training.trainer import Trainer

_WAIT_SECONDS = 1.0

AfterEpoch = Callable[[Trainer], None]
"""Looks at a run after each epoch, and changes nothing."""


def train(
    settings: RunSettings,
    folder: Path,
    *,
    device: str = "auto",
    interval: CheckpointInterval = CheckpointInterval(),  # noqa: B008 (immutable)
    pretrained: Path = Path("pretrained"),
    deterministic: bool = False,
    stop: Stop | None = None,
    wait: bool = False,
    following: AbstractContextManager[AfterEpoch] | None = None,
    graphs: bool = False,
    recompute: bool = False,
    workers: int = 1,
) -> bool:
    """Train a run to its end, from its newest checkpoint if it has one, and leave weights and metrics in its folder.

    Returns whether the run is finished. If not, the process was stopped, and the next call continues the run.

    Args:
        settings: the run.
        folder: of the run; checkpoints are in a subfolder named by the settings' hash, so other settings start anew.
        device: where the networks are: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N".
        interval: between checkpoints.
        pretrained: folder of the perceptual distance's weights, read where the settings ask for it.
        deterministic: whether a GPU has to give the same bits every time, which is slower; the CPU always does.
        stop: ends the process early; none: never.
        wait: for another process that trains the run, instead of refusing.
        following: gives what is called after each epoch, for example to show what was measured.
        graphs: capture steps and replay them (CUDA graphs), with the same results.
        recompute: the world model's layers in its backward pass: less memory, the same results.
        workers: processes that step the environments of evaluations, with the same results.

    Raises:
        StopNow: it is time to stop before training began.
        OccupiedError: another process trains the run.
        RunFailedError: a loss is not finite, or the run has failed in the same way again and again.
        UserError: something is missing, damaged or too small, or the folder is of other settings.
    """
    if settings.command is not None:
        raise UserError(f"variant {settings.variant!r} has a program of its own: m3 run-program calls it")
    folder, stop, progress = Path(folder), stop or Stop(), RunProgress(settings)
    with ExitStack() as resources:
        if (lease := _claim(folder, wait, stop, progress)) is None:
            return False
        resources.enter_context(lease)
        resources.enter_context(_noting_the_end(folder, lease, stop, progress))
        refuse_other_settings(folder, settings)
        failures = FailureRecord(folder / FAILURE, config_hash(settings), lease)
        failures.raise_if_final()
        where = _prepare_device(device, settings, deterministic, progress)
        after_epoch = resources.enter_context(following) if following is not None else None
        trainer = set_up(
            settings, where, _perceptual(settings, pretrained, where), resources, graphs, recompute, workers
        )
        _expect(trainer, where, device, stop, progress)
        _say_start(trainer, folder, where, progress)
        saver = Saver(checkpoints_of(folder, settings, lease), interval, lease, progress, stop)
        saver.restore(trainer, where)
        if trainer.epoch == 0:
            begin(trainer)
        finished = _train_or_record(trainer, saver, failures, stop, progress, folder, after_epoch)
        _say_end(finished, folder, stop, progress)
    return finished


def _prepare_device(name: str, settings: RunSettings, deterministic: bool, progress: RunProgress) -> torch.device:
    """Choose the device, say so, and set how it computes."""
    device = select_device(name)
    progress.say(f"on {device_name(device)}, precision {settings.precision}, {torch.get_num_threads()} threads")
    be_deterministic(device, also_on_gpu=deterministic)
    return device


def _expect(trainer: Trainer, device: torch.device, asked_for: str, stop: Stop, progress: RunProgress) -> None:
    """Estimate how long training takes, and refuse weeks on a CPU that nobody asked for."""
    progress.expect(seconds_of_parts(trainer, device))
    if not stop.has_budget:
        refuse_weeks_on_the_cpu(progress.seconds_left(0), device, asked_for)


def _claim(folder: Path, wait: bool, stop: Stop, progress: RunProgress) -> Lease | None:
    """Take the lease on a run, at once or once its holder has ended; none where it is time to stop before."""
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


@contextmanager
def _noting_the_end(folder: Path, lease: Lease, stop: Stop, progress: RunProgress) -> Iterator[None]:
    """Keep the progress file within the block, and write into it what ends the block early."""
    progress.keep_file(folder, lease)
    try:
        yield
    except StopNow:
        progress.end("stopped", stop.reason)
        raise
    except OccupiedError:
        raise  # the file is another process's by now
    except Exception as error:
        progress.end("failed", next(iter(str(error).strip().splitlines()), type(error).__name__))
        raise


def _perceptual(settings: RunSettings, pretrained: Path, device: torch.device) -> Perceptual | None:
    """Load the tokenizer's perceptual distance, where the settings ask for one."""
    if settings.tokenizer is None or settings.tokenizer.perceptual != "lpips":
        return None
    refuse_other_weights(pretrained)
    return load_lpips(pretrained).to(device)


def set_up(
    settings: RunSettings,
    device: torch.device,
    perceptual: Perceptual | None,
    resources: ExitStack,
    graphs: bool = False,
    recompute: bool = False,
    workers: int = 1,
) -> Trainer:
    """Make the run as it is before its first epoch. Environments are closed with ``resources``.

    Raises:
        UserError: the settings ask for what the environment or the run's experience cannot give.
    """
    refuse_batches_without_data(settings)
    environment: Environment = make_environment(settings.environment, settings.task, "train")
    resources.callback(environment.close)
    count = settings.evaluation.environments
    test_environments = resources.enter_context(
        make_environments(settings.environment, settings.task, "test", count, workers)
    )
    trainer = Trainer(settings, environment, test_environments, perceptual, device, graphs, recompute)
    if settings.tokenizer is not None and trainer.agent.tokenizer.image is None:
        raise UserError("the environment shows no images: leave the `tokenizer` section out of the settings")
    return trainer


def _say_end(finished: bool, folder: Path, stop: Stop, progress: RunProgress) -> None:
    if finished:
        progress.end("finished")
        progress.say(f"finished: {folder / WEIGHTS}, {folder / METRICS}")
    else:
        progress.end("stopped", stop.reason)


def _say_start(trainer: Trainer, folder: Path, device: torch.device, progress: RunProgress) -> None:
    """Say what the run needs, and whether other settings have left checkpoints.

    Raises:
        UserError: memory or disk do not suffice.
    """
    checkpoints = checkpoint_folder(folder, trainer.settings)
    parameter_bytes = sum(parameter.nbytes for parameter in trainer.agent.parameters())
    progress.say(Requirements.of(trainer.settings, trainer.replay, parameter_bytes).check(folder, checkpoints))
    if trainer.settings.world_model.schedule.start_after_epoch < trainer.settings.epochs:
        progress.say(check_batch(trainer.settings, trainer.agent.world_model, device))
    others = [other for other in folder.glob(f"{CHECKPOINTS}/*") if other != checkpoints]
    if others and not checkpoints.exists():
        progress.say("is a new run: its settings, or the training version, are not those of earlier checkpoints here")
    for other in others:
        progress.say(f"not used: {other}, {size(folder_bytes(other))} of other settings; delete it to free the space")


def _train_or_record(
    trainer: Trainer,
    saver: Saver,
    failures: FailureRecord,
    stop: Stop,
    progress: RunProgress,
    folder: Path,
    after_epoch: AfterEpoch | None,
) -> bool:
    """Train and leave the results; remember what goes wrong. Return whether the run is finished."""
    try:
        finished = _train_epochs(trainer, saver, failures, stop, progress, after_epoch)
        if finished:
            with suppress(StopNow), stop.postponed():
                saver.lease.check()
                refuse_other_settings(folder, trainer.settings)
                write_results(trainer, saver.processes, folder, saver.lease)
                failures.forget()
    except OccupiedError:
        raise
    except Exception as error:
        raise failures.record(trainer.epoch, error, saver.epoch) from error
    return finished


def _train_epochs(
    trainer: Trainer,
    saver: Saver,
    failures: FailureRecord,
    stop: Stop,
    progress: RunProgress,
    after_epoch: AfterEpoch | None,
) -> bool:
    """Train until the end, or until it is time to stop; return whether it is the end."""
    began, epochs = trainer.epoch, trainer.settings.epochs
    whole = began  # the last epoch that was trained to its end
    looked = 0.0  # the longest that after_epoch took, in seconds
    try:
        while trainer.epoch < epochs:
            expected = progress.expected_seconds(trainer.epoch + 1)
            unknown = math.isnan(expected)
            if stop.due(0 if unknown else expected + looked + saver.seconds):
                break
            if unknown and stop.has_budget:
                saver.save(trainer)  # should the epoch turn out too long, the next process has its whole budget for it
            if stop.may_cut_short(expected + looked):
                saver.hold(trainer)
            trainer.run_epoch(progress)
            whole = trainer.epoch
            saver.save_if_due(trainer)
            if after_epoch is not None:
                saver.lease.check()
                start = monotonic()
                after_epoch(trainer)
                looked = max(looked, monotonic() - start)
            failures.forget_before(saver.epoch)
        saver.save(trainer)
    except StopNow:
        with suppress(StopNow):  # which is overdue; without this checkpoint, whole epochs would be lost
            saver.save(trainer) if trainer.epoch == whole else saver.save_held()
    if saver.epoch < epochs:
        _say_stopped(trainer, saver, stop, progress, began)
    return saver.epoch == epochs


def _say_stopped(trainer: Trainer, saver: Saver, stop: Stop, progress: RunProgress, began: int) -> None:
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


def write_results(trainer: Trainer, processes: Processes, folder: Path, lease: Lease | None = None) -> None:
    """Leave weights and metrics in a folder, of what the run has come to; with a lease, as long as it holds."""
    save_weights(folder / WEIGHTS, trainer.agent, trainer.settings, trainer.collector.agent_steps, lease)
    write_metrics(folder / METRICS, trainer, processes, lease)
