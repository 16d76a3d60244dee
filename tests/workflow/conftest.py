import shutil
from pathlib import Path

import pytest
from projects import Project, copy_project, with_stand_ins


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = with_stand_ins(copy_project(tmp_path_factory.mktemp("finished") / "project"))
    result = project.snakemake("--cores", "2", "runs")
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture
def finished(finished_once: Project, tmp_path: Path) -> Project:
    """A project in which every run of config/own.yaml is done, to be changed."""
    return Project(Path(shutil.copytree(finished_once.folder, tmp_path / "project", symlinks=True)))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with stand-ins in which nothing was run."""
    return with_stand_ins(copy_project(tmp_path / "project"))


@pytest.fixture
def real_project(tmp_path: Path) -> Project:
    """A project as it is, in which nothing was run."""
    return copy_project(tmp_path / "project")
