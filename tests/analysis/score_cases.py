"""Scores to analyse: the published ones, and runs with made-up numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from m3.analysis.aggregates import Aggregates
from m3.analysis.scores import ScoreTable
from m3.analysis.sources import Sources, collect
from m3.files import hdf5
from m3.files.provenance import Provenance

PUBLISHED = Path(__file__).parents[2] / "results/published"
CONFIG = Path(__file__).parents[2] / "config"
Results = tuple[ScoreTable, Aggregates]


def table_of(
    benchmark: str,
    runs: Sequence[Path] = (),
    labels: Mapping[str, str] | None = None,
    *,
    published: bool = True,
    methods: Sequence[str] = (),
    files: Sequence[Path] = (),
) -> ScoreTable:
    """Scores of a benchmark: published ones, runs, files."""
    sources = Sources(PUBLISHED if published else None, methods, runs, labels or {}, files)
    return collect(benchmark, sources, CONFIG)


def write_run(
    results: Path,
    benchmark: str = "atari100k",
    variant: str = "tiny",
    task: str = "Breakout",
    seed: int = 0,
    returns: tuple[float, ...] = (1.0, 2.0, 3.0),
    steps: tuple[int, ...] = (100, 200, 300),
    evaluations: tuple[float, ...] = (0.5, 1.0, 2.0),
    wall_seconds: float = 90.0,
) -> Path:
    """Write scores.h5 and metrics.h5 of one run, as training and evaluation leave them, and return its folder.

    An evaluation during training has two episodes.
    """
    folder = results / benchmark / variant / task / f"seed-{seed}"
    provenance = Provenance(config=f"seed: {seed}\n", config_hash="0123456789abcdef", seeds=[seed], device="Test CPU")
    identity = {"benchmark": benchmark, "variant": variant, "task": task, "seed": seed, "frames_per_step": 4}
    lengths = np.full(len(returns), 50, dtype=np.int64)
    scores = {"returns": np.array(returns), "lengths": lengths, "agent_steps": steps[-1], "temperature": 0.5}
    hdf5.write(folder / "scores.h5", "m3.scores", {**identity, **scores}, provenance)
    epochs = np.arange(1, len(steps) + 1)
    metrics = {
        "epochs": {"epoch": epochs, "agent_steps": np.array(steps), "seconds": epochs * wall_seconds / len(steps)},
        "evaluations": {
            "agent_steps": np.array(steps[: len(evaluations)], dtype=np.int64),
            "epoch": epochs[: len(evaluations)],
            "returns": np.array(evaluations, dtype=np.float64)[:, None] + np.array([-0.25, 0.25]),
            "lengths": np.full((len(evaluations), 2), 50),
        },
        "wall_seconds": wall_seconds,
    }
    hdf5.write(folder / "metrics.h5", "m3.metrics", {**identity, **metrics}, provenance)
    return folder
