from pathlib import Path

import pytest
import torch
from toy_runs import toy_settings

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


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run with every modality and discrete actions."""
    return train(tmp_path_factory.mktemp("runs") / "all", toy_settings("all_modalities"))


@pytest.fixture(scope="session")
def vector_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run without pictures, with continuous actions."""
    return train(tmp_path_factory.mktemp("runs") / "vector", toy_settings("vector"))
