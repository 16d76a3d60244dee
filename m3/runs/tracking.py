"""Following a run in TensorBoard or Weights & Biases, from what the trainer measures."""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m3.config.experiment import Tracking
from m3.config.identity import config_hash
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files.names import TENSORBOARD
from m3.specs import DiscreteActions
from m3.training.trainer import Trainer

_LATEST_STEPS = 256
"""How many steps of the replay the histograms of actions, values and codes show."""


class Tracker(ABC):
    """Shows what every epoch measured, over epochs."""

    @abstractmethod
    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        """Show single numbers by name."""

    @abstractmethod
    def histogram(self, name: str, values: np.ndarray, epoch: int) -> None:
        """Show how values are distributed."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left."""

    def after_epoch(self, trainer: Trainer) -> None:
        """Show what the trainer has measured; with an evaluation also histograms."""
        epoch = trainer.epoch
        self.scalars(epoch_scalars(trainer), epoch)
        scores = trainer.log.newest_evaluation(epoch)
        if scores is not None:
            self.histogram("evaluation/returns", scores.returns, epoch)
            self.histogram("evaluation/lengths", scores.lengths, epoch)
            for name, values in latest_experience(trainer).items():
                self.histogram(name, values, epoch)


class TensorBoardTracker(Tracker):
    """Event files in a folder; ``tensorboard --logdir results/runs`` shows those of all runs side by side.

    A run that continues from a checkpoint replaces what it had shown of later epochs.

    Raises:
        UserError: the package is missing.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._module: Any = importlib.import_module("torch.utils.tensorboard")
        except ModuleNotFoundError as error:
            raise UserError("TensorBoard is not installed: pip install tensorboard, or use --track none") from error
        self._folder = folder
        self._writer: Any = None

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        for name, value in values.items():
            self._of(epoch).add_scalar(name, value, epoch)
        self._writer.flush()

    def histogram(self, name: str, values: np.ndarray, epoch: int) -> None:
        self._of(epoch).add_histogram(name, values, epoch)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _of(self, epoch: int) -> Any:
        if self._writer is None:
            self._writer = self._module.SummaryWriter(str(self._folder), purge_step=epoch)
        return self._writer


class WandbTracker(Tracker):
    """A run of a project of Weights & Biases, continued where it was; WANDB_* variables hold as usual.

    Raises:
        UserError: the package is missing, or refuses, for example because there is no key.
    """

    def __init__(self, folder: Path, settings: RunSettings, tracking: Tracking) -> None:
        try:
            self._wandb: Any = importlib.import_module("wandb")
        except ModuleNotFoundError as error:
            raise UserError("Weights & Biases is not installed: pip install wandb") from error
        try:
            self._run = self._wandb.init(
                project=tracking.project,
                **({"mode": "offline"} if tracking.offline else {}),
                id=config_hash(settings)[:16],
                resume="allow",
                dir=str(folder),
                name=f"{settings.task} {settings.variant} seed {settings.seed}",
                group=tracking.group or f"{settings.benchmark} {settings.variant}",
                config=settings.model_dump(mode="json"),
            )
        except Exception as error:  # it has many kinds, which differ between its versions
            raise UserError(
                f"Weights & Biases cannot be started: {error}; set WANDB_API_KEY (or call `wandb login` once), "
                "or use --track-offline or --track none"
            ) from error

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        self._run.log(dict(values), step=epoch)

    def histogram(self, name: str, values: np.ndarray, epoch: int) -> None:
        self._run.log({name: self._wandb.Histogram(values)}, step=epoch)

    def close(self) -> None:
        self._run.finish()


def make_tracker(tracking: Tracking, folder: Path, settings: RunSettings) -> Tracker | None:
    """Make the tracker for the run in ``folder``. "auto" is TensorBoard where it is installed.

    Raises:
        UserError: its package is missing.
    """
    match tracking.tool:
        case "none":
            return None
        case "auto" if importlib.util.find_spec("tensorboard") is None:
            return None
        case "auto" | "tensorboard":
            return TensorBoardTracker(folder / TENSORBOARD)
        case "wandb":
            return WandbTracker(folder, settings, tracking)


def epoch_scalars(trainer: Trainer) -> dict[str, float]:
    """Return the last epoch's metrics, and the mean return and length of the training episodes that ended in it."""
    metrics = trainer.log.newest
    before = metrics["agent_steps"] - trainer.settings.collection.steps_per_epoch
    ended = [episode for episode in trainer.collector.episodes[-_LATEST_STEPS:] if episode.agent_steps > before]
    scalars = {name if "/" in name else f"progress/{name}": value for name, value in metrics.items() if name != "epoch"}
    if ended and "collect/seconds" in metrics:
        scalars["collect/episode_return"] = float(np.mean([episode.episode_return for episode in ended]))
        scalars["collect/episode_length"] = float(np.mean([episode.length for episode in ended]))
    return scalars


@torch.no_grad()
def latest_experience(trainer: Trainer) -> dict[str, np.ndarray]:
    """Look at the latest steps in the replay: actions by dimension, the critic's values, which codes images use."""
    replay, agent = trainer.replay, trainer.agent
    rows = replay.rows(max(replay.first_row, replay.next_row - _LATEST_STEPS), replay.next_row)
    taken = rows.columns["actions"][~rows.columns["final"]]
    discrete = isinstance(agent.actor_critic.actions, DiscreteActions)
    shared = "collect/actions" if discrete and taken.shape[1] == 1 else "collect/action_dimension_{}"
    shown = {shared.format(dimension): taken[:, dimension] for dimension in range(taken.shape[1])}
    device = agent.actor_critic.actor.weight.device
    observations = {name: torch.from_numpy(values).to(device) for name, values in rows.observations.items()}
    tokens = agent.tokenizer.encode(observations)
    if agent.tokenizer.image is not None:
        shown["tokenizer/codes"] = tokens["image"].flatten().cpu().numpy()
    views = agent.tokenizer.decode(tokens)
    output, _ = agent.actor_critic.observe(views, agent.actor_critic.initial_state(len(rows.columns["rewards"])))
    shown["controller/values_without_memory"] = agent.actor_critic.critic.mean(output.value).cpu().numpy()
    return shown
