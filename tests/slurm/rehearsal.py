"""The paper's experiment of 225 runs through Slurm, with a stand-in for training: `make slurm-rehearsal`.

Jobs are preempted at random, and the driver is killed once and started again. Tells what jobs cost beside their work.
"""

import os
import random
import resource
import shutil
import time
from pathlib import Path

from cluster import GPUS, Cluster, command, wait_until
from drivers import PROFILE, start_driver
from projects import Project, copy_project
from stand_in import STEPS

RUNS = int(os.environ.get("REHEARSED_RUNS", "225"))
"""Fewer to try the rehearsal itself: only seed 0."""
FINISHED_BETWEEN_PREEMPTIONS = 15
"""Jobs; on a slow machine too, more of them end than are preempted."""
TRAINING = "{threads: 1, mem_mb: 1000, runtime: 1440}"
EVALUATION = "{threads: 8, mem_mb: 1000, runtime: 60}"
"""Little, so that many jobs run at a time, and not so little that they are too many for this machine."""
MOST_SECONDS = 4 * 3600.0


class Operator:
    """Preempts jobs now and then, and starts requeued ones soon."""

    def __init__(self, cluster: Cluster, project: Project) -> None:
        self._cluster = cluster
        self._project = project
        self._random = random.Random(0)
        self._next = FINISHED_BETWEEN_PREEMPTIONS

    def work(self) -> None:
        self._cluster.start_requeued_jobs()
        finished = len(files(self._project, "weights.safetensors")) + len(files(self._project, "scores.h5"))
        if finished >= self._next:
            gpus = self._random.randint(1, GPUS)
            command("sbatch", "--partition=high", f"--gpus={gpus}", "--output=/dev/null", "--wrap=true")
            self._next = finished + FINISHED_BETWEEN_PREEMPTIONS


def test_every_run_is_trained_once(cluster: Cluster, tmp_path: Path) -> None:
    project = rehearsal(tmp_path / "project")
    planning = planning_seconds(project)
    operator, began = Operator(cluster, project), time.monotonic()
    driver = start_driver(project, *PROFILE, "runs")
    try:
        wait_until(lambda: operator.work() or len(files(project, "scores.h5")) > RUNS / 4, "a quarter", MOST_SECONDS)
        driver.kill()
        driver.wait()
        driver = start_driver(project, *PROFILE, "runs")
        wait_until(lambda: operator.work() or driver.poll() is not None, "the end", MOST_SECONDS)
    finally:
        driver.kill()
    minutes = (time.monotonic() - began) / 60
    assert driver.returncode == 0, (project.folder / "driver.log").read_text()[-5000:]

    assert len(files(project, "scores.h5")) == RUNS
    assert all(path.read_text().split() == [str(step) for step in range(STEPS)] for path in files(project, "steps"))
    assert files(project, "two-writers") == []
    preemptions = (cluster.folder / "slurmctld.log").read_text().count("has been requeued to reclaim")
    starts = len(files(project, "logs/*")) + RUNS
    print(f"\n{RUNS} runs in {minutes:.0f} min: {starts} starts of jobs, {preemptions} preemptions, one driver killed")
    print(f"{60 * minutes / starts:.1f} s per start of a job; planning takes {planning:.1f} s of processor time")
    assert preemptions > 0


def rehearsal(folder: Path) -> Project:
    """The paper's experiment with jobs that ask for little, so that many run at a time."""
    project = copy_project(folder)
    text = (folder / "config/paper.yaml").read_text().replace("name: paper", "name: own")
    if RUNS < 225:
        text = text.replace("{benchmark: atari100k}", f"{{benchmark: atari100k, seeds: {RUNS // 26}}}")
        text = text.replace("  - {benchmark: dmc500k}\n  - {benchmark: craftax1m}\n", "")
    text += "commands: {train: python -u stand_in.py train, evaluate: python -u stand_in.py evaluate}\nresources:\n"
    for benchmark in ("atari100k", "dmc500k", "craftax1m"):
        text += f"  {benchmark}: {{train: {TRAINING}, evaluate: {EVALUATION}}}\n"
    (folder / "config/own.yaml").write_text(text)
    shutil.copy(Path(__file__).with_name("stand_in.py"), folder)
    (folder / "slurm").symlink_to("workflow/profiles/slurm")
    (folder / "pretrained").mkdir()
    for name in ("vgg16-397923af.pth", "lpips-v0.1-vgg.pth"):  # nothing reads them here
        (folder / "pretrained" / name).touch()
    return project


def planning_seconds(project: Project) -> float:
    """Processor time of `snakemake --profile slurm -n` over all runs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start_driver(project, "runs", "--profile", "slurm", "-n", "--quiet").wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def files(project: Project, pattern: str) -> list[Path]:
    """Of all runs."""
    return list(project.folder.glob(f"results/runs/*/*/*/*/{pattern}"))
