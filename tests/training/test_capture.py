"""Captured steps come to the same bits. Without CUDA, what is tested is all but the capture itself."""

from pathlib import Path
from typing import Any

import pytest
import torch
from crashes import crashing
from torch import Tensor
from toy_runs import toy_settings

from m3.checks.comparison import run_differences
from m3.runs.evaluate import evaluate
from m3.runs.saving import CheckpointInterval
from m3.runs.train import train
from m3.training.capture import Captured

CPU = torch.device("cpu")


def test_inputs_are_read_at_fixed_places_and_outputs_are_the_callers_own() -> None:
    places = []

    def double(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        places.append(inputs["x"].data_ptr())
        return {"y": 2 * inputs["x"]}

    captured = Captured(double, CPU)
    given = [{"x": torch.full((3,), float(call))} for call in range(6)]
    outputs = [captured(inputs)["y"] for inputs in given]
    assert [output.tolist() for output in outputs] == [[2.0 * call] * 3 for call in range(6)]
    assert len({*places[3:]}) == 1
    assert places[3] not in {inputs["x"].data_ptr() for inputs in given}


@pytest.mark.parametrize(
    ("task", "changes"),
    [("all_modalities", {}), ("vector", {"controller": {"separate_networks": True, "critic_warmup_epochs": 3}})],
)
def test_a_captured_run_that_crashes_is_the_run_as_it_is(task: str, changes: dict[str, Any], tmp_path: Path) -> None:
    """Over the end of the critic's warm-up, where the step takes another form."""
    settings = toy_settings(task, epochs=7, **changes)
    interval = CheckpointInterval(minutes=60, epochs=2)

    def run(name: str, graphs: bool) -> None:
        assert train(settings, tmp_path / name, device="cpu", interval=interval, graphs=graphs)

    run("whole", graphs=False)
    with crashing(6, KeyboardInterrupt):
        run("captured", graphs=True)
    run("captured", graphs=True)
    for name in ("whole", "captured"):
        evaluate(tmp_path / name, 3)
    assert run_differences(tmp_path / "whole", tmp_path / "captured", settings) == []
