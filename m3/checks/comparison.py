"""Whether two runs with the same settings have the same results, bit for bit."""

from contextlib import closing
from pathlib import Path
from typing import Any

from m3.checks.differences import differences
from m3.config.schema import RunSettings
from m3.environments import make_environment
from m3.files import hdf5
from m3.files.names import METRICS, METRICS_FORMAT, SCORES, SCORES_FORMAT, WEIGHTS
from m3.runs.saving import checkpoints_of
from m3.runs.weights import load_weights
from m3.training.trainer import new_replay


def run_differences(first: Path, second: Path, settings: RunSettings) -> list[str]:
    """Name everything that differs between two finished runs.

    Compared are weights, metrics, scores where there are any, and the last checkpoint: optimisers, environments,
    priorities, replay.

    Raises:
        UserError: a file is missing or damaged.
    """
    return list(differences(_contents(first, settings), _contents(second, settings)))


def _contents(folder: Path, settings: RunSettings) -> dict[str, Any]:
    with closing(make_environment(settings.environment, settings.task, "train")) as environment:
        replay = new_replay(settings, environment)
    state = checkpoints_of(folder, settings).load_latest(replay)
    return {
        "weights": {name: tensor.numpy() for name, tensor in load_weights(folder / WEIGHTS).state.items()},
        "metrics": hdf5.read(folder / METRICS, METRICS_FORMAT)[0],
        "scores": hdf5.read(folder / SCORES, SCORES_FORMAT)[0] if (folder / SCORES).exists() else None,
        "checkpoint": state,
        "replay": {"state": replay.state_dict(), "rows": replay.rows_since(0).columns},
    }
