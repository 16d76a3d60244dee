"""The workflow in another folder, as a module, and from a repository elsewhere, where only M3 itself is at hand."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import ROOT, Project, copy_project

RUN = "results/runs/toy/m3/image/seed-0"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in a folder whose name a shell could misread."""
    folder = copy_project(tmp_path / "it's a clone; $(x)").folder
    shutil.copytree(ROOT / ".test", folder / ".test", ignore=shutil.ignore_patterns("results", "logs", ".snakemake"))
    return folder


def snakemake(folder: Path, *arguments: str, **environment: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=inherited | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_it_trains_in_another_directory(clone: Path) -> None:
    snakemake(clone, "--directory", ".test", "runs", "--configfile", ".test/config/config.yaml")
    assert (clone / ".test" / RUN / "scores.h5").exists()
    assert not (clone / "results/runs").exists()


def test_figures_of_the_published_scores_need_no_file_in_the_directory(clone: Path, tmp_path: Path) -> None:
    target = "results/craftax1m/scores.h5"
    snakefile = str(clone / "workflow/Snakefile")
    snakemake(tmp_path, "--snakefile", snakefile, "--directory", str(tmp_path / "elsewhere"), target)
    assert (tmp_path / "elsewhere" / target).exists()


def test_it_is_a_module_in_the_layout_of_snakedeploy(clone: Path) -> None:
    folder = clone / ".test"
    output = snakemake(folder, "--dry-run", "runs")
    assert "reuse" not in output
    for rule in ("resolve", "train", "evaluate"):
        assert f"rule {rule}:" in output or f"{rule} " in output
    assert RUN in snakemake(folder, "--dry-run", f"{RUN}/scores.h5", "--quiet", "progress")
    snakemake(folder, "results/craftax1m/scores.h5")
    assert (folder / "results/craftax1m/scores.h5").exists()


def test_an_experiment_of_the_command_line_wins_over_the_modules(clone: Path) -> None:
    folder = clone / ".test"
    (folder / "other.yaml").write_text("name: other\nruns: [{benchmark: toy, tasks: [image], seeds: 3}]\n")
    output = snakemake(folder, "--dry-run", "runs", "--configfile", "other.yaml")
    assert "seed-2" in output


def test_it_is_a_module_from_a_repository_elsewhere(clone: Path, tmp_path: Path) -> None:
    """``gitfile`` takes the way of ``github`` through Snakemake's cache; M3 itself is installed."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(clone)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    deployed = Project(tmp_path / "deployed").folder
    shutil.copytree(clone / ".test", deployed)
    snakefile = deployed / "workflow/Snakefile"
    place = f'gitfile({str(clone)!r}, path="workflow/Snakefile", tag="v1")'
    snakefile.write_text(snakefile.read_text().replace('"../../workflow/Snakefile"', place))
    snakemake(deployed, f"{RUN}/scores.h5", PYTHONPATH=str(ROOT))
    assert (deployed / RUN / "scores.h5").exists()
