"""The studies of small agents: what their experiments plan."""

from collections import defaultdict
from pathlib import Path

import pytest

from m3.analysis.verification import verify
from m3.config.plan import Plan, load_experiment


@pytest.fixture(scope="module", params=["cpu_study", "cpu_reference"])
def plan(request: pytest.FixtureRequest) -> Plan:
    return load_experiment(Path(f"config/{request.param}.yaml"))


def test_random_play_is_measured_wherever_an_agent_is(plan: Plan) -> None:
    seeds, of_agents = defaultdict(set), defaultdict(set)
    for run in plan.runs:
        seeds[run.variant, run.benchmark, run.task].add(run.seed)
        if run.variant != "random":
            of_agents[run.benchmark, run.task].add(run.seed)
    assert all(len(those) >= 3 for those in seeds.values())
    for (benchmark, task), those in of_agents.items():
        assert those == seeds["random", benchmark, task]


def test_random_play_trains_nothing(plan: Plan) -> None:
    for run, settings in plan.runs.items():
        if run.variant == "random":
            for part in (settings.tokenizer, settings.world_model, settings.controller):
                assert part is None or part.schedule.start_after_epoch >= settings.epochs


def test_agents_have_the_budget_of_their_benchmark(plan: Plan) -> None:
    for run, settings in plan.runs.items():
        if run.variant != "random":
            steps = settings.epochs * settings.collection.steps_per_epoch
            assert steps == plan.benchmarks[run.benchmark].environment_steps


def test_the_numbers_of_the_page_come_from_the_episodes(plan: Plan) -> None:
    for benchmark in {run.benchmark for run in plan.runs}:
        findings = verify([Path("figures", plan.experiment.name, benchmark, "table_scores.md")])
        assert not findings.problems
