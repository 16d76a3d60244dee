"""What a program leaves in a run's folder, in the format of M3's own runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from m3.config.schema import RunSettings
from m3.files import hdf5
from m3.files.names import METRICS, METRICS_FORMAT, SCORES, SCORES_FORMAT
from m3.files.provenance import collect
from m3.files.run_folder import identifying, provenance_of


@dataclass(frozen=True)
class Episodes:
    """Undiscounted returns of whole episodes, and their lengths in agent steps, in order."""

    returns: Sequence[float]
    lengths: Sequence[int]


@dataclass(frozen=True)
class Results:
    """What a program has measured."""

    final: Episodes
    """Those after training, which give the run's score."""
    agent_steps: int
    """Steps in the training environment."""
    wall_seconds: float
    """How long training took, evaluations included."""
    evaluations: Sequence[tuple[int, Episodes]] = ()
    """During training: after how many agent steps, and what was played; equally many episodes each time."""
    frames_per_step: int = 1
    device: str = "cpu"
    """Name of what computed."""
    packages: Sequence[str] = field(default=())
    """Installed packages whose versions matter, beyond those that M3 notes of itself."""


def write_results(run: Path, settings: RunSettings, results: Results) -> None:
    """Write the scores and the metrics of a run.

    Args:
        run: the run's folder.
        settings: of the run, as they were given to the program.
        results: what was measured.

    Raises:
        UserError: the folder cannot be written.
    """
    provenance = provenance_of(settings, results.device)
    packages = [*collect()["packages"], *(f"{name}=={version(name)}" for name in results.packages)]
    common = {**identifying(settings), "frames_per_step": results.frames_per_step}
    scores: hdf5.Tree = {**common, "agent_steps": results.agent_steps, **_columns(results.final)}
    metrics: hdf5.Tree = {
        **common,
        "wall_seconds": float(results.wall_seconds),
        "evaluations": _evaluations(results.evaluations),
        "processes": {"packages": [" ".join(packages)]},
    }
    hdf5.write(run / METRICS, METRICS_FORMAT, metrics, provenance)
    hdf5.write(run / SCORES, SCORES_FORMAT, scores, provenance)


def _columns(episodes: Episodes) -> dict[str, np.ndarray]:
    return {
        "returns": np.asarray(episodes.returns, np.float64),
        "lengths": np.asarray(episodes.lengths, np.int64),
    }


def _evaluations(evaluations: Iterable[tuple[int, Episodes]]) -> dict[str, np.ndarray]:
    rows = list(evaluations)
    shape = (len(rows), len(rows[0][1].returns) if rows else 0)
    return {
        "agent_steps": np.array([steps for steps, _ in rows], np.int64),
        "returns": np.array([episodes.returns for _, episodes in rows], np.float64).reshape(shape),
        "lengths": np.array([episodes.lengths for _, episodes in rows], np.int64).reshape(shape),
    }
