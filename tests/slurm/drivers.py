"""Projects whose jobs go through Slurm, and the Snakemake that drives them."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from projects import Project, copy_project

PROFILE = ["--profile", "slurm", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"]
PROFILE += ["--max-status-checks-per-second", "1"]
"""This cluster keeps no accounts; and the plugin would look at the jobs for the first time after 40 seconds."""
SEEDS = range(3)
EPOCHS = 120
"""Of 0.4 seconds and more: they take longer than the 40 seconds that a job of one minute trains."""
EXPERIMENT = f"""\
name: own
scores: own
runs: [{{benchmark: toy, tasks: [image], seeds: {len(SEEDS)}}}]
overrides: [{{where: {{}}, set: {{epochs: {EPOCHS}}}}}]
commands: {{train: "python -u slowed.py train --no-media --checkpoint-minutes 0.03"}}
resources: {{toy: {{train: {{gpu: 1, runtime: 1}}}}}}
"""
SLOWED = """\
# `python -m m3`, with the time before each line, and epochs that take longer than the tests need.
import sys
import time

from m3.cli import main

write = sys.stdout.write

def slow_write(text):
    if "| epoch" in text:
        time.sleep(0.4)
    return write(text.replace("image seed", f"{time.time():.2f} image seed"))

sys.stdout.write = slow_write
sys.exit(main(sys.argv[1:]))
"""


class Epoch(NamedTuple):
    """A line of a log."""

    time: float
    attempt: str
    number: int


def toy_project(folder: Path) -> Project:
    """A project of runs that take a minute each and tell when each epoch ended."""
    project = copy_project(folder)
    (folder / "config/own.yaml").write_text(EXPERIMENT)
    (folder / "slowed.py").write_text(SLOWED)
    (folder / "slurm").symlink_to("workflow/profiles/slurm")
    return project


def start_driver(
    project: Project, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Snakemake in the background, with its output in driver.log."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "config/own.yaml"]
    with open(project.folder / "driver.log", "ab") as log:
        return subprocess.Popen(command, cwd=project.folder, stdout=log, stderr=log, env=environment)


def toy_run(project: Project, seed: int) -> Path:
    return project.folder / f"results/runs/toy/m3/image/seed-{seed}"


def logs(project: Project, seed: int) -> dict[str, str]:
    """The logs of all attempts at a run, by name, which tells when they began."""
    folder = toy_run(project, seed) / "logs"
    return {path.name: path.read_text(errors="replace") for path in sorted(folder.glob("train-*.log"))}


def epochs(project: Project, seed: int) -> list[Epoch]:
    """What all attempts at a run trained, by time."""
    pattern = re.compile(r"^(\S+) image seed \d+ \| epoch (\d+)/", re.M)
    return sorted(
        Epoch(float(time), attempt, int(number))
        for attempt, text in logs(project, seed).items()
        for time, number in pattern.findall(text)
    )
