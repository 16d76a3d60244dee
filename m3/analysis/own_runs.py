"""Own runs as an analysis needs them: what each scored, and what made its files, which are read once."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from m3.errors import UserError
from m3.files.contents import read_metrics, read_scores
from m3.files.names import METRICS, SCORES

_TRAINING_VERSION = re.compile(r"^training_version: (\d+)$", re.MULTILINE)
"""In the canonical text of settings, of which nothing else is needed."""


@dataclass(frozen=True)
class Making:
    """What made a file of a run."""

    config_hash: str
    """That of the run's settings, as the file says."""
    hash_fits: bool
    """Whether the settings in the file have that hash."""
    software: frozenset[str]
    """M3, and the packages with their versions."""

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> "Making":
        """What a file's attributes say."""
        found, text = attributes["config_hash"], attributes["config"]
        fits = hashlib.sha256(text.encode()).hexdigest() == found
        return cls(found, fits, frozenset([attributes["created_by"], *attributes["packages"]]))


@dataclass(frozen=True)
class OwnRun:
    """A finished run."""

    row: dict[str, Any]
    """A row of RUN_COLUMNS without the method, and ``simulation_steps``."""
    curve: tuple[tuple[int, float], ...]
    """Decisions and mean return of each evaluation during training."""
    training: Making
    scoring: Making
    training_version: str
    """Empty where the settings have none."""
    changed_software: frozenset[str]
    """Packages that were not the same in all processes that trained the run."""


def read_run(folder: Path, benchmark: str) -> OwnRun:
    """Read the scores and the metrics of a finished run.

    Raises:
        UserError: a file is missing or damaged, the two disagree, or the run is of another benchmark.
    """
    scores, scoring = read_scores(folder / SCORES)
    metrics, training = read_metrics(folder / METRICS)
    for name in ("benchmark", "variant", "task", "seed"):
        if scores[name] != metrics[name]:
            raise UserError(f"{folder}: {SCORES} is of {name} {scores[name]}, {METRICS} of {metrics[name]}")
    if scores["benchmark"] != benchmark:
        raise UserError(f"{folder}: a run of {scores['benchmark']}, where runs of {benchmark} are collected")
    returns, evaluations = scores["returns"], metrics["evaluations"]
    row = {
        **{name: scores[name] for name in ("variant", "task", "seed", "agent_steps")},
        "simulation_steps": scores["agent_steps"] * scores["frames_per_step"],
        "score": float(returns.mean()),
        "score_sd": float(returns.std(ddof=1)) if len(returns) > 1 else np.nan,
        "episodes": len(returns),
        "wall_seconds": float(metrics["wall_seconds"]),
        "device": training["device"],
        **{name: training[name] for name in ("host", "created_by", "git_revision", "git_dirty", "config_hash")},
    }
    means = [float(episodes.mean()) for episodes in evaluations["returns"]]
    version = _TRAINING_VERSION.search(training["config"])
    return OwnRun(
        row=row,
        curve=tuple(zip(evaluations["agent_steps"].tolist(), means, strict=True)),
        training=Making.of(training),
        scoring=Making.of(scoring),
        training_version=version[1] if version else "",
        changed_software=_changed_software(metrics),
    )


def _changed_software(metrics: Mapping[str, Any]) -> frozenset[str]:
    processes = [frozenset(text.split()) for text in metrics.get("processes", {}).get("packages", ())]
    return frozenset().union(*processes) - frozenset.intersection(*processes) if processes else frozenset()
