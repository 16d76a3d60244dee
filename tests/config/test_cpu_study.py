"""The studies of small agents: what their experiments plan, and that their pages' numbers come from the episodes."""

from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest

from m3.analysis.verification import verify
from m3.config.plan import Plan, load_experiment


@pytest.fixture(scope="module")
def study() -> Plan:
    return load_experiment(Path("config/cpu_study.yaml"))


@pytest.fixture(scope="module")
def faults() -> Plan:
    return load_experiment(Path("config/cpu_faults.yaml"))


def test_everything_has_five_seeds_and_random_play_beside_it(study: Plan) -> None:
    seeds = defaultdict(set)
    for run in study.runs:
        seeds[run.benchmark, run.task, run.variant].add(run.seed)
    assert all(those == set(range(5)) for those in seeds.values())
    assert all((benchmark, task, "random") in seeds for benchmark, task, _ in seeds)


def test_random_play_trains_nothing(study: Plan) -> None:
    for run, settings in study.runs.items():
        if run.variant == "random":
            for part in (settings.tokenizer, settings.world_model, settings.controller):
                assert part is None or part.schedule.start_after_epoch >= settings.epochs


def test_agents_have_the_budget_of_their_benchmark_or_that_of_the_authors(study: Plan) -> None:
    curves = pd.read_csv("results/published/curves.csv.gz")
    of_authors = curves[curves.benchmark == "cpu_dmc"].groupby("task").decisions.max()
    assert len(of_authors) == 3
    for run, settings in study.runs.items():
        if run.variant != "random":
            steps = settings.epochs * settings.collection.steps_per_epoch
            if run.benchmark == "cpu_dmc":
                interval = settings.evaluation.every_epochs * settings.collection.steps_per_epoch
                assert steps - interval <= of_authors[run.task] <= steps
            else:
                assert steps == study.benchmarks[run.benchmark].environment_steps


def test_faults_differ_from_the_agent_in_nothing_else(faults: Plan) -> None:
    without_names = {"benchmark", "variant", "task", "seed"}
    contents = [settings.model_dump(exclude=without_names) for settings in faults.runs.values()]
    assert len(contents) == 10
    assert all(content == contents[0] for content in contents)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["study", "faults"])
def test_the_numbers_of_the_page_come_from_the_episodes(name: str, request: pytest.FixtureRequest) -> None:
    plan: Plan = request.getfixturevalue(name)
    for benchmark in {run.benchmark for run in plan.runs}:
        findings = verify([Path("figures", plan.experiment.name, benchmark, "table_scores.md")])
        assert not findings.problems
