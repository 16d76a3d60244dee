"""The page on how the code is laid out: its tree is that of the code, its walks pass the functions that it lists."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from toy_runs import toy_settings, toy_trainer

from m3 import evaluate, train
from m3.cli import main
from m3.config.experiment import Run
from m3.config.loading import load_run
from m3.files.names import SCORES
from m3.files.run_folder import write_settings
from m3.runs.progress import RunProgress
from m3.runs.saving import CheckpointInterval

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/code.md"
HEADING = "## The tree"
WORDS = "\n\n`python tests/test_code_page.py` writes it anew from the first lines of the modules.\n\n"


def tree(folder: Path, indent: str = "") -> Iterator[str]:
    """One line per package and module: its name, and the first line of its docstring."""
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        is_package = (path / "__init__.py").exists()
        if is_package or (path.suffix == ".py" and not path.name.startswith("__")):
            source = (path / "__init__.py" if is_package else path).read_text()
            words = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
            yield f"{indent}{path.name + '/' * is_package:<24} {words}".rstrip()
        if is_package:
            yield from tree(path, indent + "  ")


def tree_text() -> str:
    return "\n".join("    " + line for line in ["m3/", *tree(ROOT / "m3", "  ")]) + "\n"


def test_the_tree_is_that_of_the_code() -> None:
    assert PAGE.read_text().endswith(tree_text()), "python tests/test_code_page.py writes it anew"


def walk(title: str) -> list[str]:
    """The functions in the block that follows a line of the page."""
    text = PAGE.read_text()
    return re.search(r"\n\n((?:    m3\..*\n)+)", text[text.index(title) :])[1].split()  # type: ignore[index]


def followed(work: Callable[[], Any]) -> list[str]:
    """The paths of all functions of this package that are called, in order."""
    calls: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and (module := frame.f_globals.get("__name__", "")).startswith("m3."):
            calls.append(f"{module}.{frame.f_code.co_qualname}")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def assert_passes(calls: list[str], functions: list[str]) -> None:
    position = 0
    for function in functions:
        assert function in calls[position:], f"{function} is not called there"
        position = calls.index(function, position)


def test_a_batch_passes_the_functions_that_the_page_lists() -> None:
    trainer = toy_trainer(toy_settings("all_modalities"))
    progress = RunProgress(trainer.settings)
    trainer.run_epoch(progress)
    assert_passes(followed(lambda: trainer.run_epoch(progress)), walk("A batch"))


def test_a_score_passes_the_functions_that_the_page_lists(tmp_path: Path) -> None:
    settings = load_run(Run("toy", "m3", "image", 0))
    run, table = tmp_path / "run", tmp_path / SCORES
    statistics, csv = tmp_path / "aggregates.h5", tmp_path / "aggregates.csv"
    published = str(ROOT / "results/published")
    write_settings(run, settings)
    collect = ["collect", "--benchmark", "toy", "--published", published, "--scores", "own", "--runs", str(run)]
    aggregate = ["aggregate", "--scores", str(table), "--repetitions", "10", "--output", str(statistics)]
    figures = ["figures", "--scores", str(table), "--aggregates", str(statistics), "--output", str(tmp_path)]

    def score() -> None:
        assert train(settings, run, device="cpu", interval=CheckpointInterval(epochs=4))
        evaluate(run, 4)
        assert main([*collect, "--output", str(table)]) == 0
        assert main([*aggregate, "--csv", str(csv)]) == 0
        assert main([*figures, "--only", "iqm"]) == 0

    assert_passes(followed(score), walk("A score"))


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(HEADING)[0] + HEADING + WORDS + tree_text())
