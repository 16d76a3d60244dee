from pathlib import Path

import pytest
from trained import train


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was trained without a break."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert train(folder)
    return folder
