from collections.abc import Callable
from pathlib import Path

import pytest
from score_cases import PUBLISHED, Results, write_run

from m3.analysis import scores
from m3.analysis.aggregation import aggregate
from m3.analysis.own_runs import read_own
from m3.analysis.published import read_published, read_references
from m3.analysis.scores import ScoreTable


def published_table(benchmark: str) -> ScoreTable:
    return scores.combine(benchmark, read_references(PUBLISHED, benchmark), [read_published(PUBLISHED, benchmark)])


@pytest.fixture(scope="session")
def published() -> dict[str, Results]:
    """By benchmark: its published scores and their statistics, with few repetitions."""
    tables = {name: published_table(name) for name in ("atari100k", "dmc500k", "craftax1m")}
    return {name: (table, aggregate(table, repetitions=500, seed=0)) for name, table in tables.items()}


@pytest.fixture
def with_runs() -> Callable[..., Results]:
    """Adds runs to the published Atari scores."""

    def build(folders: list[Path], labels: dict[str, str], *, others: bool = True) -> Results:
        parts = [read_published(PUBLISHED, "atari100k")] if others else []
        own = read_own(folders, "atari100k", labels)
        table = scores.combine("atari100k", read_references(PUBLISHED, "atari100k"), [*parts, own])
        return table, aggregate(table, repetitions=100, seed=0)

    return build


@pytest.fixture
def quickstart(tmp_path: Path, with_runs: Callable[..., Results]) -> Results:
    """Two short runs of one game beside the published scores."""
    runs = [write_run(tmp_path, seed=seed, returns=(1.0, 2.0, 3.0 + seed)) for seed in range(2)]
    return with_runs(runs, {"tiny": "M3 tiny"})


@pytest.fixture
def ablated(tmp_path: Path, with_runs: Callable[..., Results]) -> Results:
    """The full agent on three games, an ablation on two of them, another on none; no published scores."""
    games = {"m3": ("Breakout", "Pong", "Alien"), "no_curiosity": ("Pong", "Alien"), "apart": ("Krull",)}
    runs = [
        write_run(tmp_path, variant=variant, task=game, seed=seed, returns=(3.0 * (variant == "m3") + seed,))
        for variant, names in games.items()
        for game in names
        for seed in range(2)
    ]
    return with_runs(
        runs, {"m3": "Full agent", "no_curiosity": "No regression as classification", "apart": "Apart"}, others=False
    )
