from collections.abc import Callable
from pathlib import Path

import pytest
from score_cases import Results, table_of, write_run

from m3.analysis.aggregation import aggregate


@pytest.fixture(scope="session")
def published() -> dict[str, Results]:
    """By benchmark: its published scores and their statistics, with few repetitions."""
    tables = {name: table_of(name) for name in ("atari100k", "dmc500k", "craftax1m")}
    return {
        name: (table, aggregate(table, repetitions=500, seed=0, band_repetitions=100)) for name, table in tables.items()
    }


@pytest.fixture
def with_runs() -> Callable[..., Results]:
    """Adds runs to the published Atari scores."""

    def build(folders: list[Path], labels: dict[str, str], *, others: bool = True) -> Results:
        table = table_of("atari100k", folders, labels, published=others)
        return table, aggregate(table, repetitions=100, seed=0, band_repetitions=50)

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
