"""What Slurm says of the jobs of runs: in its queue, and in the logs that it keeps of jobs that failed."""

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from m3.config.experiment import Run
from m3.reading import read_text

SLURM_LOGS = Path(".snakemake/slurm_logs")
"""Where Snakemake has Slurm write: RULE/WILDCARDS/JOB.log, which goes when the job succeeds."""
REFUSED = "refused.log"
"""Beside the logs of a run's jobs, what Slurm said when it did not take the newest one."""
OUT_OF_MEMORY = "out of memory: Slurm killed its job; raise mem_mb"

_SECONDS = 30
_LIVE = ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "REQUEUED", "PREEMPTED", "RESIZING")
_ENDED_BADLY = ("OUT_OF_MEMORY", "FAILED", "TIMEOUT", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "SPECIAL_EXIT")
_KILLED_FOR_MEMORY = re.compile(r"^(slurmstepd|srun)\S*: error:.*(oom|out of memory|memory limit)", re.M | re.I)
_STUCK = {
    r"[Hh]eld": "held: once the cause is gone, `scontrol release {job}` lets it start",
    r"TimeLimit|MaxWall": "more time than the cluster allows: lower `runtime`",
    r"PartitionConfig|NodeLimit|BadConstraints|Max\w+Per(Job|Node)": "no node has what it asks for: lower the request",
    r"InvalidAccount|AccountNotAllowed|InvalidQOS|QOSNotAllowed": "its account or QOS may not: see the profile",
}
"""Reasons, as squeue words them, for which a job never starts by itself, and what to do."""


class SlurmJob(NamedTuple):
    """A job as squeue tells it."""

    number: str
    state: str
    reason: str
    folder: str
    """In which its Snakemake runs."""
    comment: str
    """The rule and its wildcards, from Snakemake's plugin."""

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return is_live(self.state)

    @property
    def never_starts(self) -> str:
        """Why a waiting job will not start by itself, and what to do; empty where it will."""
        if self.state != "PENDING":
            return ""
        advice = next((words for pattern, words in _STUCK.items() if re.search(pattern, self.reason)), "")
        return (
            f"Slurm job {self.number} never starts ({self.reason}): {advice}".format(job=self.number) if advice else ""
        )


def is_live(state: str) -> bool:
    """Whether a job in this state waits, runs, or comes back."""
    return state in _LIVE


def read_jobs() -> dict[str, SlurmJob] | None:
    """Ask Slurm for this user's jobs, by number; jobs that have ended stay for a while (MinJobAge).

    None where there is no Slurm, or it does not answer.
    """
    command = ["squeue", "--me", "--states=all", "--noheader", "--format=%i|%T|%r|%Z|%k"]
    answer = _answer(command)
    if answer is None:
        return None
    rows = [line.split("|", maxsplit=4) for line in answer.splitlines()]
    return {row[0]: SlurmJob(*row) for row in rows if len(row) == len(SlurmJob._fields)}


def recorded_state(number: str) -> str:
    """Ask Slurm's accounting how a job ended; empty where there is none, or it does not know."""
    command = ["sacct", "-X", "--noheader", "--parsable2", "--format=State", f"--jobs={number}"]
    return ((_answer(command) or "").split() or [""])[0]


def _answer(command: list[str]) -> str | None:
    """Return what a command of Slurm's prints; none where it is missing, fails or does not answer."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None


class RunJobs:
    """The Slurm jobs of the runs of this folder.

    Args:
        folder: in which Snakemake was called.
        jobs: all of the user, from ``read_jobs``.
    """

    def __init__(self, folder: Path, jobs: Mapping[str, SlurmJob]) -> None:
        self._logs = folder / SLURM_LOGS
        here = os.path.realpath(folder)
        self._newest = {
            job.comment: job
            for job in sorted(jobs.values(), key=lambda job: int("0" + job.number.partition("_")[0]))
            if os.path.realpath(job.folder) == here
        }

    def note(self, run: Run, rules: Iterable[str], since: float) -> tuple[bool, str]:
        """Look what became of the newest job of a run: whether it failed, and what to say of it (nothing: no news).

        Args:
            run: which.
            rules: of the job.
            since: when the run last did something, in seconds since 1970; what was logged before is of an older job.
        """
        wildcards = f"{run.benchmark}_{run.variant}_{run.task_folder}_{run.seed}"
        for rule in rules:
            logs = self._logs / f"rule_{rule}" / wildcards
            job = self._newest.get(f"rule_{rule}_wildcards_{wildcards}")
            found = _of_job(job, logs / f"{job.number}.log") if job else _of_log(_newest_log(logs, since))
            if found[1]:
                return found
        return False, ""


def _of_job(job: SlurmJob, log: Path) -> tuple[bool, str]:
    if job.never_starts:
        return False, job.never_starts
    if job.state == "PENDING":
        return False, f"for Slurm job {job.number} ({job.reason})"
    if job.is_live:
        return False, f"for Slurm job {job.number}, which has begun"
    if job.state == "CANCELLED":
        return False, f"Slurm job {job.number} was cancelled"
    if job.state in _ENDED_BADLY:
        return True, cause_of_end(job.state, log) or f"Slurm job {job.number} ended as {job.state} (log: {log})"
    return False, ""


def _of_log(log: Path | None) -> tuple[bool, str]:
    if log is None:
        return False, ""
    if log.name == REFUSED:
        return True, next(iter(_text(log).strip().splitlines()), "Slurm refused its job")
    cause = cause_of_end("", log)
    return bool(cause), cause


def cause_of_end(state: str, log: Path) -> str:
    """Say why Slurm killed a job, where its state or its log tells; else nothing."""
    if state == "OUT_OF_MEMORY" or _KILLED_FOR_MEMORY.search(_text(log)):
        return f"{OUT_OF_MEMORY} (Slurm's log: {log})"
    return f"out of time: Slurm killed its job (Slurm's log: {log})" if state == "TIMEOUT" else ""


def _newest_log(folder: Path, since: float) -> Path | None:
    """Return the newest log in a folder; none where it is older than ``since``."""
    found = [(log.stat().st_mtime, log) for log in folder.glob("*.log") if log.is_file()]
    newest = max(found, default=(0.0, None))
    return newest[1] if newest[0] >= since else None


def _text(log: Path) -> str:
    try:
        return read_text(log)
    except (OSError, UnicodeDecodeError):
        return ""
