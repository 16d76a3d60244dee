"""Samplers and the sum tree against naive ones."""

import numpy as np
import pytest
from experience import Experience, filled_replay, new_replay
from hypothesis import given, settings
from hypothesis import strategies as st

from m3.data.replay import Replay
from m3.data.samplers import PrioritizedSampler, UniformSampler
from m3.data.sum_tree import FANOUT, SumTree

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def valid_windows(replay: Replay) -> list[int]:
    return replay.window_ids(np.arange(replay.first_window, replay.next_window)).tolist()


def losses_of(sampler: PrioritizedSampler) -> np.ndarray:
    """The losses of all valid windows, in order."""
    return np.log(sampler.state_dict()["weights"])


def frequencies(draws: list[np.ndarray], ids: list[int]) -> np.ndarray:
    """How often each id is part of a draw."""
    return np.array([sum(i in draw for draw in draws) for i in ids]) / len(draws)


def naive_prioritized(rng: np.random.Generator, losses: np.ndarray, count: int, batch_size: int) -> np.ndarray:
    weights = np.exp(losses)
    first = rng.choice(len(losses), count, replace=False, p=weights / weights.sum())
    others = np.setdiff1d(np.arange(len(losses)), first)
    return np.concatenate([first, rng.choice(others, batch_size - count, replace=False)])


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS, open_steps=st.integers(0, 5), capacity=st.integers(12, 60), share=st.floats(0, 1))
def test_draws_are_different_valid_windows(lengths, open_steps, capacity, share):
    replay = new_replay(capacity_rows=capacity)
    samplers = [UniformSampler(replay), PrioritizedSampler(replay, share, 10.0)]
    experience, rng = Experience(), np.random.default_rng(0)
    for index, length in enumerate([*lengths, open_steps]):
        for step in experience.steps(length, ends=index < len(lengths)):
            replay.add(**step)
        for sampler in samplers:
            for batch_size in (replay.num_windows // 2, replay.num_windows):
                ids = sampler.sample(batch_size, rng)
                assert len(set(ids)) == batch_size
                assert set(ids) <= set(valid_windows(replay))
                sampler.update(ids, rng.uniform(0, 12, batch_size).astype(np.float32))


@pytest.mark.parametrize("kind", [UniformSampler, lambda replay: PrioritizedSampler(replay, 0.3, 10.0)])
def test_too_few_windows_are_said(kind):
    replay = filled_replay([4])
    with pytest.raises(ValueError, match="4 windows was asked of a replay that has 3"):
        kind(replay).sample(4, np.random.default_rng(0))


def test_uniform_means_uniform_whatever_the_episode_lengths():
    replay = filled_replay([1, 2, 9, 1, 3, 5], open_steps=4)
    sampler, rng = UniformSampler(replay), np.random.default_rng(0)
    ids = valid_windows(replay)
    draws = [sampler.sample(3, rng) for _ in range(6000)]
    np.testing.assert_allclose(frequencies(draws, ids), 3 / len(ids), atol=0.02)


def test_prioritized_draws_follow_the_naive_law():
    replay = filled_replay([7])
    losses = np.array([0.5, 3.0, -1.0, 2.0, 0.0, 1.0], np.float32)
    sampler, rng = PrioritizedSampler(replay, 0.5, 10.0), np.random.default_rng(0)
    sampler.update(np.arange(6), losses)
    draws = [sampler.sample(4, rng) for _ in range(20_000)]
    naive = [naive_prioritized(rng, losses, 2, 4) for _ in range(20_000)]
    ids = valid_windows(replay)
    np.testing.assert_allclose(frequencies(draws, ids), frequencies(naive, ids), atol=0.02)
    first = np.bincount([draw[0] for draw in draws], minlength=6) / len(draws)  # the batch is shuffled
    np.testing.assert_allclose(first, frequencies(draws, ids) / 4, atol=0.015)


@pytest.mark.parametrize(("share", "batch_size", "expected"), [(0.3, 32, 10), (0.07, 100, 7), (1.0, 8, 8), (0.0, 8, 0)])
def test_share_rounds_up(share, batch_size, expected):
    replay, rng = filled_replay([4001]), np.random.default_rng(0)
    sampler = PrioritizedSampler(replay, share, 0.0)
    preferred = np.arange(100, 120)  # few, so that the uniform part of most batches has none of them
    sampler.update(preferred, np.full(20, 50.0))
    hits = [np.isin(sampler.sample(batch_size, rng), preferred).sum() for _ in range(50)]
    assert min(hits) == np.median(hits) == expected


def test_losses_land_on_their_windows():
    replay = filled_replay([3, 1, 8, 2], open_steps=5)
    sampler, rng = PrioritizedSampler(replay, 0.3, 10.0), np.random.default_rng(0)
    expected = dict.fromkeys(valid_windows(replay), 10.0)
    for _ in range(20):
        ids = sampler.sample(6, rng)
        losses = rng.uniform(-5, 15, 6)
        sampler.update(ids, losses)
        expected.update(zip(ids.tolist(), losses, strict=True))
    np.testing.assert_allclose(losses_of(sampler), list(expected.values()))


def test_late_losses_of_evicted_windows_are_ignored():
    """A batch may be drawn before, and its losses known after, its episode is dropped."""
    replay, experience, rng = new_replay(capacity_rows=24), Experience(), np.random.default_rng(0)
    sampler = PrioritizedSampler(replay, 0.5, 10.0)
    for _ in range(4):
        for step in experience.steps(5):
            replay.add(**step)
    ids = sampler.sample(replay.num_windows, rng)
    for step in experience.steps(7):
        replay.add(**step)
    assert replay.first_row == 12
    sampler.update(ids, ids.astype(np.float64) / 10)
    expected = {i: i / 10 if i in ids else 10.0 for i in valid_windows(replay)}
    np.testing.assert_allclose(losses_of(sampler), list(expected.values()))


def test_new_windows_count_as_the_initial_loss():
    replay, experience, rng = filled_replay([1200]), Experience(1), np.random.default_rng(0)
    sampler = PrioritizedSampler(replay, 1.0, 7.5)
    ids = sampler.sample(replay.num_windows, rng)
    sampler.update(ids, np.zeros(len(ids)))
    for step in experience.steps(900):  # the replay grows
        replay.add(**step)
    np.testing.assert_allclose(losses_of(sampler), [0.0] * 1199 + [7.5] * 899)


def test_losses_must_be_finite_and_extreme_ones_work():
    replay, rng = filled_replay([4, 4]), np.random.default_rng(0)
    sampler = PrioritizedSampler(replay, 1.0, 10.0)
    ids = np.sort(sampler.sample(6, rng))
    sampler.update(ids, np.array([1e9, -1e9, 0.0, 700.0, 1.0, -700.0]))
    assert set(sampler.sample(2, rng)) == {ids[0], ids[3]}
    assert set(sampler.sample(6, rng)) == set(ids)
    with pytest.raises(ValueError, match="not finite"):
        sampler.update(ids[:1], np.array([np.nan]))


@settings(max_examples=20, deadline=None)
@given(lengths=LENGTHS, capacity=st.integers(12, 80))
def test_restored_sampler_draws_the_same(lengths, capacity):
    replay, experience, rng = new_replay(capacity_rows=capacity), Experience(), np.random.default_rng(0)
    sampler = PrioritizedSampler(replay, 0.5, 10.0)
    for length in [*lengths, 5]:
        for step in experience.steps(length):
            replay.add(**step)
        ids = sampler.sample(replay.num_windows // 2, rng)
        sampler.update(ids, rng.normal(3, 2, len(ids)))
    other_replay = new_replay(capacity_rows=capacity)
    other_replay.load_state_dict(replay.state_dict(), [replay.rows_since(0)])
    other = PrioritizedSampler(other_replay, 0.5, 10.0)
    other.load_state_dict(sampler.state_dict())
    rngs = [np.random.default_rng(1), np.random.default_rng(1)]
    for _ in range(10):
        drawn = [s.sample(3, r) for s, r in zip((sampler, other), rngs, strict=True)]
        np.testing.assert_array_equal(*drawn)
        for s in (sampler, other):
            s.update(drawn[0], drawn[0] / 7)
        for step in experience.steps(3):
            replay.add(**step)
            other_replay.add(**step)


@pytest.mark.parametrize("size", [1, FANOUT, FANOUT + 1, FANOUT**2, FANOUT**2 + 5, 40_000])
def test_sum_tree_follows_the_weights(size):
    rng = np.random.default_rng(0)
    tree, weights = SumTree(size), np.zeros(size)
    for count in (1, 3, 100, size):
        indices = rng.integers(0, size, count)
        values = rng.exponential(size=count)
        tree.set(indices, values)
        weights[indices] = values
    np.testing.assert_array_equal(tree.weights[:size], weights)
    heavy = rng.integers(0, size)
    tree.set(np.array([heavy]), weights.sum() * 3)  # drawn with probability 3/4 or a little more
    hits = np.mean([tree.draw(1, rng)[0] == heavy for _ in range(400)])
    assert hits > 0.65
    positive = np.flatnonzero(tree.weights)
    assert sorted(tree.draw(len(positive), rng)) == positive.tolist()


def test_sum_tree_forgets_its_history():
    """A tree that was changed and drawn from a thousand times equals a new one of the same weights."""
    rng = np.random.default_rng(0)
    tree = SumTree(5000)
    for _ in range(1000):
        tree.set(rng.integers(0, 5000, 20), rng.lognormal(0, 8, 20))
        tree.draw(10, rng)
    rebuilt = SumTree(5000)
    rebuilt.set(np.arange(5000), tree.weights[:5000])
    larger = SumTree(200_000)
    larger.set(np.arange(5000), tree.weights[:5000])
    draws = [[t.draw(10, r) for _ in range(200)] for t in (tree, rebuilt, larger) for r in [np.random.default_rng(1)]]
    np.testing.assert_array_equal(draws[0], draws[1])
    np.testing.assert_array_equal(draws[0], draws[2])


def test_sum_tree_never_draws_a_weight_of_zero_by_rounding():
    """A number at the very end of the range may lie beyond the rounded sums of a node."""

    class AtTheEnd:
        def __init__(self) -> None:
            self._values = iter([np.nextafter(1.0, 0.0), 0.5])

        def random(self, count: int) -> np.ndarray:
            return np.full(count, next(self._values))

    rng = np.random.default_rng(0)
    for _ in range(300):
        tree = SumTree(FANOUT)
        tree.set(np.arange(1, 20), rng.random(19))
        assert 1 <= tree.draw(1, AtTheEnd())[0] < 20
