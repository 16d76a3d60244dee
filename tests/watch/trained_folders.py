"""Run folders of toy environments."""

from pathlib import Path

import torch

from m3.config.identity import canonical, resolved_name
from m3.config.schema import RunSettings
from m3.training.run import AfterEpoch, train_run
from m3.training.saving import CheckpointInterval


def train(folder: Path, settings: RunSettings, after_epoch: AfterEpoch | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / resolved_name(settings)).write_text(canonical(settings))
    interval = CheckpointInterval(10)
    assert train_run(settings, folder, torch.device("cpu"), interval, Path("none"), after_epoch=after_epoch)
    return folder
