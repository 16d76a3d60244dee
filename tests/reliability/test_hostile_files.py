"""Hundreds of hostile files and names: each is refused in one line, executes nothing and leaves nothing behind."""

import csv
import hashlib
import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml
from hostile import (
    MARK,
    ODD_LABELS,
    ODD_NAMES,
    ODD_VALUES,
    arrays,
    bombs,
    changed,
    hdf5_tricks,
    npz,
    odd_texts,
    scrambled,
)
from safetensors.torch import save
from test_malformed_configs import whole_files
from test_strange_folders import not_longer_than
from trained import SETTINGS

from m3.cli import main
from m3.config.layers import merge
from m3.config.plan import load_experiment
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files import hdf5
from m3.files.names import FAILURE, LEASE, METRICS, METRICS_FORMAT, PROGRESS, SCORES, SCORES_FORMAT, WEIGHTS
from m3.files.run_folder import canonical, provenance_of, write_settings
from m3.runs.manifest import _sealed
from m3.runs.weights import _digest

SEED = 23
WHOLE = whole_files()


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that has to refuse what it is given; return its line."""
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")

    def run(*arguments: object, statuses: tuple[int, ...] = (2,)) -> str:
        with not_longer_than(120):
            status = main([str(argument) for argument in arguments])
        lines = capsys.readouterr().err.splitlines()
        assert status in statuses, (status, arguments)
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        assert lines[0].isprintable()
        assert len(lines[0]) < 2_000
        assert not list(tmp_path.rglob(MARK))
        return lines[0]

    return run


# -- settings and experiments


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


# -- a run's folder


@pytest.fixture
def run(undisturbed: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    write_settings(folder, SETTINGS)
    return folder


def test_odd_small_files_stop_neither_training_nor_status(run: Path, tmp_path: Path) -> None:
    """``failure.json``, ``lease.json`` and ``progress.json`` with any content: one run's oddities hide no other run."""
    from m3.runs.failure import cause_of_failure
    from m3.runs.lease import living_holder

    rng = random.Random(SEED)
    progress = json.loads((run / PROGRESS).read_text())
    samples = [json.dumps(changed(progress, rng)) for _ in range(60)]
    holder = {"host": "h", "machine": "m", "process": 1, "started": "1", "token": "t", "generation": 1}
    samples += [json.dumps(changed(holder, rng)) for _ in range(40)]
    for text in [*odd_texts(), *samples]:
        for name in (PROGRESS, FAILURE, LEASE):
            (run / name).write_text(text, encoding="utf-8")
        with not_longer_than(60):
            living_holder(run)
            assert isinstance(cause_of_failure(run, "any"), str)
            hdf5_free_status(run)


def hdf5_free_status(run: Path) -> None:
    from m3.files.progress import read_progress
    from m3.files.run_folder import config_hash
    from m3.runs.progress import duration

    record = read_progress(run, config_hash(SETTINGS))
    if record is not None:
        for attempt in record.attempts:
            assert attempt.seconds >= 0
        duration(record.seconds_left or 0)


def sealed_manifest(path: Path, content: Any) -> None:
    path.write_text(_sealed(content))


def test_manifests_that_are_whole_and_wrong(run: Path, refused: Callable[..., str]) -> None:
    rng = random.Random(SEED)
    (manifest, *others) = sorted(run.glob("checkpoints/*/*/manifest.json"), reverse=True)
    for other in others:
        shutil.rmtree(other.parent)
    content = json.loads(manifest.read_text())["content"]
    for _ in range(60):
        free = {key: content[key] for key in ("epoch", "created_by")}  # which may be anything of their kind
        rest = {key: value for key, value in content.items() if key not in free}
        sealed_manifest(manifest, free | changed(rest, rng))
        refused("dataset", "--run", run, "--output", run / "out.h5")
        assert not (run / "out.h5").exists()
    for name in ("../secret.npz", "/etc/passwd", "state.npz/../../x", ""):
        parts = [content["parts"][0] | {"file": content["parts"][0]["file"] | {"name": name}}]
        sealed_manifest(manifest, content | {"parts": parts})
        refused("dataset", "--run", run, "--output", run / "out.h5")
    for text in odd_texts():
        manifest.write_text(text, encoding="utf-8")
        refused("dataset", "--run", run, "--output", run / "out.h5")


