"""The package as it is installed: in an empty folder it trains, evaluates, draws, and shows where runs are."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of the wheel, as pip would unpack it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for part in ("m3", "config", "results/published"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, source / part, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "dist",
        ".",
    ]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    [wheel] = (source / "dist").glob("m3-*.whl")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(target)
    return target


def m3(installed: Path, folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "m3", *words]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_a_console_command_and_the_configuration(installed: Path) -> None:
    [entry_points] = installed.glob("m3-*.dist-info/entry_points.txt")
    assert "m3 = m3.cli:main" in entry_points.read_text()
    shipped = installed / "m3/shipped"
    for own, folder in ((ROOT / "config", shipped / "config"), (ROOT / "results/published", shipped / "published")):
        kept = {path.relative_to(own) for path in own.rglob("*") if path.suffix in (".yaml", ".csv", ".gz")}
        assert kept <= {path.relative_to(folder) for path in folder.rglob("*")}


def test_one_line_trains_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    changes = ("controller.discount=0.98", "precision=bf16", "epochs=4")
    options = ("--variant", "tiny", "--seed", "3", "--episodes", "2", "--device", "cpu", "--threads", "1")
    run = "results/runs/toy/tiny+controller.discount-0.98+epochs-4+precision-bf16/image/seed-3"
    output = m3(installed, tmp_path, "train", "toy/image", *options, *changes)
    assert "image seed 3 | on cpu, precision bf16, 1 threads" in output.splitlines()[0]
    assert f"results: {run} (scores.h5, weights.safetensors, metrics.h5)" in output
    assert (tmp_path / run / "scores.h5").exists()
    again = m3(installed, tmp_path, "train", "toy/image", *options, *changes)
    assert again.splitlines()[0] == "this run is finished already"
    assert "done" in m3(installed, tmp_path, "status")
    assert "score: " in m3(installed, tmp_path, "evaluate", run, "--episodes", "1")
    assert "score: " in m3(installed, tmp_path, "resume", run, "--episodes", "1", "--device", "cpu")
    assert "whole" in m3(installed, tmp_path, "inspect", f"{run}/scores.h5")


def test_figures_of_the_published_scores_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    m3(installed, tmp_path, "figures", "craftax1m", "--repetitions", "20", "--only", "iqm")
    assert (tmp_path / "figures/own/craftax1m/iqm.png").exists()
    assert "225 runs" in m3(installed, tmp_path, "status", "config/paper.yaml")
