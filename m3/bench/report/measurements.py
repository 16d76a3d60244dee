"""What the report measures, in order: correctness first, slow measurements last."""

import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args

import torch

from m3.bench.options import BenchOptions
from m3.bench.report.correctness import golden_values, graph_differences, restart_differences
from m3.bench.report.records import Measurement
from m3.bench.report.settings import TASKS, fixed_settings
from m3.bench.report.training import seconds_trained, train_for
from m3.bench.timing import COMPONENTS, projected_hours, timed_parts
from m3.bench.together import time_parts
from m3.config.schema import Precision
from m3.training.devices import device_name

GOLDEN = Path("tests/golden")
_PACKAGES = ("torch", "numpy", "h5py", "pydantic", "safetensors", "pyyaml", "dm-control", "ale-py", "matplotlib")


@dataclass(frozen=True)
class Extent:
    """How much the report measures.

    variant: "m3", the paper's sizes, or "tiny". stored_steps: in the replay. steps, warmup: of each timing.
    at_once: runs that share the device. training_seconds: of both trainings together. every_way: whether all benchmarks
    are timed in all ways; if not, DMC is in all precisions and in all ways of float32, the others as they are.
    """

    variant: str
    stored_steps: int
    steps: int
    warmup: int
    at_once: tuple[int, ...]
    training_seconds: float
    every_way: bool


_MODES = {"none": None, "graphs": COMPONENTS, "recompute": ("world_model",), "default": ("controller",)}
"""Ways of computing, and the parts that each changes; none: all are timed."""
FULL = Extent("m3", 5000, 20, 6, (2, 5), 86_400.0, every_way=True)
REHEARSAL = Extent("tiny", 200, 2, 5, (2,), 40.0, every_way=False)


def measurements(device: torch.device, extent: Extent, folder: Path) -> Iterator[Measurement]:
    """Everything that the report measures on a device; trainings keep their runs in ``folder``."""
    yield Measurement("machine", partial(_machine, device))
    yield Measurement("golden values", partial(golden_values, GOLDEN, device))
    for benchmark in TASKS:
        settings = fixed_settings(benchmark, "tiny")
        yield Measurement(f"exact resume {benchmark}", partial(restart_differences, settings, device, 200))
        yield Measurement(f"eager against graph {benchmark}", partial(graph_differences, settings, device, 200))
    yield from _timings(device, extent)
    yield from _trainings(device, extent, folder)


def _machine(device: torch.device) -> dict[str, Any]:
    return {
        "device": device_name(device),
        "memory_gb": torch.cuda.get_device_properties(device).total_memory / 1e9 if device.type == "cuda" else None,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _timings(device: torch.device, extent: Extent) -> Iterator[Measurement]:
    for benchmark in TASKS:
        for precision in get_args(Precision):
            for mode in _MODES:
                ordinary = (precision == "fp32") + (mode == "none")
                if extent.every_way or ordinary >= (1 if benchmark == "dmc500k" else 2):
                    name = f"time {benchmark} {precision} {mode}"
                    yield Measurement(name, partial(_time, device, extent, benchmark, precision, mode, 1))
        for count in extent.at_once if extent.every_way or benchmark == "dmc500k" else ():
            name = f"time {benchmark} bf16 none, {count} at once"
            yield Measurement(name, partial(_time, device, extent, benchmark, "bf16", "none", count))


def _time(
    device: torch.device, extent: Extent, benchmark: str, precision: Precision, mode: str, at_once: int
) -> dict[str, Any]:
    """Time the parts that a way of computing changes; project a run's hours from one alone."""
    settings = fixed_settings(benchmark, extent.variant, precision, "default" if mode == "default" else "none")
    changed = COMPONENTS if at_once > 1 else _MODES[mode]
    parts = [part for part in timed_parts(settings) if changed is None or part in changed]
    options = BenchOptions(settings, device, extent.stored_steps, parts, mode == "graphs", mode == "recompute")
    timings = time_parts(options, extent.steps, extent.warmup, at_once)
    hours = projected_hours(settings, timings)
    where = {"benchmark": benchmark, "precision": precision, "compile": mode, "at_once": at_once}
    return {**where, "timings": [asdict(timing) for timing in timings], "hours_of_a_run": hours}


def _trainings(device: torch.device, extent: Extent, folder: Path) -> Iterator[Measurement]:
    """DMC to its end, then Atari for the time that is left."""
    runs = {benchmark: folder / "runs" / benchmark for benchmark in ("dmc500k", "atari100k")}
    for benchmark, run in runs.items():
        left = extent.training_seconds - sum(map(seconds_trained, runs.values()))
        settings, graphs = fixed_settings(benchmark, extent.variant), device.type == "cuda"
        work = partial(train_for, settings, run, str(device), graphs, left)
        yield Measurement(f"train {benchmark}", work, whole=lambda result: result["finished"])
