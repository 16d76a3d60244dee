import numpy as np
import pytest
from rliable import library, metrics

from m3.analysis import statistics
from m3.analysis.statistics import Bootstrap, Sample

AGGREGATES = {
    statistics.mean: metrics.aggregate_mean,
    statistics.median: metrics.aggregate_median,
    statistics.iqm: metrics.aggregate_iqm,
    statistics.optimality_gap: metrics.aggregate_optimality_gap,
}


def random_scores(runs: int, tasks: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(1, 1, size=(runs, tasks))


def sample_of(scores: np.ndarray) -> Sample:
    return Sample.of(list(scores.T))


def once(sample: Sample) -> np.ndarray:
    return np.ones((1, len(sample.scores)))


def legacy_draws(scores: np.ndarray, repetitions: int, seed: int) -> np.ndarray:
    """What rliable draws, as indices of runs (repetitions, runs, tasks): it uses numpy's global generator."""
    np.random.seed(seed)  # noqa: NPY002 (rliable can be seeded in no other way)
    return np.stack([np.random.choice(len(scores), scores.shape, replace=True) for _ in range(repetitions)])  # noqa: NPY002


def with_draws(scores: np.ndarray, indices: np.ndarray) -> Bootstrap:
    """The bootstrap with given draws."""
    runs, tasks = scores.shape
    drawn = (indices[:, :, None, :] == np.arange(runs)[None, None, :, None]).sum(axis=1)  # repetition, run, task
    by_task = drawn.transpose(0, 2, 1).reshape(len(indices), tasks * runs)
    order = np.argsort(scores.T.ravel(), kind="stable")
    return Bootstrap(sample_of(scores), by_task[:, order].astype(np.uint8))


def test_aggregates_of_a_small_case() -> None:
    sample = Sample.of([np.array([0.0, 0.5]), np.array([1.0, 3.0]), np.array([0.25, 0.25]), np.array([2.0, 1.0])])
    values = {f.__name__: f(sample, once(sample))[0] for f in (*AGGREGATES, statistics.tasks_at_one)}
    assert values == {
        "mean": pytest.approx((0.25 + 2 + 0.25 + 1.5) / 4),
        "median": pytest.approx((0.25 + 1.5) / 2),
        "iqm": pytest.approx((0.25 + 0.5 + 1 + 1) / 4),  # of 0 .25 .25 .5 1 1 2 3
        "optimality_gap": pytest.approx((1 + 0.5 + 0 + 0 + 0.75 + 0.75 + 0 + 0) / 8),
        "tasks_at_one": 2,
    }


def test_a_mean_of_exactly_one_is_at_one() -> None:
    thirds = Sample.of([np.array([0.9, 1.0, 1.1])])
    assert statistics.tasks_at_one(thirds, once(thirds)) == 1


@pytest.mark.parametrize(("runs", "tasks"), [(5, 26), (3, 18), (1, 26), (10, 1), (2, 1), (7, 3)])
def test_aggregates_equal_rliable(runs: int, tasks: int) -> None:
    scores = random_scores(runs, tasks)
    sample = sample_of(scores)
    for ours, theirs in AGGREGATES.items():
        assert ours(sample, once(sample))[0] == pytest.approx(theirs(scores), rel=1e-12)


@pytest.mark.parametrize(("runs", "tasks"), [(5, 6), (3, 5)])
def test_intervals_equal_rliable_on_the_same_resamples(runs: int, tasks: int) -> None:
    scores = random_scores(runs, tasks)

    def all_aggregates(resampled: np.ndarray) -> np.ndarray:
        return np.array([theirs(resampled) for theirs in AGGREGATES.values()])

    indices = legacy_draws(scores, repetitions=400, seed=3)
    ours = statistics.estimate(with_draws(scores, indices), list(AGGREGATES))
    np.random.seed(3)  # noqa: NPY002
    estimates, intervals = library.get_interval_estimates({"method": scores}, all_aggregates, reps=400)
    assert [value for value, _, _ in ours] == pytest.approx(list(estimates["method"]), rel=1e-12)
    assert [(low, high) for _, low, high in ours] == [pytest.approx(tuple(i), rel=1e-12) for i in intervals["method"].T]


def test_profiles_equal_rliable_on_the_same_resamples() -> None:
    scores, thresholds = random_scores(4, 5), np.linspace(0, 3, 7)
    indices = legacy_draws(scores, repetitions=300, seed=5)
    profile = statistics.performance_profile(thresholds)
    ours = statistics.estimate(with_draws(scores, indices), [profile])[0]
    np.random.seed(5)  # noqa: NPY002
    profiles, bands = library.create_performance_profile({"method": scores}, thresholds, reps=300)
    for mine, theirs in zip(ours, (profiles["method"], *bands["method"]), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_learning_curves_equal_rliable_on_the_same_resamples() -> None:
    scores = np.random.default_rng(0).normal(size=(4, 3, 6))  # runs, tasks, points
    indices = legacy_draws(scores[..., 0], repetitions=200, seed=7)
    runs = np.arange(12.0).reshape(3, 4).T  # in the order of tasks, then runs
    bootstrap = with_draws(runs, indices)
    values = scores.transpose(2, 1, 0).reshape(6, 12)
    ours = statistics.iqm_curve(values, bootstrap)
    resampled = [[metrics.aggregate_iqm(scores[draw, np.arange(3), point]) for point in range(6)] for draw in indices]
    np.testing.assert_allclose(ours[0], [metrics.aggregate_iqm(scores[..., point]) for point in range(6)], rtol=1e-12)
    np.testing.assert_allclose(ours[1:], np.percentile(resampled, [2.5, 97.5], axis=0), rtol=1e-12)


@pytest.mark.parametrize("runs", [(5, 3), (5, 1), (1, 1)])
def test_improvement_equals_rliable(runs: tuple[int, int]) -> None:
    x, y = (np.round(random_scores(count, 8, seed=count), 1) for count in runs)  # rounded: with ties
    draws = [Bootstrap.draw(sample_of(scores), 100, np.random.default_rng(0)) for scores in (x, y)]
    probability, low, high = statistics.probability_of_improvement(*draws, np.arange(8))
    assert probability == pytest.approx(metrics.probability_of_improvement(x, y), rel=1e-12)
    assert (low < probability < high) if max(runs) > 1 else (np.isnan(low) and np.isnan(high))


def test_improvement_interval_is_that_of_the_resamples() -> None:
    x, y = random_scores(4, 3, seed=1), random_scores(3, 3, seed=2)
    indices = [legacy_draws(x, 50, seed=1), legacy_draws(y, 50, seed=2)]
    draws = [with_draws(scores, drawn) for scores, drawn in zip((x, y), indices, strict=True)]
    tasks = np.arange(3)
    _, low, high = statistics.probability_of_improvement(*draws, tasks)
    resampled = [metrics.probability_of_improvement(x[i, tasks], y[j, tasks]) for i, j in zip(*indices, strict=True)]
    assert (low, high) == pytest.approx(tuple(np.percentile(resampled, [2.5, 97.5])), rel=1e-12)


def test_every_draw_has_as_many_runs_of_each_task() -> None:
    sample = Sample.of([np.arange(5.0), np.arange(2.0), np.array([7.0])])
    counts = Bootstrap.draw(sample, 4_000, np.random.default_rng(0)).counts
    by_task = np.stack([counts[:, sample.tasks == task].sum(axis=1) for task in range(3)], axis=1)
    assert (by_task == [5, 2, 1]).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(8), abs=0.06)  # all runs of a task are equally likely
    assert counts[:, sample.tasks == 0].var(axis=0) == pytest.approx(np.full(5, 4 / 5), abs=0.08)  # multinomial


def test_tasks_weigh_the_same_whatever_their_runs() -> None:
    """Doubling the runs of one task changes nothing but the interval."""
    tasks = [np.array([0.2, 0.4]), np.array([0.5, 2.0]), np.array([1.0, 3.0]), np.array([0.1, 0.9])]
    plain, doubled = Sample.of(tasks), Sample.of([np.repeat(tasks[0], 2), *tasks[1:]])
    for aggregate in (statistics.mean, statistics.median, statistics.optimality_gap):
        assert aggregate(doubled, once(doubled))[0] == pytest.approx(aggregate(plain, once(plain))[0])


def test_iqm_of_unequal_runs_trims_by_weight() -> None:
    sample = Sample.of([np.array([0.0, 1.0, 2.0, 3.0]), np.array([10.0])])
    # weights 1/8, 1/8, 1/8, 1/8, 1/2; a fifth (one of five runs) is cut off at either end
    kept = np.array([0, 0.05, 0.125, 0.125, 0.3])
    assert statistics.iqm(sample, once(sample))[0] == pytest.approx(kept @ [0, 1, 2, 3, 10] / 0.6)


def test_tasks_without_runs_take_no_part() -> None:
    scores = [np.array([0.5, 1.5]), np.array([]), np.array([2.0, 4.0])]
    with_gap, without = Sample.of(scores), Sample.of([scores[0], scores[2]])
    for aggregate in (*AGGREGATES, statistics.tasks_at_one):
        assert aggregate(with_gap, once(with_gap))[0] == aggregate(without, once(without))[0]


def test_one_seed_has_no_interval() -> None:
    bootstrap = Bootstrap.draw(sample_of(random_scores(1, 4)), 100, np.random.default_rng(0))
    (_, low, high), *_ = statistics.estimate(bootstrap, [statistics.mean])
    assert np.isnan(low)
    assert np.isnan(high)


def test_draws_depend_on_the_seed_and_the_names_alone() -> None:
    first, second, other = (
        statistics.generator(*key).integers(1000, size=5).tolist() for key in ((1, "M3"), (1, "M3"), (1, "IRIS"))
    )
    assert first == second != other
