"""Run a command on GPUs of its own: own_gpu.py NUMBER RUNS_PER_GPU COMMAND...

A GPU is taken by locking one of its RUNS_PER_GPU files, which the command keeps open: the GPU is free again when the
command has ended, however it ended. The command sees only its own GPUs; it waits while there are too few. On a machine
without GPUs, or for NUMBER 0, it just runs.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOCKS = Path(tempfile.gettempdir()) / f"m3-gpus-{os.getuid()}"


def main(number: int, runs_per_gpu: int, command: list[str]) -> None:
    devices = visible_devices()
    if number > 0 and devices:
        own = wait_for(min(number, len(devices)), devices, runs_per_gpu)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(own)
    os.execvp(command[0], command)


def visible_devices() -> list[str]:
    """Those of CUDA_VISIBLE_DEVICES, else all."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [device for device in given.split(",") if device]
    if shutil.which("nvidia-smi") is None:
        return []
    listing = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    return subprocess.run(listing, check=False, capture_output=True, text=True).stdout.split()


def wait_for(number: int, devices: list[str], runs_per_gpu: int) -> list[str]:
    LOCKS.mkdir(exist_ok=True)
    told = False
    while True:
        with open(LOCKS / "choice", "w") as choice:  # one process at a time chooses, so that none blocks another
            fcntl.flock(choice, fcntl.LOCK_EX)
            taken = take(number, devices, runs_per_gpu)
        if taken:
            return taken
        if not told:
            print(f"waits for {number} of the GPUs {', '.join(devices)}", flush=True)
            told = True
        time.sleep(1)


def take(number: int, devices: list[str], runs_per_gpu: int) -> list[str]:
    """Lock so many devices, the emptiest first; none where there are too few."""
    locks: dict[str, int] = {}
    for slot in range(runs_per_gpu):
        for device in devices:
            if device not in locks and len(locks) < number:
                lock = os.open(LOCKS / f"{device.replace('/', '_')}-{slot}", os.O_RDWR | os.O_CREAT)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(lock)
                    continue
                locks[device] = lock
    if len(locks) < number:
        for lock in locks.values():
            os.close(lock)
        return []
    for lock in locks.values():
        os.set_inheritable(lock, True)
    return list(locks)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
