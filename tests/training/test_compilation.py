"""Imagination by torch's compiler: the same up to rounding, so a part of what a run is; resumed to the same bits."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._inductor.cpp_builder
from components import missing
from crashes import crashing
from torch._inductor.exc import InvalidCxxCompiler
from torch.testing import assert_close
from toy_runs import toy_settings, toy_trainer

from m3.checks.comparison import run_differences
from m3.config.identity import config_hash
from m3.errors import UserError
from m3.nn.retnet import RetNet
from m3.reference.golden import verify_file
from m3.runs.evaluate import evaluate
from m3.runs.progress import finish
from m3.runs.saving import CheckpointInterval
from m3.runs.train import train
from m3.seeding import randomness

CPU = torch.device("cpu")
TASK = "multi_discrete"


@pytest.fixture(autouse=True)
def _compiler() -> None:
    if shutil.which("g++") is None:
        missing("g++")


def losses_of_a_step(**changes: Any) -> dict[str, torch.Tensor]:
    """Scalars of a controller step in a run with these settings, always from the same experience."""
    trainer = toy_trainer(toy_settings(TASK, **changes))
    finish(trainer.collector.collect(30, randomness(CPU, 0)), "collect", 30)
    return trainer.components["controller"].step(randomness(CPU, 1), epoch=3)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 3e-2)])
def test_a_compiled_step_is_the_step_up_to_rounding(precision: str, tolerance: float) -> None:
    eager, compiled = (losses_of_a_step(precision=precision, compile=mode) for mode in ("none", "default"))
    assert_close(compiled, eager, rtol=tolerance, atol=tolerance)


def test_the_compiler_makes_what_imagines_and_nothing_that_learns() -> None:
    trainer = toy_trainer(toy_settings(TASK, compile="default"))
    retnet = trainer.agent.world_model.sequence.network
    calls: list[bool] = []
    run = retnet._run_layers
    retnet._compiled = lambda *given: calls.append(torch.is_grad_enabled()) or run(*given)
    finish(trainer.collector.collect(30, randomness(CPU, 0)), "collect", 30)
    trainer.components["world_model"].step(randomness(CPU, 1), epoch=3)
    assert calls == []
    trainer.components["controller"].step(randomness(CPU, 1), epoch=3)
    assert calls == [False, False]  # a window of 4 steps, 2 of them context, has 2 imagined ones that something follows


def test_compiled_runs_are_others_and_captured_ones_are_not() -> None:
    """What changes bits is a part of what a run is; what does not, is not even a setting."""
    settings = toy_settings(TASK)
    assert config_hash(toy_settings(TASK, compile="none")) == config_hash(settings)
    assert config_hash(toy_settings(TASK, compile="default")) != config_hash(settings)
    with pytest.raises(ValueError, match="'none' or 'default'"):
        toy_settings(TASK, compile="graphs")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vector_continuous", "training_step/vector_continuous"])
def test_the_authors_values_are_met_by_compiled_layers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = RetNet.__init__

    def make_compiled(retnet: RetNet, *sizes: Any) -> None:
        make(retnet, *sizes)
        retnet.compile_without_gradients()

    monkeypatch.setattr(RetNet, "__init__", make_compiled)
    comparisons = verify_file(Path(__file__).parents[1] / "golden" / f"{name}.npz")
    assert [c for c in comparisons if not c.met] == []


@pytest.mark.slow
@pytest.mark.parametrize("graphs", [False, True])
def test_a_compiled_run_that_crashes_is_the_run_that_does_not(graphs: bool, tmp_path: Path) -> None:
    settings = toy_settings(TASK, compile="default")
    interval = CheckpointInterval(minutes=60, epochs=1)
    assert train(settings, tmp_path / "whole", device="cpu", interval=interval)
    with crashing(4, KeyboardInterrupt):
        train(settings, tmp_path / "crashed", device="cpu", interval=interval, graphs=graphs)
    assert train(settings, tmp_path / "crashed", device="cpu", interval=interval, graphs=graphs)
    for name in ("whole", "crashed"):
        evaluate(tmp_path / name, 3)
    assert run_differences(tmp_path / "whole", tmp_path / "crashed", settings) == []


def test_a_machine_without_a_compiler_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr(torch._inductor.cpp_builder, "get_cpp_compiler", none)
    with pytest.raises(UserError, match=r"needs a C\+\+ compiler"):
        toy_trainer(toy_settings(TASK, compile="default"))
