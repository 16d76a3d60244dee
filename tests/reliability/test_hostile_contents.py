"""Datasets and diagnoses that are not as M3 writes them: whoever reads one ends in a line, and writes nothing."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_runs import toy_settings, train_in_folder

from m3.cli import main
from m3.errors import ExitStatus, UserError
from m3.files import hdf5
from m3.files.names import CHECKPOINTS, DATASET_FORMAT, DATASET_VERSION, DIAGNOSIS_FORMAT
from m3.files.run_folder import provenance_of, read_settings, write_settings
from m3.runs.train import train

Content = dict[str, Any]
ARRAYS = ("actions", "rewards", "terminations", "truncations")
MODALITIES = ("image", "vector", "token", "token_2d")
EPISODE = "episode_0"
DIAGNOSIS = {
    "predictions": (
        *("reward", "predicted_reward", "ended", "end_probability"),
        *("observation_loss", "observation_entropy"),
    ),
    "dreams": ("wrong", "unchanged"),
}
OTHERS: dict[str, Any] = {
    "text": ["x", "y"],
    "scalar": 3.0,
    "solid": np.zeros((2, 3, 4)),
    "empty": np.zeros(0),
    "group": {"values": np.zeros(3)},
}


def changes_of_datasets() -> Iterator[Any]:
    """What to do to a whole dataset, by name."""
    for path in ("spaces", "spaces/actions", "spaces/observations", "spaces/actions/low", "total_episodes", EPISODE):
        yield pytest.param(removing(path), id=f"without {path}")
        yield pytest.param(setting(path, ["a"]), id=f"{path} as text")
    for total in (-1, 10**12, "5", 1.5):
        yield pytest.param(setting("total_episodes", total), id=f"{total!r} episodes")
    for name in (*ARRAYS, "observations", *(f"observations/{modality}" for modality in MODALITIES)):
        yield pytest.param(removing(f"{EPISODE}/{name}"), id=f"without {name}")
        for kind, value in OTHERS.items():
            if (name, kind) != ("observations", "group"):
                yield pytest.param(setting(f"{EPISODE}/{name}", value), id=f"{name} {kind}")
        if name != "observations":
            for kind in ("complex128", "S1"):
                yield pytest.param(converting(f"{EPISODE}/{name}", kind), id=f"{name} as {kind}")
            yield pytest.param(shortening(f"{EPISODE}/{name}"), id=f"{name} short")
    for name in ("rewards", "observations/vector"):
        for number in (np.nan, np.inf):
            yield pytest.param(filling(f"{EPISODE}/{name}", number), id=f"{name} {number}")
    for name, number in (("actions", -1), ("actions", 99), ("observations/token", 255), ("terminations", True)):
        yield pytest.param(filling(f"{EPISODE}/{name}", number), id=f"{name} all {number}")


def changes_of_diagnoses() -> Iterator[Any]:
    """What to do to a whole diagnosis, by name."""
    yield pytest.param(setting("agent_steps", "many"), id="steps as text")
    for group, names in DIAGNOSIS.items():
        yield pytest.param(removing(group), id=f"without {group}")
        for name in (f"{group}/{name}" for name in names):
            yield pytest.param(removing(name), id=f"without {name}")
            for kind, value in OTHERS.items():
                yield pytest.param(setting(name, value), id=f"{name} {kind}")
            for kind in ("complex128", "S1"):
                yield pytest.param(converting(name, kind), id=f"{name} as {kind}")
            yield pytest.param(shortening(name), id=f"{name} short")
            if name != "predictions/ended":
                yield pytest.param(filling(name, np.inf), id=f"{name} infinite")
                if group == "predictions":
                    yield pytest.param(filling(name, np.nan), id=f"{name} not a number")


def at(content: Content, path: str) -> tuple[Content, str]:
    *groups, name = path.split("/")
    for group in groups:
        content = content[group]
    return content, name


def removing(path: str) -> Callable[[Content], None]:
    return lambda content: at(content, path)[0].pop(at(content, path)[1])


def setting(path: str, value: Any) -> Callable[[Content], None]:
    return lambda content: at(content, path)[0].__setitem__(at(content, path)[1], value)


def changing(path: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Content], None]:
    def apply(content: Content) -> None:
        group, name = at(content, path)
        group[name] = change(group[name])

    return apply


def converting(path: str, kind: str) -> Callable[[Content], None]:
    return changing(path, lambda array: array.astype(kind))


def shortening(path: str) -> Callable[[Content], None]:
    return changing(path, lambda array: array[:2])


def filling(path: str, number: float) -> Callable[[Content], None]:
    return changing(path, lambda array: np.full_like(array, number))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = train_in_folder(tmp_path_factory.mktemp("whole") / "run", toy_settings("all_modalities"))
    name = str(folder)
    assert main(["dataset", "--run", name]) == 0
    assert main(["evaluate", name, "--episodes", "2"]) == 0
    assert main(["diagnose", "--run", name, "--episodes", "2", "--dreams", "2"]) == 0
    return folder


@pytest.mark.parametrize("change", list(changes_of_datasets()))
def test_a_changed_dataset_is_refused(run: Path, change: Callable[[Content], None], tmp_path: Path) -> None:
    content, _ = hdf5.read(run / "dataset.h5", DATASET_FORMAT, DATASET_VERSION)
    change(content)
    settings = toy_settings("all_modalities", dataset=str(tmp_path / "dataset.h5"))
    hdf5.write(tmp_path / "dataset.h5", DATASET_FORMAT, content, provenance_of(settings), DATASET_VERSION)
    write_settings(tmp_path / "run", settings)
    with pytest.raises(UserError, match=r"dataset\.h5") as refusal:
        train(settings, tmp_path / "run", device="cpu")
    assert len(str(refusal.value)) < 600
    assert not (tmp_path / "run" / CHECKPOINTS).exists()


@pytest.mark.parametrize("change", list(changes_of_diagnoses()))
def test_a_changed_diagnosis_is_refused(
    run: Path, change: Callable[[Content], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, _ = hdf5.read(run / "diagnosis.h5", DIAGNOSIS_FORMAT)
    change(content)
    folder = tmp_path / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns(CHECKPOINTS, "dataset.h5"))
    hdf5.write(folder / "diagnosis.h5", DIAGNOSIS_FORMAT, content, provenance_of(read_settings(run)))
    assert main(["diagnosis-figure", "--runs", str(folder), "--output", str(tmp_path / "figures")]) == ExitStatus.ERROR
    [line] = capsys.readouterr().err.splitlines()
    assert "diagnosis.h5: " in line
    assert not (tmp_path / "figures").exists()
