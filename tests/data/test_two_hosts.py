"""Two machines and one run: the first one's process is stopped within a save, the second takes over, the first wakes.

The machines are namespaces: neither sees the other's processes, and each has a name.
"""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checkpoint_writer import add_epoch, state_at
from experience import new_replay
from faults import files
from test_paused_writers import seem_dead

from m3.errors import ExitStatus
from m3.files.names import LEASE
from m3.runs.checkpoint import CheckpointFolder

UNSHARE = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
ALLOWED = shutil.which("unshare") and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


class Machine:
    def __init__(self, name: str) -> None:
        script = [sys.executable, str(Path(__file__).with_name("paused_host.py"))]
        command = [*UNSHARE, "sh", "-c", 'hostname "$0" && exec "$@"', name, *script]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process: subprocess.Popen[str] = subprocess.Popen(command, env=environment, **pipes)  # type: ignore[call-overload]

    def answer(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def do(self, *words: object) -> int:
        assert self.process.stdin is not None
        print(*words, sep="\t", file=self.process.stdin, flush=True)
        return self.answer()


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[Machine, Machine]]:
    if not ALLOWED:
        pytest.skip("this user may not make namespaces")
    both = Machine("first"), Machine("second")
    try:
        assert [machine.answer() for machine in both] == [1, 1]
        yield both
    finally:
        for machine in both:
            machine.process.kill()
            machine.process.communicate()


def whole(folder: Path) -> dict[str, bytes]:
    """The complete files of a run."""
    return {name: content for name, content in files(folder).items() if ".partial" not in name}


def assert_newest_is(folder: Path, epoch: int) -> None:
    replay, expected = new_replay(capacity_rows=60), new_replay(capacity_rows=60)
    state = CheckpointFolder(folder / "checkpoints" / "00000000", "run").load_latest(replay)
    assert state is not None
    np.testing.assert_equal(state["trainer"], state_at(epoch))
    for past in range(1, epoch + 1):
        add_epoch(expected, past)
    np.testing.assert_equal(replay.rows_since(0).columns, expected.rows_since(0).columns)


def test_whoever_wakes_up_changes_nothing(machines: tuple[Machine, Machine], tmp_path: Path) -> None:
    first, second = machines
    for operation in itertools.count(1):
        folder = tmp_path / str(operation)
        ended = first.do("train", folder, 3, operation)
        if ended == 0:  # the save has fewer operations
            break
        assert ended == -signal.SIGSTOP
        if operation % 10 == 1:
            assert '"host": "first"' in (folder / LEASE).read_text()
            assert second.do("train", folder, 1, 0) == ExitStatus.OCCUPIED  # its heart still beats
        seem_dead(folder)
        assert second.do("train", folder, 2, 0) == 0
        before = whole(folder)
        saved = CheckpointFolder(folder / "checkpoints" / "00000000", "run").load_latest(new_replay(capacity_rows=60))
        assert first.do("continue") == ExitStatus.OCCUPIED
        assert whole(folder) == before
        assert saved is not None
        assert second.do("train", folder, 1, 0) == 0
        assert_newest_is(folder, saved["trainer"]["epoch"] + 1)
        assert files(folder) == whole(folder)  # what the first one had begun is gone
        shutil.rmtree(folder)
    assert operation > 30
