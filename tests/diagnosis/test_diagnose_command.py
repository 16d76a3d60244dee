"""From a trained run to its diagnosis, and to a figure and a table of several."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from toy_runs import toy_settings, train_in_folder

from m3.cli import main
from m3.config.identity import canonical
from m3.files import hdf5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_in_folder(tmp_path_factory.mktemp("diagnosed") / "run", toy_settings("all_modalities"))


def test_the_file_has_every_step_of_the_episodes(run: Path) -> None:
    assert main(["diagnose", "--run", str(run), "--episodes", "3", "--dreams", "4"]) == 0
    content, attributes = hdf5.read(run / "diagnosis.h5", "m3.diagnosis")
    assert (content["task"], content["seed"], content["agent_steps"]) == ("all_modalities", 0, 80)
    assert attributes["config"] == canonical(toy_settings("all_modalities"))
    assert content["extent"] == {"episodes": 3, "steps": 500, "dreams": 4}
    steps = 10 - 1  # the first has no context of two
    assert {len(column) for column in content["predictions"].values()} == {3 * steps}
    assert content["predictions"]["ended"].reshape(3, steps).sum(axis=1).tolist() == [1] * 3
    assert {column.shape for column in content["dreams"].values()} == {(3 * 4, 2)}
    assert ((content["dreams"]["wrong"] >= 0) | np.isnan(content["dreams"]["wrong"])).all()


def test_the_same_twice_and_from_the_newest_checkpoint(run: Path, tmp_path: Path) -> None:
    unfinished = tmp_path / "unfinished"
    shutil.copytree(run, unfinished, ignore=shutil.ignore_patterns("weights*"))
    found = []
    for folder in (run, run, unfinished):
        assert main(["diagnose", "--run", str(folder), "--episodes", "2", "--output", str(tmp_path / "d.h5")]) == 0
        found.append(hdf5.read(tmp_path / "d.h5", "m3.diagnosis")[0])
    for other in found[1:]:
        for group in ("predictions", "dreams"):
            for name, values in found[0][group].items():
                np.testing.assert_array_equal(other[group][name], values)


def test_longer_episodes_are_cut(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "cut.h5"
    assert main(["diagnose", "--run", str(run), "--episodes", "1", "--steps", "5", "--output", str(output)]) == 0
    content, _ = hdf5.read(output, "m3.diagnosis")
    assert len(content["predictions"]["ended"]) == 5 - 1
    assert not content["predictions"]["ended"].any()


def test_figure_and_table(run: Path, tmp_path: Path) -> None:
    assert main(["diagnose", "--run", str(run), "--episodes", "2"]) == 0
    assert main(["evaluate", "--run", str(run), "--episodes", "2"]) == 0
    command = ["diagnosis-figure", "--runs", str(run), "--labels", "tiny=Tiny agent"]
    assert main([*command, "--benchmark-label", "Toys", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "diagnosis.pdf").read_bytes().startswith(b"%PDF")
    table = (tmp_path / "table_diagnosis.md").read_text()
    assert "**Toys: how well world models predict**" in table
    assert "| Tiny agent | all_modalities | 1 |" in table
    assert (tmp_path / "table_diagnosis.csv").read_text().startswith("method,task,seed,")


@pytest.mark.parametrize("option", ["episodes", "steps", "dreams"])
def test_nothing_to_look_at(option: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "--run", str(run), f"--{option}", "0"]) == 2
    assert capsys.readouterr().err == f"error: --{option} must be at least 1, got 0\n"
