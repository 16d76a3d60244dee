"""Hostile HDF5 and CSV files of scores, and what is made of them."""

import copy
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hostile import ODD_VALUES, SEED, arrays, hdf5_tricks
from trained import SETTINGS

from m3.analysis import aggregates, score_files, scores
from m3.cli import main
from m3.errors import UserError
from m3.files import hdf5
from m3.files.names import AGGREGATES, METRICS, METRICS_FORMAT, SCORE_TABLE, SCORES, SCORES_FORMAT
from m3.files.run_folder import provenance_of


def written(path: Path, fill: Callable[[h5py.File], object], format: str = SCORES_FORMAT) -> Path:
    with hdf5.create(path, format, provenance_of(SETTINGS)) as file:
        fill(file)
    return path


def scores_of(run: Path) -> dict[str, Any]:
    names = {"benchmark": "toy", "variant": "tiny", "task": "mixed", "seed": 0}
    return {**names, "agent_steps": 100, "frames_per_step": 1, "returns": np.ones(3), "lengths": np.ones(3, np.int64)}


CONFIG = Path("config").resolve()
PUBLISHED = Path("results/published").resolve()
COLLECT = ("collect", "--benchmark", "toy", "--config", CONFIG, "--published", "none", "--scores", "own")


def collected(run: Path, output: Path) -> tuple[object, ...]:
    return (*COLLECT, "--runs", run, "--output", output)


