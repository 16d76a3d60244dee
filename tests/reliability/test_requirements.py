"""What a run needs is known before it begins."""

import math
from pathlib import Path

import pytest
import torch
from toy_runs import toy_agent, toy_settings
from trained import SETTINGS, train

from m3.config.schema import RunSettings
from m3.data.replay import Replay
from m3.environments import make_environment
from m3.errors import UserError
from m3.runs import requirements
from m3.runs.requirements import Requirements, check_batch, folder_bytes, free_memory_bytes, size
from m3.training.trainer import new_replay


def replay_of(settings: RunSettings) -> Replay:
    return new_replay(settings, make_environment(settings.environment, settings.task, "train"))


def test_the_needs_of_a_paper_size_run() -> None:
    """100 000 steps with images of 64 x 64, and an agent of 100 MB."""
    changes = {
        "epochs": 600,
        "collection": {"steps_per_epoch": 200, "last_epoch": 500},
        "environment": {"image_size": 64},
    }
    settings = toy_settings("image", **changes)
    needed = Requirements.of(settings, replay_of(settings), parameter_bytes=100 * 10**6)
    row = 3 * 64 * 64 + 8 + 4 + 3  # image, action, reward, three flags
    assert needed.experience == 100_000 * row
    assert needed.memory == 131_072 * row + 700 * 10**6  # the replay grew for the last time when it had 65 536 rows
    assert needed.disk == 100_000 * row + 3 * (300 * 10**6 + 100_000 * 8)


def test_no_more_is_needed_than_the_replay_may_have() -> None:
    settings = toy_settings("image", epochs=10**6, replay={"capacity_gigabytes": 0.5})
    assert 0.49e9 < Requirements.of(settings, replay_of(settings), 0).experience <= 0.5e9


def test_too_little_memory_or_disk_is_said_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "free_memory_bytes", lambda: 10_000)
    expected = (
        r"the run needs .*B of memory, of it .* for its experience, and 10 kB are free here: lower replay.capacity"
    )
    with pytest.raises(UserError, match=expected):
        train(tmp_path)
    monkeypatch.setattr(requirements, "free_memory_bytes", lambda: math.inf)
    usage = requirements.shutil.disk_usage(tmp_path)._replace(free=5_000)
    monkeypatch.setattr(requirements.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"needs .* more on the disk of .*, and 5 kB are free: free some, or choose"):
        train(tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def test_batches_of_too_many_tokens_are_refused_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a batch of 4 windows of 4 steps; a step is 3 tokens of the vector and 2 of the action, in 2 layers of 16."""
    settings, cpu = toy_settings("vector"), torch.device("cpu")
    model = toy_agent("vector").world_model
    needed = 4 * 4 * 4 * (5 * 16 * 2 + 3 * sum(model.specs["vector"].vocabularies))
    told = f"a step is 5 tokens; a batch of the world model takes at least {size(needed)}"
    monkeypatch.setattr(requirements, "free_memory_bytes", lambda: needed)
    assert check_batch(settings, model, cpu) == told
    monkeypatch.setattr(requirements, "free_memory_bytes", lambda: needed - 1)
    with pytest.raises(UserError, match=r"a step is 5 tokens, .* lower world_model.schedule.batch_size"):
        check_batch(settings, model, cpu)


def test_what_a_run_has_stored_is_not_needed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = Requirements(experience=1, memory=1, disk=10_000)
    usage = requirements.shutil.disk_usage(tmp_path)._replace(free=5_000)
    monkeypatch.setattr(requirements.shutil, "disk_usage", lambda _: usage)
    own, of_others = tmp_path / "own", tmp_path / "of_others"
    for checkpoints in (own, of_others):
        checkpoints.mkdir()
        (checkpoints / "replay.npz").write_bytes(bytes(6_000))
    assert "4 kB more on the disk (5 kB are free)" in needed.check(tmp_path, own)
    with pytest.raises(UserError):
        needed.check(tmp_path, tmp_path / "new")


def test_a_real_run_stays_within_its_needs(undisturbed: Path) -> None:
    parameter_bytes = sum(parameter.nbytes for parameter in toy_agent(SETTINGS.task).parameters())
    needed = Requirements.of(SETTINGS, replay_of(SETTINGS), parameter_bytes)
    assert 0.5 * needed.disk < folder_bytes(undisturbed) < needed.disk


@pytest.mark.parametrize(
    ("line", "folder", "limit", "usage", "spare"),
    [
        ("0::/job", "job", "memory.max", "memory.current", "inactive_file"),
        ("7:memory:/job", "memory/job", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_the_limits_of_containers_and_batch_systems_count(
    tmp_path: Path, line: str, folder: str, limit: str, usage: str, spare: str
) -> None:
    own, root = tmp_path / "cgroup", tmp_path / "groups"
    own.write_text(f"12:cpuset:/\n{line}/step\n")
    assert list(requirements._left_in_groups(root, own)) == []
    for group, value in ((root / folder / "step", "max"), (root / folder, "9000")):
        group.mkdir(parents=True, exist_ok=True)
        (group / limit).write_text(f"{value}\n")
        (group / usage).write_text("5000\n")
        (group / "memory.stat").write_text(f"anon 1\n{spare} 2000\n")
    assert list(requirements._left_in_groups(root, own)) == [6000]


def test_free_memory_is_what_the_machine_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = tmp_path / "meminfo"
    monkeypatch.setattr(requirements, "_left_in_groups", lambda: iter([4096]))
    assert free_memory_bytes(machine) == 4096
    machine.write_text("MemTotal: 9 kB\nMemAvailable:       3 kB\n")
    assert free_memory_bytes(machine) == 3072
    monkeypatch.setattr(requirements, "_left_in_groups", lambda: iter([]))
    assert free_memory_bytes(tmp_path / "none") == math.inf


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1234, "1.23 kB"),
        (999_600, "1 MB"),
        (16e9, "16 GB"),
        (2.5e12, "2.5 TB"),
        (math.inf, "inf TB"),
    ],
)
def test_sizes_for_people(count: float, text: str) -> None:
    assert size(count) == text
