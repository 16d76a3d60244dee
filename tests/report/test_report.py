"""The figures of the published scores and the page that shows them, made by the workflow and opened in a browser."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browser import inspect

from m3.analysis import catalog

ROOT = Path(__file__).parents[2]
PARTS = ("config", "envs", "m3", "results/published", "workflow")


def snakemake(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "snakemake", "paper_figures", "--quiet", "all", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which paper_figures was made and nothing can import torch."""
    folder = tmp_path_factory.mktemp("project")
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "torch.py").write_text("raise ImportError('figures need no torch')\n")
    snakemake(folder, "--cores", "2")
    snakemake(folder, "--report", "report.html")
    return folder


def expected_files() -> set[str]:
    files = {f"{entry.name}.{suffix}" for entry in catalog.JOINT_FIGURES for suffix in catalog.FIGURE_SUFFIXES}
    files.add("explore.html")
    for benchmark in ("atari100k", "dmc500k", "craftax1m"):
        names = catalog.figure_names(benchmark, own_variants=0)
        files |= {f"{benchmark}/{name}.{suffix}" for name in names for suffix in catalog.FIGURE_SUFFIXES}
        names = catalog.table_names(own_variants=0)
        files |= {f"{benchmark}/{name}.{suffix}" for name in names for suffix in catalog.TABLE_SUFFIXES}
    return files


def test_paper_figures_are_all_made(project: Path) -> None:
    made = {str(path.relative_to(project / "figures")) for path in (project / "figures").rglob("*.*")}
    assert made == expected_files()


def test_every_table_and_page_has_a_caption() -> None:
    entries = (*catalog.TABLES, catalog.DIAGNOSIS[1], catalog.EXPLORE)
    assert {entry.name for entry in entries} <= {path.stem for path in (ROOT / "workflow/report").glob("*.rst")}


def test_report_in_a_browser(project: Path) -> None:
    """The page loads without errors, every figure and table can be seen, every link leads to an entry."""
    found = inspect(project / "report.html", Path(__file__).with_name("inspect_report.js"))
    assert found["faults"] == []
    shown = {name for name in expected_files() if name.endswith((".png", ".html"))}
    assert {name.removeprefix("figures/") for name in found["results"]} == shown
    assert found["links"] == len(shown)
