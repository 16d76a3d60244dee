"""A variant's program, run as the workflow runs it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import m3
from m3.config.experiment import command_words
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files.names import METRICS, SCORES
from m3.files.run_folder import refuse_other_settings, resolved_name
from m3.programs.contract import faults
from m3.runs.lease import Lease
from m3.runs.progress import ProgressFile


def run_program(run: Path, settings: RunSettings, episodes: int, device: str) -> list[str]:
    """Let a variant's program train and evaluate a run, and check what it leaves.

    Args:
        run: the run's folder, with its settings.
        settings: of the run.
        episodes: of the final evaluation.
        device: for the program: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Returns:
        what is wrong with the results, one line for each fault; empty where they are as they must be.

    Raises:
        UserError: the variant has no program, or it cannot be run, or it fails.
        OccupiedError: another process has the run.
    """
    program = _program(settings)
    arguments = ["--config", run / resolved_name(settings), "--run", run, "--episodes", episodes, "--device", device]
    with Lease(run) as lease:
        refuse_other_settings(run, settings)
        for name in (METRICS, SCORES):  # so that nobody takes an earlier attempt's for this one's
            (run / name).unlink(missing_ok=True)
        progress = ProgressFile(run, settings, lease)
        progress.update("training", "")
        try:
            _call([*program, *map(str, arguments)], settings.variant)
        except UserError as error:
            progress.update("failed", str(error))
            raise
        found = list(faults(run, settings, episodes))
        progress.update("failed" if found else "finished", found[0] if found else "")
    return found


def _program(settings: RunSettings) -> list[str]:
    """The words of a variant's command, its program found."""
    if settings.command is None:
        raise UserError(f"variant {settings.variant!r} has no command: m3 train trains it")
    program, *arguments = command_words(settings.command)
    found = sys.executable if program == "python" else shutil.which(program)
    if found is None:
        raise UserError(f"command of variant {settings.variant!r}: {program!r} is no program on this machine")
    script = Path(arguments[0]) if arguments else None
    if script is not None and script.suffix == ".py" and not script.is_file():
        raise UserError(f"command of variant {settings.variant!r}: {script} does not exist in {Path.cwd()}")
    return [found, *arguments]


def _call(command: Sequence[str], variant: str) -> None:
    """Run a program to its end and print what it prints; signals that would end this process are passed on to it.

    Raises:
        UserError: it fails; with its last words.
    """
    here = str(Path(m3.__file__).parents[1])  # a program in Python finds the M3 that runs it
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    output: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    last = "it left no message"
    with (
        subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, **output) as process,
        _passing_on_signals(process),
    ):
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    if process.returncode:
        status = process.returncode
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        raise UserError(f"the program of variant {variant!r} {how}: {last.removeprefix('error: ')}")


@contextmanager
def _passing_on_signals(process: "subprocess.Popen[str]") -> Iterator[None]:
    def pass_on(number: int, _: FrameType | None) -> None:
        process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