def test_states_that_are_whole_and_wrong(run: Path, refused: Callable[..., str]) -> None:
    """Bytes whose checksums are right, and which are no state of this run."""
    rng = random.Random(SEED)
    (manifest, *others) = sorted(run.glob("checkpoints/*/*/manifest.json"), reverse=True)
    for other in others:
        shutil.rmtree(other.parent)
    state = manifest.with_name("state.npz")
    whole, content = state.read_bytes(), json.loads(manifest.read_text())["content"]
    structures = ["{}", "[]", "null", '{"dict": []}', '{"dict": 3}', '{"tuple": 1}', '{"array": "arr_9"}', "[" * 5_000]
    structures += [
        '{"a": 1, "b": 2}',
        '{"dict": [[1]]}',
        '{"dict": [[{"dict": []}, 1]]}',
        '{"scalar": "arr_0"}',
        "\xff",
    ]
    samples = [npz(arr_0=np.frombuffer(text.encode(), np.uint8)) for text in structures]
    samples += [b"", b"PK\x03\x04", npz(), npz(arr_0=np.array(["x"], object).astype("U")), npz(arr_0=np.zeros(3))]
    samples += [scrambled(whole, rng) for _ in range(30)]
    for sample in samples:
        state.write_bytes(sample)
        described = {"name": state.name, "bytes": len(sample), "sha256": hashlib.sha256(sample).hexdigest()}
        sealed_manifest(manifest, content | {"state": described})
        refused("dataset", "--run", run, "--output", run / "out.h5")


# -- HDF5


def written(path: Path, fill: Callable[[h5py.File], object], format: str = SCORES_FORMAT) -> Path:
    with hdf5.create(path, format, provenance_of(SETTINGS)) as file:
        fill(file)
    return path


def scores_of(run: Path) -> dict[str, Any]:
    names = {"benchmark": "toy", "variant": "tiny", "task": "mixed", "seed": 0}
    return {**names, "agent_steps": 100, "frames_per_step": 1, "returns": np.ones(3), "lengths": np.ones(3, np.int64)}


CONFIG = Path("config").resolve()
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


# -- weights


def sealed_weights(path: Path, state: dict[str, torch.Tensor], **description: Any) -> None:
    """Weights whose checksum is right, with any description."""
    whole = {"format": "m3.weights", "format_version": 2, "config": canonical(SETTINGS), "agent_steps": 100}
    content = {key: value for key, value in (whole | description).items() if value is not ...}
    content["sha256"] = _digest(content, state)
    path.write_bytes(save(state, {"m3": json.dumps(content, sort_keys=True)}))


def with_environment(**environment: Any) -> str:
    content = merge([SETTINGS.model_dump(mode="json"), {}])
    task = environment.pop("task", "CartPole-v1")
    content |= {"environment": {"family": "gymnasium", **environment}, "task": task, "tokenizer": None}
    return canonical(RunSettings.model_validate(content, strict=False))


def state_of(run: Path) -> dict[str, torch.Tensor]:
    from m3.runs.weights import load_weights

    return {name: tensor.clone() for name, tensor in load_weights(run / WEIGHTS).state.items()}


def commands(run: Path) -> list[tuple[object, ...]]:
    return [
        ("evaluate", "--run", run, "--episodes", "1", "--output", run / "out"),
        ("diagnose", "--run", run, "--episodes", "1", "--output", run / "out"),
        ("watch", run, "--output", run / "out.mp4"),
    ]


