"""Hundreds of malformed config files, made from whole ones: each gives one line that names file and key."""

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from m3.cli import main
from m3.config.experiment import Run
from m3.config.identity import canonical
from m3.config.layers import Layer, Location
from m3.config.loading import load_run
from m3.config.plan import load_experiment
from m3.config.yaml_files import dump_yaml
from m3.errors import UserError
from m3.files.run_folder import resolved_name

EXPERIMENT: dict[str, Any] = {
    "name": "own",
    "scores": "both",
    "partial": False,
    "final_episodes": 4,
    "runs": [{"benchmark": "atari100k", "variants": ["mine"], "tasks": ["Pong", "Breakout"], "seeds": 1}],
    "overrides": [{"where": {"task": "Pong", "seed": 0}, "set": {"epochs": 7}}],
    "statistics": {"repetitions": 10, "seed": 0},
    "resources": {"atari100k": {"train": {"gpu": 0, "threads": 1, "mem_mb": 1, "runtime": 1}}},
}
BENCHMARK = {
    "label": "Atari 100K",
    "environment_steps": 100_000,
    "final_episodes": 100,
    "seeds": 5,
    "tasks": ["Breakout", "Pong"],
    "resources": {job: {"gpu": 0, "threads": 1, "mem_mb": 1, "runtime": 1} for job in ("train", "evaluate")},
}
GIVEN = ("benchmark", "variant", "task", "seed", "training_version")


def whole_files() -> dict[str, dict[str, Any]]:
    """A config folder in which every key of a run's settings is written out."""
    resolved = load_run(Run("atari100k", "tiny", "Pong", 0)).model_dump(mode="json")
    settings = {key: resolved[key] for key in resolved if key not in GIVEN}
    controller = settings.pop("controller")
    epochs = settings.pop("epochs")
    return {
        "own.yaml": EXPERIMENT,
        "variants/mine.yaml": {
            "label": "Mine",
            "settings": {"controller": controller},
            "benchmarks": {"atari100k": {"epochs": epochs}},
        },
        "benchmarks/atari100k.yaml": BENCHMARK | {"settings": settings},
    }


class Case(NamedTuple):
    """A value put somewhere into a file, or the key there misspelt where there is none."""

    file: str
    keys: Location
    value: Any = None
    misspelt: bool = False

    def __str__(self) -> str:
        key = Layer(self.file, {}).name(self.keys)
        return f"{key} misspelt" if self.misspelt else f"{key} = {self.value}"


def leaves(content: Any, keys: Location = ()) -> Iterator[tuple[Location, Any]]:
    """Every value that is neither mapping nor list, with what leads to it."""
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from leaves(value, (*keys, key))
    else:
        yield keys, content


def wrong_values(value: Any) -> list[Any]:
    """What cannot stand where a value does."""
    if value is None:
        return [{"a": 1}, [1], True]
    if isinstance(value, bool):
        return [{"a": 1}, [True], "text", 2]
    if isinstance(value, str):
        return [{"a": 1}, ["text"], 7, True]
    return [{"a": 1}, [1], "text", True, -1, math.nan, math.inf]


def cases() -> Iterator[Case]:
    """For every value two of the wrong ones, in turn, and its key misspelt."""
    for file, content in whole_files().items():
        for position, (keys, value) in enumerate(leaves(content)):
            wrong = wrong_values(value)
            yield from (Case(file, keys, wrong[(2 * position + i) % len(wrong)]) for i in range(2))
            if isinstance(keys[-1], str):
                yield Case(file, keys, misspelt=True)


def change(content: dict[str, Any], case: Case) -> None:
    parent: Any = content
    for key in case.keys[:-1]:
        parent = parent[key]
    last: Any = case.keys[-1]
    if case.misspelt:
        parent[f"{last}_"] = parent.pop(last)
    else:
        parent[last] = case.value


CASES = list(cases())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole files."""
    path = tmp_path_factory.mktemp("config")
    for name, content in whole_files().items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(dump_yaml(content))
    return path


def test_the_whole_files_have_no_fault(folder: Path) -> None:
    assert len(load_experiment(folder / "own.yaml", folder).runs) == 2
    assert len({str(case) for case in CASES}) > 200


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_fault_is_one_line_with_file_and_key(case: Case, folder: Path) -> None:
    path = folder / case.file
    whole = path.read_text()
    content = copy.deepcopy(whole_files()[case.file])
    change(content, case)
    path.write_text(dump_yaml(content))
    try:
        with pytest.raises(UserError) as caught:
            load_experiment(folder / "own.yaml", folder)
    finally:
        path.write_text(whole)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    assert all(str(key) in message for key in case.keys)


@pytest.mark.parametrize("share", [i / 20 for i in range(20)])
@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_damaged_settings_of_a_run_do_not_reach_training(
    share: float, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_run(Run("atari100k", "tiny", "Pong", 0))
    text = canonical(settings)
    position = int(share * len(text))
    while text[position] in "0. ":  # these may be changed without a change of meaning
        position += 1
    path = tmp_path / resolved_name(settings)
    path.write_text(text[:position] + ("" if damage == "truncated" else "7" + text[position + 1 :]))
    assert main(["train", "--config", str(path), "--run", str(tmp_path / "run")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}")
    assert not (tmp_path / "run").exists()


def test_missing_files_and_unknown_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "resolved-01234567.yaml"
    run = ["--variant", "tiny", "--seed", "0", "--run", str(tmp_path / "run")]
    experiment = ["--experiment", "config/quickstart.yaml"]
    for command, expected in (
        (["train", "--config", str(missing), "--run", str(tmp_path)], f"error: {missing}: No such file or directory"),
        (
            ["resolve", "--experiment", "config/quickstrat.yaml", "--benchmark", "a", "--task", "b", *run],
            "No such file",
        ),
        (["resolve", *experiment, "--benchmark", "atari100", "--task", "Pong", *run], "unknown run of experiment"),
        (["describe", "--benchmark", "atari100", "--task", "Pong"], "unknown benchmark 'atari100': did you mean"),
        (["describe", "--benchmark", "atari100k", "--task", "Pnog"], "unknown task of atari100k 'Pnog': did you mean"),
    ):
        assert main(command) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert expected in line
    assert not (tmp_path / "run").exists()
