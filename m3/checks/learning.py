"""The learning check: does training still learn as it did? Small runs, beside what other seeds reached before.

Run it before the training version is raised: a change may leave single steps as they were, up to rounding, and still
keep agents from learning.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import comb
from pathlib import Path

from m3.config.training_version import current
from m3.errors import UserError
from m3.files.contents import read_metrics
from m3.files.names import METRICS

BANDS = Path(__file__).with_suffix(".json")
"""What earlier runs reached: task, as BENCHMARK/TASK -> seed -> :func:`learned`. JSON, written by :func:`store`."""
TASKS = ("cpu_cartpole/CartPole-v1", "cpu_grid/Grid-LavaGapS5-v0")


@dataclass(frozen=True)
class Comparison:
    """What new and stored seeds of a task reached, in the order of the seeds."""

    task: str
    new: tuple[float, ...]
    stored: tuple[float, ...]

    @property
    def is_worse(self) -> bool:
        """Whether every new seed learned less than every stored one."""
        return max(self.new) < min(self.stored)

    @property
    def chance(self) -> float:
        """How often seeds of the same code would look worse."""
        return 1 / comb(len(self.new) + len(self.stored), len(self.new))

    def __str__(self) -> str:
        new, stored = (", ".join(f"{value:.3g}" for value in values) for values in (self.new, self.stored))
        verdict = f"worse: below every stored seed (by chance in {self.chance:.1%})" if self.is_worse else "as before"
        return f"{self.task}: {new}; stored: {stored}; {verdict}"


def train(folder: Path, seeds: Iterable[int], processes: int) -> dict[str, dict[int, float]]:
    """Train and score every task with each seed, one core for each run; continue what was interrupted.

    Args:
        folder: for the runs. What other code trained there stands in folders of other names.
        seeds: of the runs.
        processes: runs at a time.

    Returns:
        task -> seed -> what the run learned.

    Raises:
        UserError: a run fails.
    """
    place = folder / _digest()
    runs = [(task, seed) for task in TASKS for seed in seeds]
    reached: dict[str, dict[int, float]] = {task: {} for task in TASKS}
    with ThreadPoolExecutor(processes) as pool:
        values = pool.map(lambda run: _train(run[0], run[1], place), runs)
        for (task, seed), value in zip(runs, values, strict=True):
            reached[task][seed] = value
    return reached


def learned(run: Path) -> float:
    """Mean return of all evaluations during a run's training: the whole curve depends less on chance than its end."""
    metrics, _ = read_metrics(run / METRICS)
    returns = metrics["evaluations"]["returns"]
    return float(sum(episodes.mean() for episodes in returns) / len(returns))


def refuse_stored(seeds: Collection[int], bands: Path) -> None:
    """Raise UserError where a seed is one of the stored ones: it would be the same run."""
    stored = json.loads(bands.read_text(encoding="utf-8"))
    for task, values in stored.items():
        if known := sorted(seed for seed in seeds if str(seed) in values):
            raise UserError(f"{task}: seeds {known} are stored already; choose others")


def compare(reached: Mapping[str, Mapping[int, float]], bands: Path) -> list[Comparison]:
    """Set new runs beside the stored ones."""
    stored = json.loads(bands.read_text(encoding="utf-8"))
    return [Comparison(task, _in_order(values), _in_order(stored[task])) for task, values in reached.items()]


def store(reached: Mapping[str, Mapping[int, float]], bands: Path) -> None:
    """Replace the stored values."""
    content = {task: {str(seed): round(values[seed], 4) for seed in sorted(values)} for task, values in reached.items()}
    bands.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _train(task: str, seed: int, place: Path) -> float:
    run = place / task / f"seed-{seed}"
    command = [sys.executable, "-m", "m3", "train", task, "--seed", str(seed), "--run", str(run)]
    options = ["--device", "cpu", "--threads", "1", "--no-media", "--track", "none", "--episodes", "1"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"{task} seed {seed}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    value = learned(run)
    print(f"{task} seed {seed}: {value:.3g}", flush=True)
    return value


def _digest() -> str:
    """Name the code that trains, in eight hex digits."""
    sources = [f"{name} {digest}" for name, digest in current().sources.items()]
    return hashlib.sha256("\n".join(sources).encode()).hexdigest()[:8]


def _in_order(values: Mapping[int, float] | Mapping[str, float]) -> tuple[float, ...]:
    return tuple(value for _, value in sorted(values.items(), key=lambda item: int(item[0])))
