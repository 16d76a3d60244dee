"""Gather what `mkdocs build` makes the site of, in build/site-source: pages, tutorial, interface and gallery.

The pages are written for the repository; here their links lead to the same pages and pictures within the site. The
tutorial is executed, so that its page has what it prints and draws.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import m3

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "build/site-source"


def main() -> int:
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", SOURCE, ignore=shutil.ignore_patterns("*.py", "*.ipynb", "__pycache__"))
    run_tutorial()
    for name in ("README.md", "BENCHMARKS.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        target = "index.md" if name == "README.md" else name
        text = text.replace("](docs/", "](").replace("](tutorial.ipynb)", "](tutorial.md)")
        (SOURCE / target).write_text(text, encoding="utf-8")
    for page in SOURCE.glob("*.md"):
        page.write_text(re.sub(r"\]\(\.\./", "](", page.read_text(encoding="utf-8")), encoding="utf-8")
    pictures = sorted((ROOT / "figures").rglob("*.png"))
    for picture in pictures:
        copy = SOURCE / picture.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, copy)
    (SOURCE / "gallery.md").write_text(gallery([picture.relative_to(ROOT) for picture in pictures]), encoding="utf-8")
    (SOURCE / "interface.md").write_text(interface(), encoding="utf-8")
    return 0


def run_tutorial() -> None:
    """Execute the notebook from its first cell to its last, and make a page of it. An error in a cell is one here."""
    command = [sys.executable, "-m", "nbconvert", "--log-level", "ERROR", "--to", "markdown", "--execute"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, "docs/tutorial.ipynb", "--output-dir", SOURCE], cwd=ROOT, env=environment, check=True)


def gallery(pictures: list[Path]) -> str:
    """The page of all figures, and of a dream."""
    dreams = [f"![A dream beside what really happened]({name}.gif)\n" for name in ("lava-gap", "dream")]
    lines = ["# Gallery", "", *dreams]
    for folder in dict.fromkeys(picture.parent for picture in pictures):
        lines += [f"## {' · '.join(folder.parts[1:]) or 'All benchmarks'}", ""]
        lines += [f"![{picture.stem}]({picture.as_posix()})\n" for picture in pictures if picture.parent == folder]
    return "\n".join(lines)


def interface() -> str:
    """The page of the public functions, which mkdocstrings fills from their docstrings."""
    lines = ["# Interface", "", "`m3` offers these functions; [the public interface](api.md) shows their use.", ""]
    functions = [f"{getattr(m3, name).__module__}.{name}" for name in m3.__all__]
    return "\n".join([*lines, *(f"::: {name}\n" for name in (*functions, "m3.runs.loading.LoadedAgent"))])


if __name__ == "__main__":
    sys.exit(main())
