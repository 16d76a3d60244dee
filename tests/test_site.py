"""The documentation site is built from the pages, with search, the interface and the gallery."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import m3

ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for name in ("docs", "figures", "m3", "config", "results/published", "agents", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", "README.md", "BENCHMARKS.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    for command in (["docs/site.py"], ["-m", "mkdocs", "build", "--quiet", "--strict"]):
        subprocess.run([sys.executable, *command], cwd=folder, env=environment, check=True)
    return folder / "build/site"


def test_every_page_is_there_and_can_be_searched(site: Path) -> None:
    found = {
        entry["location"].partition("/")[0]
        for entry in json.loads((site / "search/search_index.json").read_text())["docs"]
    }
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} <= found


def test_the_tutorial_runs_to_its_end_and_shows_what_it_drew(site: Path) -> None:
    page = site / "tutorial/index.html"
    pictures = re.findall(r'src="(tutorial_files/[^"]+|\.\./tutorial_files/[^"]+)"', page.read_text())
    notebook = json.loads((ROOT / "docs/tutorial.ipynb").read_text())
    drawing = [cell for cell in notebook["cells"] if "plt.subplots" in "".join(cell["source"])]
    assert len(pictures) == len(drawing) > 3
    assert all((page.parent / picture).exists() for picture in pictures)
    assert "finished: True" in page.read_text()


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = json.loads((ROOT / "docs/tutorial.ipynb").read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_the_interface_has_every_public_function_with_its_docstring(site: Path) -> None:
    text = (site / "interface/index.html").read_text()
    for name in m3.__all__:
        assert f".{name}" in text
        words = (getattr(m3, name).__doc__ or "").splitlines()[0].split()[:4]
        assert " ".join(words) in re.sub(r"<[^>]+>", "", text)


def test_pictures_of_the_gallery_exist(site: Path) -> None:
    page = site / "gallery/index.html"
    pictures = re.findall(r'src="(\.\./figures/[^"]+)"', page.read_text())
    assert len(pictures) == len(list((ROOT / "figures").rglob("*.png")))
    assert all((page.parent / picture).exists() for picture in pictures)
