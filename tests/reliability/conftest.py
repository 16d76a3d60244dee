"""Runs, and a command that has to refuse."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile import MARK
from test_strange_folders import not_longer_than
from trained import SETTINGS, train

from m3.cli import main
from m3.files.run_folder import write_settings


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was trained without a break."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert train(folder)
    return folder


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    write_settings(folder, SETTINGS)
    return folder


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that has to refuse what it is given; return its line."""
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")

    def run(*arguments: object, statuses: tuple[int, ...] = (2,)) -> str:
        with not_longer_than(120):
            status = main([str(argument) for argument in arguments])
        lines = capsys.readouterr().err.splitlines()
        assert status in statuses, (status, arguments)
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        assert lines[0].isprintable()
        assert len(lines[0]) < 2_000
        assert not list(tmp_path.rglob(MARK))
        return lines[0]

    return run