def test_hdf5_that_leads_elsewhere(run: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    outside = tmp_path / "outside.h5"
    with h5py.File(outside, "w") as file:
        file["data"] = np.full(4, 1234.5)
    for name, trick in hdf5_tricks(str(outside)):
        content = {key: value for key, value in scores_of(run).items() if key != "returns"}

        def fill(file: h5py.File, content: dict[str, Any] = content, trick: Callable = trick) -> None:
            hdf5.fill(file, content)
            trick(file)

        written(run / SCORES, fill)
        line = refused(*collected(run, tmp_path / "table.h5"))
        assert str(run / SCORES) in line, name
        if name not in ("empty", "bad text", "enumeration of text", "huge", "huge contiguous"):
            refused("inspect", run / SCORES)
        assert not (tmp_path / "table.h5").exists()


def test_scores_that_are_no_returns(run: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    for _, value in arrays(random.Random(SEED)):
        hdf5.write(run / SCORES, SCORES_FORMAT, scores_of(run) | {"returns": value}, provenance_of(SETTINGS))
        assert SCORES in refused(*collected(run, tmp_path / "table.h5"))
    for key in scores_of(run):
        for value in ODD_VALUES[:14]:
            if (
                key != "lengths"
                and not (key == "seed" and value == 0)
                and not (key == "agent_steps" and value in (0, -1))
            ):
                odd = value if not (isinstance(value, int) and abs(value) > 2**62) else "large"
                hdf5.write(run / SCORES, SCORES_FORMAT, scores_of(run) | {key: odd}, provenance_of(SETTINGS))
                refused(*collected(run, tmp_path / "table.h5"))
    content = hdf5.read(run / METRICS, METRICS_FORMAT)[0]
    hdf5.write(run / SCORES, SCORES_FORMAT, scores_of(run), provenance_of(SETTINGS))
    for key in ("wall_seconds", "evaluations", "benchmark", "seed"):
        for value in ("x", None, np.ones(2), {"a": 1}):
            hdf5.write(run / METRICS, METRICS_FORMAT, content | {key: value}, provenance_of(SETTINGS))
            refused(*collected(run, tmp_path / "table.h5"))


# -- tables and statistics


@pytest.fixture(scope="session")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of scores and its statistics."""
    folder = tmp_path_factory.mktemp("analysis")
    options = ("--published", "results/published", "--scores", "published", "--methods", "M3", "PPO-RNN")
    assert main(["collect", "--benchmark", "craftax1m", *options, "--output", str(folder / SCORE_TABLE)]) == 0
    output = ("--output", str(folder / AGGREGATES), "--csv", str(folder / "a.csv"), "--repetitions", "2")
    assert main(["aggregate", "--scores", str(folder / SCORE_TABLE), *output, "--band-repetitions", "2"]) == 0
    return folder


def columns_of(tree: dict[str, Any]) -> list[tuple[str, ...]]:
    found = [(name, *below) for name, value in tree.items() if isinstance(value, dict) for below in columns_of(value)]
    return [*found, *((name,) for name in tree if not isinstance(tree[name], dict))]


def wrong_columns(value: Any, rng: random.Random) -> Any:
    """What cannot stand where a column, a list of texts or a scalar does."""
    if isinstance(value, np.ndarray):
        wrong = [value[None], value.astype(complex), value[:-1], np.full(value.shape, np.inf), "x", {"a": 1}, 3]
        return rng.choice(wrong if value.size else [value[None], "x", {"a": 1}])
    return rng.choice([["\x1b[2J"], ["x", "a\nb"], np.zeros(3), {"a": 1}, np.array([np.nan])])


@pytest.mark.parametrize("name", [SCORE_TABLE, AGGREGATES])
def test_tables_and_statistics_of_another_content(
    analysis: Path, tmp_path: Path, name: str, refused: Callable[..., str]
) -> None:
    format, version = {
        SCORE_TABLE: (scores.FORMAT, scores.VERSION),
        AGGREGATES: (aggregates.FORMAT, aggregates.VERSION),
    }[name]
    rng, bad = random.Random(SEED), tmp_path / name
    whole = hdf5.read(analysis / name, format, version)[0]
    files = {SCORE_TABLE: analysis / SCORE_TABLE, AGGREGATES: analysis / AGGREGATES, name: bad}
    command = ("tables", "--scores", files[SCORE_TABLE], "--aggregates", files[AGGREGATES], "--output", tmp_path / "o")
    read: Callable[[Path], object] = scores.read if name == SCORE_TABLE else aggregates.read
    for keys in rng.sample(columns_of(whole), 30):
        content = copy.deepcopy(whole)
        *groups, last = keys
        holder = content
        for key in groups:
            holder = holder[key]
        if last.endswith("_names") and not len(holder[last]):
            continue  # of a column without rows
        holder[last] = wrong_columns(holder[last], rng)
        hdf5.write(bad, format, content, provenance_of(SETTINGS), version)
        with pytest.raises(UserError) as caught:
            read(bad)
        assert str(bad) in str(caught.value), keys
    outside = tmp_path / "outside.h5"
    with h5py.File(outside, "w") as file:
        file["data"] = np.full(4, 1234.5)
    for trick, change in hdf5_tricks(str(outside)):
        if trick in ("external link to a group", "virtual", "external link", "external storage", "soft link"):
            with hdf5.create(bad, format, provenance_of(SETTINGS), version) as file:
                hdf5.fill(file, whole)
                change(file)
            assert str(bad) in refused(*command), trick
    assert not (tmp_path / "o").exists()


# -- CSV

CSV = "method,task,seed,steps,score\n"
ODD_ROWS = (
    *("A,{task},1e300,1,1", "A,{task},0,1e300,1", "A,{task},0,1,1e300", "A,{task},0,1,nan", "A,{task},1_0,1,1"),
    *("<b>,{task},0,1,1", "\x1b[2J,{task},0,1,1", '"a\nb",{task},0,1,1', "a\0b,{task},0,1,1", "A,$(touch x),0,1,1"),
    *(
        "A" * 101 + ",{task},0,1,1",
        "x" * 140_000 + ",{task},0,1,1",
        "A,{task}," + "x" * 9_000 + ",1,1",
        "A,{task},-1,1,1",
    ),
)


def test_odd_rows_of_score_files(tmp_path: Path, refused: Callable[..., str]) -> None:
    file = tmp_path / "scores.csv"
    command = (*COLLECT[:2], "toy", *COLLECT[3:], "--score-files", file, "--output", tmp_path / "table.h5")
    for row in ODD_ROWS:
        file.write_text(CSV + row.format(task="image"), newline="")
        assert f"{file}, line {2 + row.count(chr(10))}: " in refused(*command) or "\0" in row or len(row) > 100_000
    file.write_text("method," + CSV)
    assert "two columns 'method'" in refused(*command)
    with open(file, "wb") as large:
        large.truncate(score_files.MOST_BYTES + 1)
    assert "bytes that such a file may have" in refused(*command)
    assert not (tmp_path / "table.h5").exists()


@pytest.mark.parametrize("name", ["methods.csv", "runs.csv"])
def test_odd_rows_of_published_scores(tmp_path: Path, name: str, refused: Callable[..., str]) -> None:
    published = Path(shutil.copytree(PUBLISHED, tmp_path / "published"))
    head, first, rest = (published / name).read_text().split("\n", 2)
    for position, column in enumerate(head.split(",")):
        for odd in ("\x1b[2J", "</script>") if column != "benchmark" else ():
            cells = first.split(",")
            cells[position] = odd
            (published / name).write_text("\n".join([head, ",".join(cells), rest]))
            options = ("--published", published, "--scores", "published", "--output", tmp_path / "table.h5")
            assert f"line 2: the {column} must be" in refused(*COLLECT[:2], "craftax1m", *COLLECT[3:5], *options)
