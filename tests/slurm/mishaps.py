"""An experiment whose jobs never start, are killed, refused or forgotten, and whose driver stands still for minutes."""

import os
import shutil
import signal
import time
from pathlib import Path

from cluster import REMEMBERS_SECONDS, Cluster, command, wait_until
from drivers import PROFILE, start_driver
from projects import Project, copy_project

ASKED = {
    "slow": "runtime: 3000",
    "big": "threads: 500",
    "small": "mem_mb: 60",
    "greedy": "gpu: 99",
    "held": "runtime: 5",
    "fine": "runtime: 5",
}
"""What each benchmark's trainings ask for: more time or processors than there are, too little memory to live with..."""
PURGED_EVERY_SECONDS = 60
"""As often, Slurm looks for jobs to forget."""
SBATCH = """\
#!/bin/sh
# The training of "fine" is refused once, and until all others are submitted; that of "held" is held.
mkdir -p submitted
name=$(expr "$*" : '.*rule_train_wildcards_\\([a-z]*\\)_m3')
[ -n "$name" ] && [ "$name" != fine ] && touch "submitted/$name"
if [ "$name" = fine ] && {{ mkdir refused 2>/dev/null || [ "$(ls submitted | wc -l)" -lt {others} ]; }}; then
  echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2
  exit 1
fi
[ "$name" = held ] && exec {sbatch} --hold "$@"
exec {sbatch} "$@"
"""


class Mishaps:
    """The experiment, with a driver that is stopped as soon as "fine" trains and "small" was killed.

    Args:
        cluster: where the jobs go.
        folder: for the project.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self.project = _project(folder / "project")
        programs = folder / "programs"
        programs.mkdir()
        (programs / "sbatch").write_text(SBATCH.format(sbatch=shutil.which("sbatch"), others=len(ASKED) - 1))
        (programs / "sbatch").chmod(0o755)
        path = {"PATH": f"{programs}:{os.environ['PATH']}"}
        self.driver = start_driver(self.project, *PROFILE, "runs", environment=os.environ | path)
        self._stopped: float | None = None

    def look(self) -> None:
        """Stop the driver when it is time to."""
        if self._stopped is None and self.job_of("fine", "RUNNING") and self.job_of("small", "FAILED"):
            self.driver.send_signal(signal.SIGSTOP)
            self._stopped = time.monotonic()

    def go_on(self) -> None:
        """Let the driver go on once Slurm has forgotten the jobs that have ended."""
        wait_until(lambda: self.look() or self._stopped, "a training of fine")
        assert self._stopped is not None
        ended = lambda: self._cluster.start_requeued_jobs() or self.weights.exists()  # noqa: E731
        wait_until(ended, "the weights of fine")
        left = self._stopped + REMEMBERS_SECONDS + PURGED_EVERY_SECONDS - time.monotonic()
        wait_until(lambda: not self.job_of("fine", "COMPLETED", now=True), "a forgotten job", seconds=left + 300)
        self.driver.send_signal(signal.SIGCONT)

    @property
    def weights(self) -> Path:
        return self.project.folder / "results/runs/fine/m3/image/seed-0/weights.safetensors"

    def job_of(self, benchmark: str, state: str, now: bool = False) -> str:
        """The number of its training's job if that is in a state, else nothing."""
        jobs = self._cluster.jobs_now() if now else self._cluster.jobs()
        wanted = (f"rule_train_wildcards_{benchmark}_m3_image_0", state)
        return next((job.number for job in jobs if (job.comment, job.state) == wanted), "")

    def log(self) -> str:
        return (self.project.folder / "driver.log").read_text()

    def end(self) -> None:
        """Cancel what never starts once all else is done, upon which the driver ends."""
        wait_until(self.weights.with_name("scores.h5").exists, "the scores of fine")
        for benchmark in ("slow", "big", "held"):
            command("scancel", self.job_of(benchmark, "PENDING"))
        self.driver.wait(timeout=400)


def _project(folder: Path) -> Project:
    project = copy_project(folder)
    benchmarks = folder / "config/benchmarks"
    for name in ASKED:
        shutil.copy(benchmarks / "toy.yaml", benchmarks / f"{name}.yaml")
    runs = "".join(f"  - {{benchmark: {name}, tasks: [image], seeds: 1}}\n" for name in ASKED)
    asked = "".join(f"  {name}: {{train: {{{words}}}}}\n" for name, words in ASKED.items())
    (folder / "config/own.yaml").write_text(f"name: own\nscores: own\nruns:\n{runs}resources:\n{asked}")
    (folder / "slurm").symlink_to("workflow/profiles/slurm")
    return project
