"""Batches gathered on the device are those gathered on the host."""

import numpy as np
import pytest
import torch
from data.experience import ROW_BYTES, Experience, new_replay

from m3.data.replay import Replay
from m3.training.device_replay import DeviceReplay

CPU = torch.device("cpu")
MODALITIES = ("image", "vector", "token", "token_2d")


def add(replay: Replay, experience: Experience, episodes: int) -> None:
    for episode in range(episodes):
        for step in experience.steps(3 + episode % 5):
            replay.add(**step)


def assert_same(replay: Replay, copied: DeviceReplay, rng: np.random.Generator) -> None:
    """Random windows, some beyond the ends of their episodes, and random rows."""
    ids = replay.window_ids(rng.integers(replay.first_window, replay.next_window, 32))
    found, expected = copied.windows(ids, 4, 6, MODALITIES), replay.gather(ids, 4, 6)
    assert not expected.mask.all()
    assert list(found.observations) == list(expected.observations)
    pairs = [(found.observations[name], array) for name, array in expected.observations.items()]
    pairs += [(getattr(found, name), getattr(expected, name)) for name in ("actions", "rewards", "terminated", "mask")]
    for tensor, array in pairs:
        np.testing.assert_array_equal(tensor.numpy(), array, strict=True)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.present, expected.mask)
    rows = replay.sample_rows(16, rng)
    for name, array in replay.observations_at(rows).items():
        np.testing.assert_array_equal(copied.observations_at(rows, name).numpy(), array, strict=True)


def test_a_copy_follows_a_replay_that_grows_and_evicts() -> None:
    replay, experience, rng = new_replay(capacity_rows=1500), Experience(), np.random.default_rng(0)
    copied = DeviceReplay(replay, CPU, budget_bytes=10**7)
    slots = set()
    for _ in range(8):
        add(replay, experience, 45)
        assert_same(replay, copied, rng)
        slots.add(replay.num_slots)
    assert slots == {1024, 1500}
    assert replay.first_row > 0
    assert copied.is_copied


def test_a_replay_that_outgrows_the_budget_is_read_from_the_host() -> None:
    replay, experience, rng = new_replay(), Experience(), np.random.default_rng(0)
    copied = DeviceReplay(replay, CPU, budget_bytes=1500 * ROW_BYTES)
    for fits in (True, False):
        add(replay, experience, 120)
        assert_same(replay, copied, rng)
        assert copied.is_copied == fits
        add(replay, experience, 120)


def test_a_replay_that_goes_back_to_a_checkpoint_is_copied_anew() -> None:
    replay, other, rng = new_replay(), new_replay(), np.random.default_rng(0)
    copied = DeviceReplay(replay, CPU, budget_bytes=10**7)
    add(replay, Experience(seed=1), 60)
    assert_same(replay, copied, rng)
    add(other, Experience(seed=2), 40)
    replay.load_state_dict(other.state_dict(), [other.rows_since(0)])
    assert_same(replay, copied, rng)


def test_only_new_rows_are_uploaded(monkeypatch: pytest.MonkeyPatch) -> None:
    replay, experience = new_replay(), Experience()
    copied = DeviceReplay(replay, CPU, budget_bytes=10**7)
    add(replay, experience, 50)
    copied.observations_at(np.array([0]), "image")
    read = []
    monkeypatch.setattr(
        replay, "rows", lambda start, stop: read.append((start, stop)) or Replay.rows(replay, start, stop)
    )
    copied.observations_at(np.array([1]), "image")
    assert read == []
    start = replay.next_row
    add(replay, experience, 1)
    copied.observations_at(np.array([start]), "image")
    assert read == [(start, replay.next_row)]


def test_only_a_gpu_keeps_a_copy_unless_asked() -> None:
    assert not DeviceReplay(new_replay(), CPU).is_copied
    assert DeviceReplay(new_replay(), torch.device("cuda")).is_copied
