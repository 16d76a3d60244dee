"""Hostile weights: of other networks, with code to execute, scrambled."""

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile import MARK, ODD_VALUES, SEED, bombs, odd_texts, scrambled
from safetensors.torch import save
from trained import SETTINGS

from m3.config.layers import merge
from m3.config.schema import RunSettings
from m3.files.names import METRICS, WEIGHTS
from m3.files.run_folder import canonical
from m3.runs.weights import _digest


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
