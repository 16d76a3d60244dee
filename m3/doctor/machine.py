"""What this machine has for training, and what each benchmark needs of it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from m3.config.loading import load_benchmark
from m3.doctor.checks import Finding
from m3.errors import UserError
from m3.runs.requirements import free_memory_bytes, size

BENCHMARKS = ("atari100k", "dmc500k", "craftax1m")
DISK_GB_PER_RUN = {"atari100k": 1.4, "dmc500k": 0.3, "craftax1m": 1.5}
"""Nearly all of it experience in checkpoints."""
GPU_HOURS = {"atari100k": "6 to 8", "dmc500k": "about 11", "craftax1m": "about 40"}
"""Of a run on an H100, projected from operation counts: nothing was measured."""
CPU_DAYS = {"atari100k": 52, "dmc500k": 25, "craftax1m": 362}
"""Of a run on two cores, projected from timed steps (BENCHMARKS.md)."""
_PACKAGES = {"atari100k": ("ale_py", "gymnasium"), "dmc500k": ("dm_control", "mujoco"), "craftax1m": ("craftax", "jax")}


def check_machine(folder: Path, pretrained: Path) -> Iterator[Finding]:
    """Check processor, memory, disk, GPU, and what the benchmarks' simulators need."""
    yield from _check_processor()
    free = shutil.disk_usage(folder).free
    yield Finding("works", "disk", f"{size(free)} are free in {folder}")
    yield from _check_gpu()
    yield from _check_atari(pretrained)
    yield _check_drawing()
    for name in BENCHMARKS:
        yield _benchmark(name)


def _check_processor() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    wanted = os.environ.get("OMP_NUM_THREADS")
    yield Finding("works", "threads", f"{wanted or cores} of {cores} cores (m3 train --threads N changes it)")
    yield Finding("works", "memory", f"{size(free_memory_bytes())} are free")


def _check_gpu() -> Iterator[Finding]:
    if find_spec("torch") is None:
        yield Finding("problem", "torch", "is not installed: pip install torch")
        return
    import torch

    driver = _driver()
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        text = f"{properties.name}, {size(properties.total_memory)}, driver {driver or 'unknown'}"
        yield Finding("works", f"GPU {index}", text)
    if torch.cuda.device_count():
        return
    if driver is None:
        text = "none found (nvidia-smi is missing): small runs train on the CPU, runs of the paper's size take weeks"
        yield Finding("note", "GPU", text)
    else:
        text = f"driver {driver} is there, but torch {torch.__version__} sees no GPU: install a build of torch for it"
        yield Finding("problem", "GPU", text)


def _driver() -> str | None:
    """The version of NVIDIA's driver; none where there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return result.stdout.splitlines()[0] if result.returncode == 0 and result.stdout else None


def _check_atari(pretrained: Path) -> Iterator[Finding]:
    if find_spec("ale_py") is not None:
        from ale_py import roms

        count = len(roms.get_all_rom_ids())
        yield Finding("works" if count else "problem", "Atari's ROMs", f"{count} games come with ale-py")
    if find_spec("torch") is not None:
        from m3.nn.perceptual import LINEAR_FILE, VGG_FILE

        missing = [name for name in (VGG_FILE, LINEAR_FILE) if not (pretrained / name).is_file()]
        advice = "`m3 pretrained` downloads them; --variant no-perceptual does without"
        text = f"{' and '.join(missing)} not in {pretrained}/: {advice}" if missing else f"are in {pretrained}/"
        yield Finding("note" if missing else "works", "LPIPS files for Atari", text)


def _check_drawing() -> Finding:
    """Whether MuJoCo's scenes can be drawn, which videos of control tasks need and training does not."""
    if find_spec("mujoco") is None:
        return Finding("note", "EGL", "not looked for, as mujoco is not installed")
    from m3.environments import make_environment

    settings: Any = load_benchmark("dmc500k").settings["environment"]
    try:
        from m3.config.simulators import DmcEnvironment

        with closing(make_environment(DmcEnvironment(**settings), "cartpole-balance", "test")) as environment:
            environment.reset(0)
            environment.render()
    except UserError as error:
        return Finding("note", "EGL", f"videos of control tasks cannot be drawn: {error}")
    return Finding("works", "EGL", "videos of control tasks can be drawn")


def _benchmark(name: str) -> Finding:
    missing = [package for package in _PACKAGES[name] if find_spec(package) is None]
    asked = load_benchmark(name).resources.train
    needs = (
        f"a run of the paper's size needs {size(asked.mem_mb * 1e6)} of memory at most, {DISK_GB_PER_RUN[name]} GB of "
        f"disk, and {GPU_HOURS[name]} hours of an H100 (projected); on two CPU cores {CPU_DAYS[name]} days"
    )
    if missing:
        packages = " ".join(package.replace("_", "-") for package in missing)
        return Finding("problem", name, f"pip install {packages}; {needs}")
    return Finding("works", name, needs)
