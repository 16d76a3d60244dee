"""The replay against a naive one that keeps whole episodes in lists."""

from typing import Any

import numpy as np
import pytest
from experience import ROW_BYTES, SPEC, Experience, filled_replay, new_replay
from hypothesis import given, settings
from hypothesis import strategies as st

from m3.data.replay import Batch, Replay, Rows
from m3.errors import UserError
from m3.specs import ContinuousActions, DiscreteActions, ModalitySpec, ObservationSpec

LENGTHS = st.lists(st.integers(1, 9), max_size=12)
COLUMNS = ("actions", "rewards", "terminated")


class NaiveReplay:
    """All episodes ever seen: the number of the first row and the rows of each, without eviction."""

    def __init__(self) -> None:
        self.episodes: list[tuple[int, list[dict[str, Any]]]] = []
        self._next_row = 0
        self._open = False

    def add(self, observation, action, reward, terminated, truncated, next_observation) -> None:
        if not self._open:
            self.episodes.append((self._next_row, []))
        rows = self.episodes[-1][1]
        rows.append({**observation, "actions": action, "rewards": reward, "terminated": terminated})
        self._open = not (terminated or truncated)
        if not self._open:
            rows.append({**next_observation, "actions": np.zeros(2), "rewards": 0.0, "terminated": False})
        self._next_row = self.episodes[-1][0] + len(rows)

    def windows(self, first_row: int, context_length: int) -> list[int]:
        return [
            first + step
            for first, rows in self.episodes
            if first >= first_row
            for step in range(len(rows))
            if len(rows) - step >= context_length + 1
        ]

    def gather(self, window: int, before: int, length: int) -> list[dict[str, Any] | None]:
        first, rows = next(episode for episode in reversed(self.episodes) if episode[0] <= window)
        steps = range(window - first - before, window - first + length)
        return [rows[step] if 0 <= step < len(rows) else None for step in steps]


def valid_windows(replay: Replay) -> np.ndarray:
    return replay.window_ids(np.arange(replay.first_window, replay.next_window))


def assert_same_steps(batch: Batch, index: int, expected: list[dict[str, Any] | None]) -> None:
    arrays = {**batch.observations, **{name: getattr(batch, name) for name in COLUMNS}}
    assert batch.mask[index].tolist() == [step is not None for step in expected]
    for name, array in arrays.items():
        for values, step in zip(array[index], expected, strict=True):
            np.testing.assert_array_equal(values, np.zeros_like(values) if step is None else step[name])


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, open_steps=st.integers(0, 9), context=st.integers(1, 4), spare=st.integers(0, 60))
def test_windows_are_the_valid_ones_under_eviction(lengths, open_steps, context, spare):
    naive, experience = NaiveReplay(), Experience()
    capacity = max([*lengths, open_steps, context + 1]) + 1 + spare
    replay = new_replay(context_length=context, capacity_rows=capacity)
    for index, length in enumerate([*lengths, open_steps]):
        for step in experience.steps(length, ends=index < len(lengths)):
            naive.add(**step)
            replay.add(**step)
            assert replay.num_rows <= capacity
            assert replay.first_row == 0 or replay.next_row > capacity
            assert valid_windows(replay).tolist() == naive.windows(replay.first_row, context)
    assert replay.first_row in [first for first, _ in naive.episodes] or replay.first_row == 0
    assert replay.num_windows == len(naive.windows(replay.first_row, context))


@settings(max_examples=60, deadline=None)
@given(
    lengths=LENGTHS,
    open_steps=st.integers(0, 9),
    capacity=st.integers(12, 60),
    before=st.integers(0, 6),
    length=st.integers(1, 8),
)
def test_gather_returns_what_was_added(lengths, open_steps, capacity, before, length):
    naive, experience = NaiveReplay(), Experience()
    replay = new_replay(capacity_rows=capacity)
    for index, episode_length in enumerate([*lengths, open_steps]):
        for step in experience.steps(episode_length, ends=index < len(lengths)):
            naive.add(**step)
            replay.add(**step)
    ids = valid_windows(replay)
    batch = replay.gather(ids, before, length)
    np.testing.assert_array_equal(batch.ids, ids)
    for index, window in enumerate(ids):
        assert_same_steps(batch, index, naive.gather(window, before, length))


@pytest.mark.parametrize("capacity", [1500, 100_000])
def test_growth_and_many_turns_of_the_ring_keep_every_row(capacity):
    naive, experience, replay = NaiveReplay(), Experience(), new_replay(capacity_rows=capacity)
    for length in [1, 700, 2, 3, 600, 1, 1, 40, 1200, 5, 300, 300]:
        for step in experience.steps(length):
            naive.add(**step)
            replay.add(**step)
    ids = valid_windows(replay)
    assert ids.tolist() == naive.windows(replay.first_row, 2)
    assert (replay.first_row > 0) == (capacity == 1500)
    batch = replay.gather(ids, 3, 5)
    for index in range(0, len(ids), 7):
        assert_same_steps(batch, index, naive.gather(ids[index], 3, 5))


