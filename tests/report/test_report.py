"""The figures of the published scores and the page that shows them, made by the workflow and opened in a browser."""

from pathlib import Path

import pytest
from browser import inspect
from projects import Project, copy_project

from m3.analysis import catalog

ROOT = Path(__file__).parents[2]
EXPERIMENT = """\
name: own
runs: []
scores: published
statistics: {repetitions: 50, band_repetitions: 20}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project in which paper_figures was made and nothing can import torch."""
    project = copy_project(tmp_path_factory.mktemp("project"))
    (project.folder / "config/own.yaml").write_text(EXPERIMENT)
    (project.folder / "torch.py").write_text("raise ImportError('figures need no torch')\n")
    made = project.snakemake("paper_figures", "--cores", "2")
    assert made.returncode == 0, made.stderr
    return project


def expected_files() -> set[str]:
    files = {f"{entry.name}.{suffix}" for entry in catalog.JOINT_FIGURES for suffix in catalog.FIGURE_SUFFIXES}
    files.add("explore.html")
    for benchmark in ("atari100k", "dmc500k", "craftax1m"):
        names = catalog.figure_names(benchmark, own_variants=0)
        files |= {f"{benchmark}/{name}.{suffix}" for name in names for suffix in catalog.FIGURE_SUFFIXES}
        names = catalog.table_names(own_variants=0)
        files |= {f"{benchmark}/{name}.{suffix}" for name in names for suffix in catalog.TABLE_SUFFIXES}
    return files


@pytest.mark.slow
def test_paper_figures_are_all_made(project: Project) -> None:
    figures = project.folder / "figures"
    made = {str(path.relative_to(figures)) for path in figures.rglob("*.*")}
    assert made == expected_files()


def test_every_table_and_page_has_a_caption() -> None:
    entries = (*catalog.TABLES, catalog.DIAGNOSIS[1], catalog.EXPLORE)
    assert {entry.name for entry in entries} <= {path.stem for path in (ROOT / "workflow/report").glob("*.rst")}


@pytest.mark.slow
def test_report_in_a_browser(project: Project) -> None:
    """The page loads without errors, every figure and table can be seen, every link leads to an entry."""
    reported = project.snakemake("--report", "report.html", configfile="config/paper.yaml")
    assert reported.returncode == 0, reported.stderr
    assert "warning" not in reported.stderr  # though most files of the experiment are missing
    found = inspect(project.folder / "report.html", Path(__file__).with_name("inspect_report.js"))
    assert found["faults"] == []
    shown = {name for name in expected_files() if name.endswith((".png", ".html"))}
    assert {name.removeprefix("figures/") for name in found["results"]} == shown
    assert found["links"] == len(shown)
