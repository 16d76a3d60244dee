"""A process to kill: checkpoints as fast as it can, from where the last one of its kind came to.

Epoch e adds one episode of e % 7 + 1 steps, and its state is made from e alone, so that a reader can tell a right
checkpoint from a wrong one.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from experience import Experience, new_replay

from m3.data.replay import Replay
from m3.runs.checkpoint import CheckpointFolder


class Unrivalled:
    """A lease that nobody else asks for."""

    generation = 1

    def check(self) -> None: ...


def state_at(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "weights": np.full(100_000, epoch, np.float32), "rng": {"state": 3**epoch}}


def add_epoch(replay: Replay, epoch: int) -> None:
    for step in Experience(epoch).steps(epoch % 7 + 1):
        replay.add(**step)


def main(path: Path) -> None:
    replay, folder = new_replay(capacity_rows=60), CheckpointFolder(path, "run", Unrivalled())
    state = folder.load_latest(replay)
    epoch = state["epoch"] if state else 0
    while True:
        epoch += 1
        add_epoch(replay, epoch)
        folder.save(epoch, state_at(epoch), replay)
        print(epoch, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