def test_storage_types():
    batch = filled_replay([5]).gather(np.array([0]), 0, 3)
    types = {name: str(values.dtype) for name, values in batch.observations.items()}
    assert types == {"image": "uint8", "vector": "float32", "token": "uint8", "token_2d": "int16"}
    assert (batch.actions.dtype, batch.rewards.dtype) == (np.float32, np.float32)


def test_a_controllers_start_state_is_never_final():
    """The last context step of a window always has a row after it."""
    replay = filled_replay([1, 2, 3, 7, 4], context_length=2)
    rows = replay.rows(0, replay.next_row)
    starts = valid_windows(replay) + 2 - 1
    assert not rows.columns["final"][starts].any()
    assert len(starts) == 0 + 1 + 2 + 6 + 3


def test_rows_are_sampled_from_all_episodes():
    replay = filled_replay([1, 1, 4], open_steps=2)
    rows = replay.sample_rows(replay.num_rows, np.random.default_rng(0))
    assert sorted(rows) == list(range(2 + 2 + 5 + 2))
    np.testing.assert_array_equal(replay.observations_at(rows)["image"], replay.rows(0, 11).observations["image"][rows])


def test_terminated_and_truncated_are_kept_apart():
    columns = filled_replay([3, 2, 1]).rows(0, 9).columns
    assert np.flatnonzero(columns["terminated"]).tolist() == [2]
    assert np.flatnonzero(columns["truncated"]).tolist() == [5, 7]
    assert np.flatnonzero(columns["final"]).tolist() == [3, 6, 8]


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=14),
    open_steps=st.integers(0, 5),
    capacity=st.integers(20, 80),
    saves=st.sets(st.integers(0, 80)),
)
def test_restored_from_parts_it_is_the_same_replay(lengths, open_steps, capacity, saves):
    replay, experience = new_replay(capacity_rows=capacity), Experience()
    parts: list[Rows] = []
    for index, length in enumerate([*lengths, open_steps]):
        for step in experience.steps(length, ends=index < len(lengths)):
            replay.add(**step)
            if replay.next_row in saves:
                parts.append(replay.rows_since(parts[-1].next_row if parts else 0))
    parts.append(replay.rows_since(parts[-1].next_row if parts else 0))
    restored = new_replay(capacity_rows=capacity)
    restored.load_state_dict(replay.state_dict(), parts)
    for step in experience.steps(8):
        replay.add(**step)
        restored.add(**step)
    assert restored.num_slots == replay.num_slots
    np.testing.assert_equal(restored.state_dict(), replay.state_dict())
    np.testing.assert_equal(
        vars(restored.gather(valid_windows(restored), 4, 6)), vars(replay.gather(valid_windows(replay), 4, 6))
    )


def test_a_grown_replay_is_restored_with_as_many_slots():
    replay = filled_replay([700, 700], open_steps=5)
    restored = new_replay()
    restored.load_state_dict(replay.state_dict(), [replay.rows_since(0)])
    assert restored.num_slots == replay.num_slots == 2048


def test_missing_or_foreign_rows_are_refused():
    replay = filled_replay([5, 5])
    with pytest.raises(UserError, match="rows 0 to 12 are missing"):
        new_replay().load_state_dict(replay.state_dict(), [])
    with pytest.raises(UserError, match="rows 7 to 12 are missing"):
        new_replay().load_state_dict(replay.state_dict(), [replay.rows(0, 7)])
    other = Replay(SPEC, DiscreteActions((4, 4)), 2, 100_000)
    with pytest.raises(UserError, match="'actions' differs"):
        other.load_state_dict(replay.state_dict(), [replay.rows_since(0)])


def test_capacity_too_small_is_said():
    with pytest.raises(UserError, match="does not hold one window"):
        Replay(SPEC, ContinuousActions(2), 2, 3 * ROW_BYTES)
    replay = new_replay(capacity_rows=10)
    *fitting, last = Experience().steps(11)
    for step in fitting:
        replay.add(**step)
    with pytest.raises(UserError, match="do not hold the episode in progress"):
        replay.add(**last)


@pytest.mark.parametrize(("token", "vector"), [([200, 0], [0.0] * 3), ([-1, 0], [0.0] * 3), ([0, 0], [0.0])])
def test_observations_that_do_not_fit_are_refused(token, vector):
    spec = ObservationSpec({"token": ModalitySpec((2,), "int64", (200,)), "vector": ModalitySpec((3,), "float32")})
    replay = Replay(spec, ContinuousActions(2), 2, 10_000)
    observation = {"token": np.array(token), "vector": np.array(vector, np.float32)}
    with pytest.raises(ValueError, match="observation"):
        replay.add(observation, np.zeros(2, np.float32), 0.0, False, False, observation)


def test_evicted_ids_are_refused():
    replay = filled_replay([5] * 10, capacity_rows=20)
    with pytest.raises(ValueError, match="no longer"):
        replay.gather(np.array([0]), 0, 3)
