from pathlib import Path

import pytest
from toy_runs import toy_settings, train_in_folder


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run with every modality and discrete actions."""
    return train_in_folder(tmp_path_factory.mktemp("runs") / "all", toy_settings("all_modalities"))


@pytest.fixture(scope="session")
def vector_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run without pictures, with continuous actions."""
    return train_in_folder(tmp_path_factory.mktemp("runs") / "vector", toy_settings("vector"))
