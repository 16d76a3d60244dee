"""The kill test: runs that are killed again and again must end exactly like one that never was.

One run is trained and scored undisturbed. Others of the same settings are killed (SIGKILL) at random moments of every
kind of work and started again, until all kills are spent. Then everything is compared bit for bit.
"""

import itertools
import multiprocessing
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic, sleep

import numpy as np
from tqdm import tqdm

from m3.checks.comparison import run_differences
from m3.cli import main
from m3.config.identity import config_hash
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files import hdf5
from m3.files.names import CHECKPOINTS, METRICS, METRICS_FORMAT, SCORES, WEIGHTS
from m3.files.progress import read_progress
from m3.files.run_folder import write_settings
from m3.training.schedule import parts_of_epoch

SETTING_UP, CHECKPOINT, RESULTS, SCORING = "setting up", "checkpoint", "results", "scoring"
"""Kinds of work beside the parts of an epoch."""
_POLL_SECONDS = 0.001
_PROCESSES = multiprocessing.get_context("forkserver")


def _command(log: Path, arguments: Sequence[str]) -> None:
    """Run a command in this process, as if it were typed."""
    tqdm.set_lock(threading.RLock())  # its own, shared between processes, is left behind by killed ones
    sys.stdout = sys.stderr = open(log, "a", buffering=1)  # noqa: SIM115 (to the end of the process)
    sys.exit(main(arguments))


class _Process:
    """A command of M3 that runs in the background and appends what it says to a log."""

    def __init__(self, log: Path, *arguments: str) -> None:
        log.touch()
        self._log = log
        self._process = _PROCESSES.Process(target=_command, args=(log, arguments))
        self._process.start()

    @property
    def process_number(self) -> int | None:
        """The system's number of the process."""
        return self._process.pid

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when it holds, or when the process has ended."""
        while self._process.is_alive() and not condition():
            sleep(_POLL_SECONDS)

    def kill_after(self, seconds: float) -> bool:
        """Kill the process then; return False if it has ended before."""
        end = monotonic() + seconds
        self.wait_until(lambda: monotonic() >= end)
        if not self._process.is_alive():
            self.finish()
            return False
        self._process.kill()
        self._process.join()
        return True

    def finish(self) -> None:
        """Wait for its end. Raises UserError if it fails."""
        self._process.join()
        if self._process.exitcode != 0:
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise UserError(f"fails without being killed: {''.join(last)} (log: {self._log})")


class _Training(_Process):
    """A process that trains a run, of which the run's progress file tells."""

    def __init__(self, settings: RunSettings, run: Path, *options: str) -> None:
        self._run, self._identity = run, config_hash(settings)
        config = write_settings(run, settings)
        super().__init__(run.with_suffix(".log"), "train", "--run", str(run), "--config", str(config), *options)

    def wait_for_epoch(self, condition: Callable[[int], bool]) -> int:
        """Return the epoch that begins when the condition holds for it, or that in which the process has ended."""
        epoch = 0

        def reached() -> bool:
            nonlocal epoch
            epoch = self._epoch()
            return condition(epoch)

        self.wait_until(reached)
        return epoch

    def _epoch(self) -> int:
        """Return the epoch that follows the newest checkpoint; 0 while the process is setting up."""
        progress = read_progress(self._run, self._identity)
        if progress is None:
            return 0
        newest = progress.attempts[-1]
        is_own = newest.process == self.process_number and newest.state != "setting up"
        return progress.saved_epoch + 1 if is_own else 0


class _Undisturbed:
    """A run that is never killed, and how long everything in it took."""

    def __init__(self, settings: RunSettings, folder: Path, episodes: int, device: str) -> None:
        self.settings = settings
        self.folder = folder / "undisturbed"
        self._episodes = episodes
        self._device = device
        start = monotonic()
        process = self.train(self.folder)
        process.wait_for_epoch(lambda epoch: epoch >= 1)
        self.set_up_seconds = monotonic() - start
        process.wait_for_epoch(lambda epoch: epoch > settings.epochs)
        start = monotonic()
        process.finish()
        self.results_seconds = monotonic() - start
        self._epochs = hdf5.read(self.folder / METRICS, METRICS_FORMAT)[0]["epochs"]
        start = monotonic()
        self.score(self.folder).finish()
        self.scoring_seconds = monotonic() - start

    def train(self, run: Path) -> _Training:
        """Start training a run of the same settings."""
        options = ["--device", self._device, "--checkpoint-epochs", "1", "--deterministic"]
        return _Training(self.settings, run, *options)

    def score(self, run: Path) -> _Process:
        """Start scoring a run."""
        options = ["--episodes", str(self._episodes), "--device", self._device, "--deterministic"]
        return _Process(run.with_suffix(".log"), "evaluate", "--run", str(run), *options)

    def span(self, epoch: int, part: str) -> tuple[float, float]:
        """Tell when a part of an epoch begins, in seconds after the epoch does, and how long it takes."""
        parts = parts_of_epoch(self.settings, epoch)
        seconds = {name: float(np.nan_to_num(self._epochs[name]["seconds"][epoch - 1])) for name in parts}
        return sum(seconds[name] for name in itertools.takewhile(lambda name: name != part, parts)), seconds[part]


