"""The commands that time and trace training, at tiny size."""

import json
from pathlib import Path
from threading import BrokenBarrierError

import numpy as np
import pytest
import torch

from m3.bench.operations import OperationCount
from m3.bench.options import BenchOptions
from m3.bench.timing import Bench, bench_settings, projected_hours, share_of_unknown_frames
from m3.bench.together import time_parts
from m3.cli import main

CPU = torch.device("cpu")
TINY = ("--variant", "tiny", "--device", "cpu", "--stored-steps", "200", "--steps", "2")


@pytest.mark.parametrize("benchmark", ["atari100k", "dmc500k", "craftax1m"])
def test_every_part_is_timed_and_projected(benchmark: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--benchmark", benchmark, *TINY, "--warmup", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    parts = [timing["part"] for timing in result["timings"]]
    components = ["tokenizer"] * (benchmark == "atari100k") + ["world_model", "controller"]
    assert parts == [*components, "replay", "collect", "evaluate", "checkpoint"]
    assert all(t["fastest"] <= t["seconds"] <= t["slowest"] for t in result["timings"])
    assert [t["gflop"] is not None for t in result["timings"]] == [part in components for part in parts]
    assert set(result["hours_of_a_run"]) == {*components, "collect"}


def test_operations_are_those_of_products_forward_and_backward() -> None:
    layer, batch = torch.nn.Linear(4, 5), torch.ones(3, 4)
    with OperationCount() as operations:
        with torch.no_grad():
            layer(batch)
        assert operations.total == 2 * 3 * 4 * 5
        layer(batch).sum().backward()
    assert operations.total == 3 * (2 * 3 * 4 * 5)


def test_a_step_finds_as_many_frames_unknown_as_drawing_them_would_leave() -> None:
    """Over an epoch, the frames that are made are those that are drawn at least once."""
    settings = bench_settings("atari100k", "m3")
    rng, rows = np.random.default_rng(0), 500 * 200
    known = np.zeros(rows, dtype=bool)
    for part, schedule, frames in (
        ("world_model", settings.world_model.schedule, 10),
        ("controller", settings.controller.schedule, 22),
    ):
        drawn = schedule.steps_per_epoch * schedule.batch_size * frames
        before = known.sum()
        known[rng.integers(rows, size=drawn)] = True
        assert share_of_unknown_frames(settings, part) == pytest.approx((known.sum() - before) / drawn, rel=0.01)


def test_without_images_no_tokens_are_kept() -> None:
    assert share_of_unknown_frames(bench_settings("dmc500k", "m3"), "controller") == 0


def test_hours_are_steps_times_seconds() -> None:
    settings = bench_settings("dmc500k", "tiny")
    timing = Bench(settings, CPU, 200).time("world_model", steps=1, warmup=0)
    epochs = settings.epochs - settings.world_model.schedule.start_after_epoch
    steps = epochs * settings.world_model.schedule.steps_per_epoch
    assert projected_hours(settings, [timing]) == {"world_model": pytest.approx(steps * timing.seconds / 3600)}


def test_options_replace_the_settings() -> None:
    settings = bench_settings("atari100k", "m3", batch_size=12, precision="bf16", perceptual=False)
    assert settings.precision == "bf16"
    assert settings.tokenizer is not None
    assert settings.tokenizer.perceptual == "none"
    parts = (settings.tokenizer, settings.world_model, settings.controller)
    assert [part.schedule.batch_size for part in parts] == [12, 12, 12]


def test_runs_at_once_are_timed_together(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["bench", "--benchmark", "dmc500k", *TINY, "--warmup", "0", "--component", "controller", "--json"]
    alone, together = [], []
    for at_once, results in (("1", alone), ("2", together)):
        assert main([*options, "--at-once", at_once]) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert [result["at_once"] for result in alone + together] == [1, 2]
    (one,), (two,) = alone[0]["timings"], together[0]["timings"]
    assert two["fastest"] <= two["seconds"] <= two["slowest"]
    assert two["peak_memory_gb"] > 1.2 * one["peak_memory_gb"]
    steps_of_a_trajectory = one["imagined_steps_per_second"] * one["seconds"]
    assert two["imagined_steps_per_second"] * two["seconds"] == pytest.approx(2 * steps_of_a_trajectory)


def test_a_process_that_fails_does_not_leave_the_others_waiting() -> None:
    plan = BenchOptions(bench_settings("dmc500k", "tiny"), CPU, 200, ["world_model", "no such part"])
    with pytest.raises((KeyError, BrokenBarrierError)):
        time_parts(plan, steps=1, warmup=0, processes=2)


def test_a_trace_holds_the_operations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "trace.json"
    options = [*TINY, "--component", "controller", "--output", str(trace)]
    assert main(["profile", "--benchmark", "dmc500k", *options]) == 0
    assert "aten::addmm" in capsys.readouterr().out
    assert any(event.get("name") == "aten::lstm_cell" for event in json.loads(trace.read_text())["traceEvents"])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--component", "wrold-model"], "world_model"),
        (["--batch", "6"], "batch_size must be a multiple of 4"),
        (["--stored-steps", "3"], "--stored-steps must be at least"),
        (["--steps", "0"], "--steps must be at least 1"),
        (["--at-once", "0"], "--at-once must be at least 1"),
    ],
)
def test_impossible_options_are_told_in_one_line(
    options: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--benchmark", "dmc500k", *TINY, *options]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert named in lines[0]