def test_weights_execute_nothing(run: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    program = f"open({str(run / MARK)!r}, 'w').close()\n"
    (run / "evil.py").write_text(program)
    (run / "evil_module.py").write_text(program)
    monkeypatch.syspath_prepend(str(run))
    state = state_of(run)
    for environment in ({"file": str(run / "evil.py")}, {"task": "evil_module:CartPole-v1"}):
        sealed_weights(run / WEIGHTS, state, config=with_environment(**environment))
        for command in commands(run):
            assert "executed only where you name it" in refused(*command)
    sealed_weights(run / WEIGHTS, state, config=with_environment(file=str(run / "evil.py")))
    for settings in run.glob("resolved-*"):
        settings.unlink()
    config = with_environment(file=str(run / "evil.py"))
    name = f"resolved-{hashlib.sha256(config.encode()).hexdigest()[:8]}.yaml"
    (run / name).write_text(config)  # the run's folder comes from the same hands
    (run / WEIGHTS).unlink()
    for command in [*commands(run)[1:], ("dataset", "--run", run), ("snapshot", "--run", run, "--output", run / "s")]:
        refused(*command)


def test_weights_of_other_networks(run: Path, refused: Callable[..., str]) -> None:
    state = state_of(run)
    floats = [name for name, tensor in state.items() if tensor.is_floating_point() and tensor.ndim > 0]
    rng = random.Random(SEED)
    samples: list[dict[str, torch.Tensor]] = [{}, {name: torch.full_like(state[name], torch.nan) for name in floats}]
    for name in rng.sample(floats, 8):
        tensor = state[name]
        samples += [
            state | {name: torch.full_like(tensor, torch.nan)},
            state | {name: tensor.double()},
            state | {name: tensor.half()},
            state | {name: tensor[None].clone()},
            state | {f"{name}\x1b[2J": tensor.clone()},
            {other: value for other, value in state.items() if other != name},
        ]
    for sample in samples:
        sealed_weights(run / WEIGHTS, {name: tensor.contiguous().clone() for name, tensor in sample.items()})
        for command in commands(run)[:1]:
            refused(*command)


def test_weights_with_odd_descriptions(run: Path, refused: Callable[..., str]) -> None:
    state = state_of(run)
    older = SETTINGS.model_copy(update={"training_version": 1})
    other_task = SETTINGS.model_copy(update={"task": "image"})
    descriptions = [
        {key: value} for key in ("format", "format_version", "config", "agent_steps") for value in ODD_VALUES[4:]
    ]
    descriptions += [{key: ...} for key in ("format", "format_version", "config", "agent_steps")]
    descriptions += [{"config": text} for text in [*odd_texts(), *list(bombs())[:5]]]
    descriptions += [{"config": canonical(older)}, {"config": canonical(other_task)}]
    for description in descriptions:
        if not any(isinstance(value, float) for value in description.values()):
            sealed_weights(run / WEIGHTS, state, **description)
            refused(*commands(run)[0])


def test_scrambled_files(run: Path, refused: Callable[..., str]) -> None:
    rng = random.Random(SEED)
    for name in (WEIGHTS, METRICS):
        whole = (run / name).read_bytes()
        for _ in range(40):
            (run / name).write_bytes(scrambled(whole, rng))
            refused("inspect", run / name)


# -- options


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


# -- other readers


def test_what_a_status_shows_cannot_move_a_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from m3.cli.status import _table, _write_csv
    from m3.config.experiment import Run
    from m3.runs.status import RunStatus

    note = "\x1b[2J=cmd|' /C calc'!A0\nsecond line\u202e"
    status = RunStatus(Run("b", "v", "t", 0), "failed", note, 0, 1, None, None, 1, 0.0, 0)
    assert "\x1b" not in _table([status])
    assert len(_table([status]).splitlines()) == 2
    buffer = io.StringIO()
    _write_csv([status], buffer)
    rows = list(csv.reader(io.StringIO(buffer.getvalue())))
    assert len(rows) == 2
    assert rows[1][-1].isprintable()
    assert not rows[1][-1].startswith(("=", "+", "-", "@"))
