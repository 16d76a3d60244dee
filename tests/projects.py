"""Copies of the project to run Snakemake in."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("config", "envs", "m3", "results/published", "workflow")
"""What the workflow needs of the project."""

EXPERIMENT = """\
name: own
runs: [{benchmark: atari100k, variants: [tiny], tasks: [Breakout, Pong], seeds: 2}]
"""
TRAIN = """\
HELP = "stands in for training"
EXAMPLES = ""

def add_arguments(parser):
    parser.add_argument("--config")
    parser.add_argument("--run")
    parser.add_argument("--device")
    parser.add_argument("--workers")
    parser.add_argument("--wait", action="store_true")

def run(args):
    from pathlib import Path
    print("trained with", args.config, args.device)
    Path(args.run, "weights.safetensors").write_text(args.config)
    Path(args.run, "metrics.h5").write_text(args.config)
    return 0
"""
EVALUATE = """\
HELP = "stands in for evaluation"
EXAMPLES = ""

def add_arguments(parser):
    for name in ("--run", "--episodes", "--output", "--device", "--workers"):
        parser.add_argument(name)

def run(args):
    from pathlib import Path
    Path(args.output).write_text(args.episodes)
    return 0
"""


@dataclass(frozen=True)
class Project:
    """A copy of the project."""

    folder: Path

    def snakemake(self, *arguments: str, configfile: str = "config/own.yaml") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", configfile]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    def scheduled(self, *targets: str, configfile: str = "config/own.yaml") -> Counter[str]:
        """What a dry run would do: "rule task seed" of jobs that belong to a run, else the rule."""
        result = self.snakemake(*targets, "-n", "--quiet", "host", configfile=configfile)
        assert result.returncode == 0, result.stderr
        jobs: Counter[str] = Counter()
        for rule, block in re.findall(r"^(?:local)?rule (\w+):\n(.*?)\n(?=\S)", result.stdout, re.M | re.S):
            run = re.search(r"task=(\S+), seed=(\d+)", block)
            jobs[f"{rule} {run[1]} {run[2]}" if run else rule] += 1
        return jobs

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def run_folder(self, task: str, seed: int) -> Path:
        return self.folder / f"results/runs/atari100k/tiny/{task}/seed-{seed}"


def copy_project(folder: Path) -> Project:
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "config/own.yaml").write_text(EXPERIMENT)
    return Project(folder)


def with_stand_ins(project: Project) -> Project:
    """The project with training and evaluation replaced by quick stand-ins of the same interface."""
    (project.folder / "m3/cli/train.py").write_text(TRAIN)
    (project.folder / "m3/cli/evaluate.py").write_text(EVALUATE)
    return project


def run_jobs(task: str, seed: int) -> Counter[str]:
    """All jobs of one run."""
    return Counter(f"{rule} {task} {seed}" for rule in ("resolve", "train", "evaluate"))
