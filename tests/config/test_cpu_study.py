"""The study of small agents: what config/cpu_study.yaml plans."""

from collections import defaultdict
from pathlib import Path

from m3.config.plan import load_experiment

PLAN = load_experiment(Path("config/cpu_study.yaml"))


def test_random_play_is_measured_wherever_an_agent_is() -> None:
    seeds = defaultdict(set)
    for run in PLAN.runs:
        seeds[run.variant, run.benchmark, run.task].add(run.seed)
    for (_, benchmark, task), those in seeds.items():
        assert those <= seeds["random", benchmark, task] == {0, 1, 2, 3, 4}


def test_random_play_trains_nothing() -> None:
    for run, settings in PLAN.runs.items():
        if run.variant == "random":
            for part in (settings.tokenizer, settings.world_model, settings.controller):
                assert part is None or part.schedule.start_after_epoch >= settings.epochs


def test_agents_have_five_seeds_and_the_budget_of_their_benchmark() -> None:
    for run, settings in PLAN.runs.items():
        benchmark = PLAN.benchmarks[run.benchmark]
        if run.benchmark.startswith("cpu_") and run.variant != "random":
            assert settings.epochs * settings.collection.steps_per_epoch == benchmark.environment_steps
            assert benchmark.seeds == 5
