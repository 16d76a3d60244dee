"""Stands in for `python -m m3 train` and `evaluate`: steps of a tenth of a second, kept in a file as they are done.

Two processes that write the same run leave a file that tells; steps are numbered, so that none is lost or done twice.
"""

import argparse
import fcntl
import signal
import sys
import time
from pathlib import Path

from m3.errors import ExitStatus, OccupiedError
from m3.runs.lease import Lease

STEPS = 80


def train(run: Path) -> int:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    try:
        lease = Lease(run)
    except OccupiedError as error:
        print(f"error: {error}")
        return ExitStatus.OCCUPIED
    with lease, open(run / "steps", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            (run / "two-writers").touch()
        file.seek(0)
        for step in range(len(file.readlines()), STEPS):
            if stopped:
                return ExitStatus.STOPPED
            time.sleep(0.1)
            print(step, file=file, flush=True)
        for name in ("weights.safetensors", "metrics.h5"):
            (run / name).touch()
    return ExitStatus.FINISHED


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--output", type=Path)
    arguments, _ = parser.parse_known_args()
    if arguments.command == "train":
        return train(arguments.run)
    arguments.output.touch()
    return ExitStatus.FINISHED


if __name__ == "__main__":
    sys.exit(main())
