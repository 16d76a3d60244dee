"""The file of a run's metrics."""

from pathlib import Path

import numpy as np

from m3.files import hdf5
from m3.files.atomic import Fence
from m3.files.names import METRICS_FORMAT
from m3.files.run_folder import identifying, provenance_of
from m3.runs.processes import Processes
from m3.training.trainer import Trainer


def write_metrics(path: Path, trainer: Trainer, processes: Processes, fence: Fence | None = None) -> None:
    """Write what a run has measured: groups epochs, evaluations, episodes (those of training that ended), processes."""
    columns, episodes = trainer.log.columns(), trainer.collector.episodes
    content: hdf5.Tree = {
        **identifying(trainer.settings),
        "frames_per_step": trainer.frames_per_step,
        "wall_seconds": float(columns["seconds"].sum()),
        "epochs": columns,
        "evaluations": trainer.log.evaluations(),
        "episodes": {
            "agent_steps": np.array([e.agent_steps for e in episodes], dtype=np.int64),
            "return": np.array([e.episode_return for e in episodes], dtype=np.float64),
            "length": np.array([e.length for e in episodes], dtype=np.int64),
        },
        "processes": processes.tree(),
    }
    hdf5.write(path, METRICS_FORMAT, content, provenance_of(trainer.settings, processes.device), fence=fence)
