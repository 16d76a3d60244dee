"""Which parts an epoch has, and what a person is told."""

import math
from typing import Any

import pytest
import torch
from toy_runs import toy_settings, toy_trainer

from m3.bench.timing import Bench, bench_settings
from m3.config.experiment import Run
from m3.config.loading import load_run
from m3.errors import UserError
from m3.runs import progress
from m3.runs.progress import RunProgress, duration
from m3.runs.workload import operations_per_step, refuse_weeks_on_the_cpu
from m3.training.schedule import Work, parts_of_epoch


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (5, {"collect": 200}),
        (6, {"collect": 200, "tokenizer": 200}),
        (25, {"collect": 200, "tokenizer": 200}),
        (26, {"collect": 200, "tokenizer": 200, "world_model": 200}),
        (51, {"collect": 200, "tokenizer": 200, "world_model": 200, "controller": 80}),
        (500, {"collect": 200, "tokenizer": 200, "world_model": 200, "controller": 80, "evaluate": 16}),
        (501, {"tokenizer": 200, "world_model": 200, "controller": 80}),
        (600, {"tokenizer": 200, "world_model": 200, "controller": 80, "evaluate": 16}),
    ],
)
def test_epochs_of_atari(epoch: int, expected: dict[str, int]) -> None:
    parts = parts_of_epoch(load_run(Run("atari100k", "m3", "Pong", seed=0)), epoch)
    assert list(parts.items()) == list(expected.items())


@pytest.mark.parametrize(
    ("benchmark", "task", "steps"),
    [
        ("atari100k", "Pong", {"collect": 100_000, "tokenizer": 119_000, "world_model": 115_000, "controller": 44_000}),
        ("dmc500k", "walker-run", {"collect": 500_000, "world_model": 295_500, "controller": 98_000}),
        ("craftax1m", "Craftax-Symbolic-v1", {"collect": 10**6, "world_model": 975_000, "controller": 485_000}),
    ],
)
def test_steps_of_whole_runs(benchmark: str, task: str, steps: dict[str, int]) -> None:
    settings = load_run(Run(benchmark, "m3", task, seed=0))
    epochs = [parts_of_epoch(settings, epoch) for epoch in range(1, settings.epochs + 1)]
    assert {part: sum(parts.get(part, 0) for parts in epochs) for part in steps} == steps


def test_the_last_epoch_is_evaluated_whatever_its_number() -> None:
    settings = toy_settings("mixed", epochs=5)
    assert ["evaluate" in parts_of_epoch(settings, epoch) for epoch in range(1, 6)] == [False, True, False, True, True]


class Clock:
    """A clock that moves when work is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(progress, "monotonic", lambda: self.now)

    def work(self, steps: int, seconds: float) -> Work[str]:
        for _ in range(steps):
            self.now += seconds
            yield
        return "done"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_the_time_left_follows_from_the_steps_that_are_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Six epochs: 20 steps of collecting in each, 2 of the world model from the second and of the controller from the
    third, 3 episodes in every second."""
    settings = toy_settings("mixed", epochs=6)
    shown = RunProgress(settings)
    costs = {"collect": 0.5, "world_model": 10.0, "controller": 20.0, "evaluate": 4.0}
    lines = []
    for epoch in range(1, 7):
        for part, steps in parts_of_epoch(settings, epoch).items():
            assert shown.follow(part, steps, clock.work(steps, costs[part])) == "done"
        seconds = shown.end_epoch(epoch, 20 * epoch, {})
        assert seconds["seconds"] == sum(steps * costs[part] for part, steps in parts_of_epoch(settings, epoch).items())
        lines.append(capsys.readouterr().out.splitlines()[-1].split(" | "))
    left = [line[5] for line in lines]
    assert left[0] == "about 50 s left"  # nothing is known but collecting
    assert left[1] == "about 2 min 24 s left"  # 4 times 10 + 20, 2 times 12
    assert left[2] == "3 min 54 s left"  # 3 times 10 + 20 + 40, 2 times 12
    assert left[5] == "0 s left"
    assert lines[0][:5] == ["mixed seed 0", "epoch 1/6", "20 steps", "10.0 s", "2 steps/s"]


def test_parts_that_have_not_run_count_by_their_operations(clock: Clock) -> None:
    """A whole run of walker, of which 15 cheap epochs tell nothing: its controller and world model count anyway."""
    settings = load_run(Run("dmc500k", "m3", "walker-run", seed=0))
    shown = RunProgress(settings)
    shown.expect({"world_model": 2.0, "controller": 5.0})
    assert shown.seconds_left(0) == 295_500 * 2 + 98_000 * 5
    shown.follow("collect", 500, clock.work(500, 0.01))
    assert shown.seconds_left(1) == pytest.approx(295_500 * 2 + 98_000 * 5 + 999 * 500 * 0.01)
    shown.follow("world_model", 300, clock.work(300, 6.0))  # three times as slow as guessed: so is the controller
    assert shown.seconds_left(1) == pytest.approx(295_500 * 6 + 98_000 * 15 + 999 * 500 * 0.01)


@pytest.mark.parametrize(
    ("benchmark", "counted"),
    [
        ("atari100k", {"tokenizer": (32, 153), "world_model": (8, 554), "controller": (32, 1096)}),
        ("dmc500k", {"world_model": (4, 122), "controller": (32, 346)}),
        ("craftax1m", {"world_model": (4, 606), "controller": (64, 3418)}),
    ],
)
def test_operations_are_about_those_that_were_counted(benchmark: str, counted: dict[str, tuple[int, int]]) -> None:
    """Billions of a step, counted by `m3 bench` (BENCHMARKS.md)."""
    settings = bench_settings(benchmark, "m3", perceptual=False)
    trainer = Bench(settings, torch.device("cpu"), stored_steps=60).trainer
    estimated = operations_per_step(trainer)
    for part, (batch, gflop) in counted.items():
        scale = batch / trainer.components[part].schedule.batch_size
        assert estimated[part] * scale / 1e9 == pytest.approx(gflop, rel=0.3), part


def test_weeks_on_a_cpu_must_be_asked_for() -> None:
    weeks, cpu = 3.0 * 7 * 24 * 3600, torch.device("cpu")
    with pytest.raises(UserError, match=r"about 3 weeks.*--device cpu"):
        refuse_weeks_on_the_cpu(weeks, cpu, "auto")
    refuse_weeks_on_the_cpu(weeks, cpu, "cpu")
    refuse_weeks_on_the_cpu(weeks, torch.device("cuda"), "auto")
    refuse_weeks_on_the_cpu(3600.0, cpu, "auto")


def test_a_component_that_waits_for_experience_is_not_taken_for_a_fast_one() -> None:
    """Episodes of three steps have no window for a batch after the first epoch."""
    settings = toy_settings("truncating", collection={"steps_per_epoch": 3}, epochs=3)
    trainer = toy_trainer(settings)
    shown = RunProgress(settings)
    for _ in range(2):
        trainer.run_epoch(shown)
    assert not trainer.components["world_model"].ready()
    assert math.isnan(shown.expected_seconds(2))


def test_metrics_that_people_want_to_see_are_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    metrics: dict[str, Any] = {"world_model/loss": 1.23456, "evaluation/return": 17.0, "world_model/end_loss": 5.0}
    RunProgress(toy_settings("mixed")).end_epoch(2, 40, metrics)
    assert capsys.readouterr().out.endswith("| world model loss 1.235 | evaluation return 17\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.6, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599.9, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (25.2 * 86400, "25 days"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
