"""Metrics and intervals are rliable's, seeded method by method, also where tasks have different numbers of runs."""

import math

import numpy as np
import pytest
from rliable import library
from rliable import metrics as rliable_metrics

from m3.analysis import bootstrap, metrics
from m3.analysis.bootstrap import Draws, blocks

RLIABLE = {
    metrics.mean: rliable_metrics.aggregate_mean,
    metrics.median: rliable_metrics.aggregate_median,
    metrics.iqm: rliable_metrics.aggregate_iqm,
    metrics.optimality_gap: rliable_metrics.aggregate_optimality_gap,
}
DRAWS = Draws(300, 3, ("scores", "M3"))


def random_scores(runs: int, tasks: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(1, 1, size=(runs, tasks))


def unequal_scores(counts: list[int]) -> list[np.ndarray]:
    """Of one task for each count."""
    return [random_scores(count, 1, seed)[:, 0] for seed, count in enumerate(counts)]


def repeated(runs_by_task: list[np.ndarray]) -> np.ndarray:
    """The runs of every task repeated to the least common multiple of their numbers, (runs, tasks)."""
    multiple = math.lcm(*map(len, runs_by_task))
    return np.stack([np.repeat(runs, multiple // len(runs)) for runs in runs_by_task], axis=1)


def test_metrics_of_a_small_case() -> None:
    scores = blocks([np.array([0.0, 0.5]), np.array([1.0, 3.0]), np.array([0.25, 0.25]), np.array([2.0, 1.0])])
    assert {name: metric.function(scores) for name, metric in metrics.METRICS.items()} == {
        "mean": pytest.approx((0.25 + 2 + 0.25 + 1.5) / 4),
        "median": pytest.approx((0.25 + 1.5) / 2),
        "iqm": pytest.approx((0.25 + 0.5 + 1 + 1) / 4),  # of 0 .25 .25 .5 1 1 2 3
        "optimality_gap": pytest.approx((1 + 0.5 + 0 + 0 + 0.75 + 0.75 + 0 + 0) / 8),
        "superhuman": 2,
        "raw_mean": pytest.approx((0.25 + 2 + 0.25 + 1.5) / 4),
    }


def test_a_mean_of_exactly_one_is_at_one() -> None:
    assert metrics.tasks_at_one([np.array([[0.9], [1.0], [1.1]])]) == 1


@pytest.mark.parametrize(("runs", "tasks"), [(5, 26), (3, 18), (1, 26), (10, 1), (2, 1), (7, 3), (1, 1), (100, 4)])
def test_metrics_equal_rliables(runs: int, tasks: int) -> None:
    scores = random_scores(runs, tasks)
    for ours, theirs in RLIABLE.items():
        assert ours(blocks(list(scores.T))) == pytest.approx(theirs(scores), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("counts", [[5, 2, 1], [4, 1], [3, 3, 2, 2, 6], [52, 56, 60], [1, 1, 7]])
def test_metrics_of_unequal_runs_equal_rliables_of_repeated_runs(counts: list[int]) -> None:
    scores = unequal_scores(counts)
    for ours, theirs in RLIABLE.items():
        assert ours(blocks(scores)) == pytest.approx(theirs(repeated(scores)), rel=1e-12, abs=1e-14)


def test_the_iqm_of_curves_is_that_of_every_point() -> None:
    rng = np.random.default_rng(0)
    for counts in ([4, 4, 4], [4, 2, 3]):
        tasks = [rng.normal(size=(count, 6)) for count in counts]
        expected = [metrics.iqm(blocks([task[:, point] for task in tasks])) for point in range(6)]
        assert metrics.iqm(blocks(tasks)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("runs", "tasks"), [(5, 6), (3, 5)])
def test_intervals_equal_rliables(runs: int, tasks: int) -> None:
    scores = random_scores(runs, tasks)
    with DRAWS.seeded():
        estimates, intervals = library.get_interval_estimates(
            {"M3": scores}, lambda drawn: np.array([theirs(drawn) for theirs in RLIABLE.values()]), reps=300
        )
    found = bootstrap.estimate(blocks(list(scores.T)), lambda drawn: np.array([ours(drawn) for ours in RLIABLE]), DRAWS)
    np.testing.assert_allclose(found.value, estimates["M3"], rtol=1e-12)
    np.testing.assert_allclose([found.low, found.high], intervals["M3"], rtol=1e-12)


def test_intervals_of_unequal_runs_equal_rliables_list_form() -> None:
    scores = blocks(unequal_scores([5, 2, 5, 1]))
    with DRAWS.seeded():
        _, intervals = library.get_interval_estimates(
            {"M3": scores},
            lambda *drawn: np.array([rliable_metrics.aggregate_iqm(repeated([r for b in drawn for r in b.T]))]),
            reps=300,
        )
    found = bootstrap.estimate(scores, metrics.iqm, DRAWS)
    np.testing.assert_allclose([found.low, found.high], intervals["M3"], rtol=1e-12)


def test_profiles_equal_rliables() -> None:
    scores, thresholds = random_scores(4, 5), np.linspace(0, 3, 7)
    with DRAWS.seeded():
        profiles, bands = library.create_performance_profile({"M3": scores}, thresholds, reps=300)
    found = bootstrap.profile(blocks(list(scores.T)), thresholds, DRAWS)
    np.testing.assert_allclose(found.value, profiles["M3"], atol=1e-12)
    np.testing.assert_allclose([found.low, found.high], bands["M3"], atol=1e-12)


def test_profiles_of_unequal_runs_weigh_tasks_the_same() -> None:
    found = bootstrap.profile(blocks([np.array([0.0, 2.0]), np.array([2.0])]), np.array([1.0, 3.0]), DRAWS)
    assert found.value.tolist() == [0.75, 0]
    assert found.low[0] < 0.75 < found.high[0]


@pytest.mark.parametrize("runs", [(5, 3), (5, 1), (1, 1), (5, 5)])
def test_improvement_equals_rliables(runs: tuple[int, int]) -> None:
    x, y = (np.round(random_scores(count, 8, seed=count), 1) for count in runs)  # rounded: with ties
    found = bootstrap.improvement(list(zip(x.T, y.T, strict=True)), DRAWS)
    with DRAWS.seeded():
        values, intervals = library.get_interval_estimates(
            {"M3": [x, y]}, lambda *pair: np.array([rliable_metrics.probability_of_improvement(*pair)]), reps=300
        )
    assert found.value == pytest.approx(values["M3"], rel=1e-12)
    if max(runs) > 1:
        np.testing.assert_allclose([found.low, found.high], intervals["M3"], rtol=1e-12)
    else:
        assert np.isnan([found.low, found.high]).all()


def test_improvement_of_unequal_runs_is_a_mean_over_tasks() -> None:
    pairs = [(np.array([3.0, 1.0]), np.array([2.0])), (np.array([1.0]), np.array([0.0, 1.0, 2.0]))]
    assert bootstrap.improvement(pairs, DRAWS).value == pytest.approx([0.5])
    assert bootstrap.improvement(pairs[:1] * 2 + pairs[1:], DRAWS).value == pytest.approx([0.5])


def test_one_seed_has_no_interval() -> None:
    for found in (
        bootstrap.estimate(blocks([np.array([1.0]), np.array([2.0])]), metrics.mean, DRAWS),
        bootstrap.profile(blocks([np.array([1.0])]), np.array([0.5]), DRAWS),
    ):
        assert np.isfinite(found.value).all()
        assert np.isnan([found.low, found.high]).all()


def test_draws_depend_on_the_seed_and_the_names_alone() -> None:
    scores = [random_scores(5, 4)]
    first, again, other, reseeded = (
        bootstrap.estimate(scores, metrics.mean, draws).low
        for draws in (DRAWS, DRAWS, DRAWS._replace(names=("scores", "IRIS")), DRAWS._replace(seed=4))
    )
    assert first == again
    assert len({float(first[0]), float(other[0]), float(reseeded[0])}) == 3


def test_numpys_generator_is_left_as_it_was() -> None:
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    bootstrap.estimate([random_scores(5, 4)], metrics.mean, DRAWS)
    with pytest.raises(ZeroDivisionError):
        bootstrap.estimate([random_scores(5, 4)], lambda _: 1 / 0, DRAWS)
    assert np.random.random() == expected  # noqa: NPY002


def test_adding_a_metric_takes_one_entry() -> None:
    """Every metric has what tables and figures need."""
    for name, metric in metrics.METRICS.items():
        assert (name, bool(metric.label)) == (metric.name, True)
    assert [metric.name for metric in metrics.METRICS.values() if metric.lower_is_better] == ["optimality_gap"]
