"""Which parts an epoch has, and what a person is told."""

import math
from typing import Any

import pytest
from toy_runs import toy_settings, toy_trainer

from m3.config.experiment import Run
from m3.config.loading import load_run
from m3.runs import progress
from m3.runs.progress import RunProgress, duration
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
    assert left[0] == "> 50 s left"  # collecting only is known
    assert left[1] == "> 2 min 24 s left"  # 4 times 10 + 20, 2 times 12
    assert left[2] == "3 min 54 s left"  # 3 times 10 + 20 + 40, 2 times 12
    assert left[5] == "0 s left"
    assert lines[0][:5] == ["mixed seed 0", "epoch 1/6", "20 steps", "10.0 s", "2 steps/s"]


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
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (3599.9, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
