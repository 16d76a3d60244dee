"""Hostile settings, names, labels and options: each is refused in one line, and executes nothing."""

import hashlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hostile import ODD_LABELS, ODD_NAMES, SEED, bombs, changed, odd_texts
from test_malformed_configs import whole_files
from test_strange_folders import not_longer_than

from m3.config.plan import load_experiment
from m3.errors import UserError

WHOLE = whole_files()


def config_folder(path: Path) -> Path:
    for name, content in WHOLE.items():
        (path / name).parent.mkdir(exist_ok=True, parents=True)
        (path / name).write_text(yaml.safe_dump(content))
    return path


def test_odd_texts_and_bombs_as_yaml(tmp_path: Path, refused: Callable[..., str]) -> None:
    """As an experiment, a benchmark, a variant; and as the settings of a run."""
    folder = config_folder(tmp_path / "config")
    for name in ("own.yaml", "benchmarks/atari100k.yaml", "variants/mine.yaml"):
        whole = (folder / name).read_text()
        for text in [*odd_texts(), *bombs()]:
            (folder / name).write_text(text, encoding="utf-8", errors="surrogatepass")
            with not_longer_than(60), pytest.raises(UserError) as caught:
                load_experiment(folder / "own.yaml", folder)
            assert len(str(caught.value)) < 2_000
            assert str(caught.value).isprintable()
        (folder / name).write_text(whole)
    load_experiment(folder / "own.yaml", folder)
    settings = tmp_path / "resolved-00000000.yaml"
    for text in [*odd_texts(), *bombs()]:
        settings.write_text(text, encoding="utf-8")
        refused("train", "--config", settings, "--run", tmp_path / "run")
        refused("inspect", settings)


@pytest.mark.parametrize("file", ["own.yaml", "benchmarks/atari100k.yaml", "variants/mine.yaml"])
def test_changed_settings(tmp_path: Path, file: str) -> None:
    """They are refused in one line, or make a plan of their own."""
    folder, rng, refusals = config_folder(tmp_path), random.Random(f"{SEED} {file}"), 0
    content = WHOLE[file]
    for _ in range(80):
        (folder / file).write_text(yaml.safe_dump(changed(content, rng)))
        message = ""
        try:
            with not_longer_than(60):
                load_experiment(folder / "own.yaml", folder)
        except UserError as error:
            refusals, message = refusals + 1, str(error)
        assert message.isprintable()
        assert len(message) < 2_000
    assert refusals > 40


def test_too_many_runs_are_refused_at_once(tmp_path: Path) -> None:
    folder = config_folder(tmp_path)
    group = {"benchmark": "atari100k", "variants": ["mine"], "tasks": ["Pong"]}
    for runs in (
        [group | {"seeds": 10_000_000}],
        [group | {"seeds": list(range(20_000))}],
        [group | {"seeds": [2**31]}],
        [group | {"seeds": 10_000, "tasks": ["Pong", "Breakout"] * 1_000}] * 2_000,
    ):
        (folder / "own.yaml").write_text(yaml.safe_dump({"name": "own", "runs": runs}))
        with not_longer_than(60), pytest.raises(UserError):
            load_experiment(folder / "own.yaml", folder)


def test_only_the_files_that_are_named_are_read(tmp_path: Path) -> None:
    folder = config_folder(tmp_path)
    (folder / "benchmarks/half.yaml").write_text("label: [")
    (folder / "variants/half.yaml").write_text("label: [")
    load_experiment(folder / "own.yaml", folder)


def test_file_names_are_as_plain_as_those_of_tasks(tmp_path: Path) -> None:
    for name in ODD_NAMES:
        folder = config_folder(tmp_path / hashlib.sha256(name.encode()).hexdigest())
        for kind, key in (("benchmarks", "benchmark"), ("variants", "variants"), ("", "")):
            source = {"benchmarks": "atari100k", "variants": "mine", "": "own"}[kind]
            experiment = folder / "own.yaml"
            content = yaml.safe_load(experiment.read_text())
            path = folder / kind / f"{name}.yaml"
            shutil.copy(folder / kind / f"{source}.yaml", path)
            if key:
                content = content | {"runs": [content["runs"][0] | {key: [name] if kind == "variants" else name}]}
                content |= {"overrides": [], "resources": {}}
                (folder / "other.yaml").write_text(yaml.safe_dump(content))
                path = folder / "other.yaml"
            with pytest.raises(UserError) as caught:
                load_experiment(path, folder)
            assert "the file's name must begin with a letter or digit" in str(caught.value)
            assert str(caught.value).isprintable()


@pytest.mark.parametrize("label", ODD_LABELS)
def test_labels_are_one_line_without_markup(tmp_path: Path, label: str, refused: Callable[..., str]) -> None:
    folder = config_folder(tmp_path / "config")
    for file in ("benchmarks/atari100k.yaml", "variants/mine.yaml"):
        whole = (folder / file).read_text()
        (folder / file).write_text(yaml.safe_dump(yaml.safe_load(whole) | {"label": label}))
        with pytest.raises(UserError, match="label"):
            load_experiment(folder / "own.yaml", folder)
        (folder / file).write_text(whole)
    if "\0" not in label:
        options = ("--runs", "run", "--output", tmp_path / "out")
        refused("diagnosis-figure", *options, "--labels", f"m3={label}", "--benchmark-label", "x")
        if label:
            refused("diagnosis-figure", *options, "--labels", "m3=M3", "--benchmark-label", label)
    assert not (tmp_path / "out").exists()


ODD_OPTIONS = {
    ("train", "--checkpoint-minutes --budget-minutes --grace-seconds"): "nan inf -inf 1e15 -1",
    ("train", "--checkpoint-epochs"): "0 -1",
    ("evaluate", "--episodes"): "0 -5 1000000000000000",
    ("diagnose", "--episodes --steps --dreams"): "0 1000000000000000",
    ("watch", "--temperature"): "nan inf -1 1e999",
    ("watch", "--fps --steps --horizon --episodes"): "0 1000000000000000000000000",
    ("watch", "--seed"): "1000000000000000000000000 -1",
    ("status", "--watch"): "nan inf -1 1e15",
}


@pytest.mark.parametrize(
    "arguments",
    [
        (command, option, value)
        for (command, options), values in ODD_OPTIONS.items()
        for option in options.split()
        for value in values.split()
    ],
    ids=" ".join,
)
def test_odd_options(run: Path, tmp_path: Path, arguments: tuple[str, str, str], refused: Callable[..., str]) -> None:
    command, option, value = arguments
    given: dict[str, tuple[object, ...]] = {
        "train": ("--run", run, "--config", next(run.glob("resolved-*"))),
        "evaluate": ("--run", run),
        "diagnose": ("--run", run),
        "watch": (run, "--output", tmp_path / "out.mp4"),
        "status": (),
    }
    assert option in refused(command, *given[command], f"{option}={value}")