def kill_test(
    settings: RunSettings, kills: int, episodes: int, device: str, seed: int, folder: Path, say: Callable[[str], None]
) -> list[str]:
    """Run the test; name all that differs, nothing if no kill left a trace.

    Args:
        settings: of a run that takes seconds or minutes.
        kills: how many.
        episodes: of the evaluation after training.
        device: as for the command train.
        seed: of the moments.
        folder: for the runs, empty.
        say: is told what happens.

    Raises:
        UserError: the run fails without being killed.
    """
    _PROCESSES.set_forkserver_preload(["m3.runs.train", "m3.runs.evaluate", "torch._dynamo"])  # starts take seconds
    say("trains and scores the undisturbed run")
    undisturbed = _Undisturbed(settings, folder, episodes, device)
    dice = random.Random(seed)
    kinds = _kinds(settings, dice)
    done: Counter[str] = Counter()
    different: list[str] = []
    for number in itertools.count(1):
        run = folder / f"killed-{number}"
        while done.total() < kills:
            trained = (run / WEIGHTS).exists() and (run / METRICS).exists()
            if trained and (done[SCORING] >= number or (run / SCORES).exists()):
                break
            kind = SCORING if trained else next(kinds)
            if _kill(undisturbed, run, kind, dice):
                done[kind] += 1
                say(f"kill {done.total()} of {kills}: {run.name}, {kind}")
        undisturbed.train(run).finish()
        undisturbed.score(run).finish()
        different += [f"{run.name}{name}" for name in run_differences(undisturbed.folder, run, settings)]
        say(f"{run.name} is finished and compared")
        if done.total() >= kills:
            break
    say("kills: " + ", ".join(f"{kind} {count}" for kind, count in done.items()))
    return different


def _kinds(settings: RunSettings, dice: random.Random) -> Iterator[str]:
    """Yield kinds of work in training, each as often as any other."""
    parts = {part for epoch in range(1, settings.epochs + 1) for part in _parts(settings, epoch)}
    kinds = [SETTING_UP, *sorted(parts), CHECKPOINT, RESULTS]
    while True:
        yield from dice.sample(kinds, len(kinds))


def _kill(undisturbed: _Undisturbed, run: Path, kind: str, dice: random.Random) -> bool:
    """Start a run where it stopped and kill it at a random moment of a kind; return False if it ends before."""
    settings = undisturbed.settings
    if kind == SCORING:
        return undisturbed.score(run).kill_after(dice.uniform(0, undisturbed.scoring_seconds))
    process = undisturbed.train(run)
    if kind == SETTING_UP:
        return process.kill_after(dice.uniform(0, undisturbed.set_up_seconds))
    if kind == RESULTS:
        process.wait_for_epoch(lambda epoch: epoch > settings.epochs)
        return process.kill_after(dice.uniform(0, undisturbed.results_seconds))
    if kind == CHECKPOINT:
        process.wait_for_epoch(lambda epoch: epoch >= 1)
        process.wait_until(lambda: any((run / CHECKPOINTS).glob("*/.*.partial")))
        return process.kill_after(dice.uniform(0, 0.01))
    epoch = process.wait_for_epoch(lambda epoch: kind in _parts(settings, epoch))
    if kind not in _parts(settings, epoch):
        process.finish()
        return False
    begin, seconds = undisturbed.span(epoch, kind)
    return process.kill_after(begin + dice.uniform(0, seconds))


def _parts(settings: RunSettings, epoch: int) -> dict[str, int]:
    """Return the parts of an epoch; none before the first and after the last."""
    return parts_of_epoch(settings, epoch) if 1 <= epoch <= settings.epochs else {}
