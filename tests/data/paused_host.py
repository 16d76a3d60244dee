"""A machine of its own: a process in a namespace of hosts and processes, which does what it reads, line by line.

``train FOLDER EPOCHS STOP`` forks a process that takes the lease of a folder and saves so many epochs as training does;
``Saver.save`` of the last one stops (SIGSTOP) directly before its file operation number STOP. ``continue`` lets it go
on. Either answers with the number of the signal that stopped it, negative, or its exit status.
"""

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from checkpoint_writer import add_epoch, state_at
from experience import new_replay

from m3.errors import UserError
from m3.runs.checkpoint import CheckpointFolder
from m3.runs.lease import Lease
from m3.runs.saving import CheckpointInterval, Saver

_EVENTS = ("open", "os.", "shutil.", "fcntl.")
_left = 0


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    global _left
    if _left and event.startswith(_EVENTS) and threading.current_thread() is threading.main_thread():
        _left -= 1
        if not _left:
            os.kill(os.getpid(), signal.SIGSTOP)


def train(folder: Path, epochs: int, stop: int) -> None:
    global _left
    lease, replay = Lease(folder), new_replay(capacity_rows=60)
    checkpoints = CheckpointFolder(folder / "checkpoints" / "00000000", "run", lease)
    state = checkpoints.load_latest(replay)
    nothing = cast(Any, SimpleNamespace(saved=lambda epoch: None, say=lambda text: None))
    saver = Saver(checkpoints, CheckpointInterval(), lease, nothing, cast(Any, SimpleNamespace(postponed=_at_once)))
    first = 1 + (state["trainer"]["epoch"] if state else 0)
    for epoch in range(first, first + epochs):
        add_epoch(replay, epoch)
        if epoch == first + epochs - 1:
            _left = stop
        saver.save(cast(Any, SimpleNamespace(epoch=epoch, replay=replay, state_dict=lambda at=epoch: state_at(at))))
        _left = 0
    lease.check()  # as before the weights are written
    lease.release()


def _at_once() -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def fork(folder: Path, epochs: int, stop: int) -> int:
    process = os.fork()
    if process:
        return process
    try:
        train(folder, epochs, stop)
        os._exit(0)
    except UserError as error:
        os._exit(error.exit_status)
    finally:
        os._exit(99)


def main() -> None:
    sys.addaudithook(_hook)
    print(os.getpid(), flush=True)  # 1 where the namespace is new
    process = 0
    for line in sys.stdin:
        command, *words = line.rstrip("\n").split("\t")
        if command == "train":
            process = fork(Path(words[0]), int(words[1]), int(words[2]))
        else:
            os.kill(process, signal.SIGCONT)
        _, status = os.waitpid(process, os.WUNTRACED)
        stopped = os.WIFSTOPPED(status)
        print(-os.WSTOPSIG(status) if stopped else os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
