"""The page to explore scores, opened in a browser from its file alone."""

from pathlib import Path

import pandas as pd
from browser import inspect

from m3.analysis.aggregation import aggregate
from m3.analysis.explore import explore_page
from m3.analysis.scores import Scores, ScoreTable, combine, references

SCRIPT = Path(__file__).with_name("inspect_explore.js")
HOSTILE = "<img src=x onerror=hacked()></script>"


def table() -> ScoreTable:
    """Two methods on two tasks, two seeds each; the first, whose name is HTML, has curves and the highest score."""
    tasks = ["walk", "<b>run</b>"]
    rows = [
        (method, task, seed, 10.0 * number + 5 * tasks.index(task) + seed, 100, "made up")
        for number, method in enumerate(["Other", HOSTILE])
        for task in tasks
        for seed in range(2)
    ]
    scores = pd.DataFrame(rows, columns=["method", "task", "seed", "score", "steps", "source"])
    curves = scores[scores.method == HOSTILE].drop(columns="source")
    curves = pd.concat([curves.assign(steps=steps, score=curves.score * steps / 100) for steps in (50, 100)])
    methods = pd.DataFrame({"method": ["Other", HOSTILE], "variant": "", "step_unit": "agent steps"})
    bounds = dict.fromkeys(tasks, (0.0, 20.0))
    return combine(
        "stairs", references(bounds, "nothing", "everything"), [Scores(methods, scores, curves)], "<i>Stairs</i>"
    )


def page() -> str:
    scores = table()
    return explore_page([(scores, aggregate(scores, repetitions=20, seed=0))])


def test_reader_sorts_filters_and_switches(tmp_path: Path) -> None:
    (tmp_path / "explore.html").write_text(page())
    found = inspect(tmp_path / "explore.html", SCRIPT)
    assert (found["faults"], found["requests"], found["pictures"]) == ([], [], 0)
    assert found["labels"] == [f"{HOSTILE}Remove item"]
    assert found["tabs"] == ["<i>Stairs</i>"]
    assert (found["methods"], found["runs"]) == ([HOSTILE, "Other"], 8)
    assert found["summary"] == [[HOSTILE, "0.65", "2", "4"], ["Other", "0.15", "2", "4"]]
    assert found["lowest"] == ["Other", "walk", "0", "100", "0", "0"]
    assert found["highest"] == [HOSTILE, "<b>run</b>", "1", "100", "16", "0.8"]
    assert (found["lines"], found["linesLeft"]) == (1, 0)
    assert found["chosen"] == [[HOSTILE, "walk", "1", "100", "11", "0.55"], [HOSTILE, "walk", "0", "100", "10", "0.5"]]


def test_page_is_the_same_every_time() -> None:
    assert page() == page()
