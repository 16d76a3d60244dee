"""Snakemake's executor for Slurm as a driver needs it that runs for weeks.

It submits again what Slurm refused for the moment, waits until Slurm answers, ends jobs that Slurm has forgotten, tells
which jobs never start, and says why Slurm killed a job. Everything else is the plugin's.
"""

import os
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as plugin

from m3.runs.slurm_jobs import REFUSED, SlurmJob, cause_of_end, is_live, read_jobs, recorded_state

MOST_REFUSALS = 12
"""Of one job, with pauses in between that double up to the longest: three quarters of an hour."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 10.0, 300.0
_FOR_GOOD = re.compile(
    r"invalid|requested node configuration|more processors|can ?not be satisfied|not permitted|unrecognized|denied|"
    r"no partition specified",
    re.I,
)
"""What sbatch says of a job that it will not take later either."""
_UNUSED_ARRAY_SIZE = 1000

CAUSES: dict[Any, str] = {}
"""Why Slurm killed or refused jobs, for the driver's last words."""


class Executor(plugin.Executor):
    """The plugin's, with a longer patience and a shorter one."""

    def __post_init__(self, *arguments: Any, **options: Any) -> None:
        self._refusals: Counter[Any] = Counter()
        self._missing: set[str] = set()
        self._ended: set[str] = set()
        self._stuck: set[tuple[str, str]] = set()
        self._told: set[tuple[str, str]] = set()
        if not self.workflow.executor_settings.array_jobs:
            # the plugin refuses to start where the cluster has arrays switched off, also for those who want none
            plugin.get_max_array_size = lambda: _UNUSED_ARRAY_SIZE
        super().__post_init__(*arguments, **options)

    def report_job_submission(self, job_info: Any, *arguments: Any, **options: Any) -> None:
        self._refused_log(job_info.job).unlink(missing_ok=True)
        super().report_job_submission(job_info, *arguments, **options)

    def report_job_success(self, job_info: Any) -> None:
        self._ended.add(job_info.external_jobid)
        super().report_job_success(job_info)

    def report_job_error(self, job_info: Any, msg: str | None = None, **options: Any) -> None:
        job = job_info.job
        if job_info.external_jobid is None:
            reason = words_of_refusal(msg or "")
            if self._tries_again(job, reason):
                return
            CAUSES[job] = f"Slurm refused its job ({_name(job)}): {reason}"
            self._refused_log(job).parent.mkdir(parents=True, exist_ok=True)
            self._refused_log(job).write_text(f"{CAUSES[job]}\n")
        else:
            self._ended.add(job_info.external_jobid)
            state = re.search(r"SLURM status is: '(\w+)'", msg or "")
            cause = cause_of_end(state[1] if state else "", _log_of(job_info))
            if cause:
                CAUSES[job] = cause
        super().report_job_error(job_info, msg, **options)

    def _tries_again(self, job: Any, reason: str) -> bool:
        """Submit a job again after a pause, if that may help."""
        if not self.wait or _FOR_GOOD.search(reason) or self._refusals[job] >= MOST_REFUSALS:
            return False
        pause = min(FIRST_PAUSE_SECONDS * 2 ** self._refusals[job], LONGEST_PAUSE_SECONDS)
        self._refusals[job] += 1
        self.logger.warning(f"{_name(job)}: Slurm did not take its job ({reason}); tries again in {pause:.0f} s")
        timer = threading.Timer(pause, self._submit_again, [job])
        timer.daemon = True
        timer.start()
        return True

    def _submit_again(self, job: Any) -> None:
        if self.wait:
            self.run_job(job)

    async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncIterator[Any]:
        queue = read_jobs() if active_jobs else None
        if queue is not None:
            self._tell_what_never_starts(active_jobs, queue)
            forgotten = self._forgotten(active_jobs, queue)
            for info in forgotten:
                self._settle(info)
            active_jobs = [info for info in active_jobs if info not in forgotten]
        waited_for = set()
        async for info in super().check_active_jobs(active_jobs):
            waited_for.add(info.external_jobid)
            yield info
        for info in active_jobs:  # of which the plugin loses sight where Slurm does not answer
            if info.external_jobid not in waited_for | self._ended:
                yield info

    def _tell_what_never_starts(self, active_jobs: Iterable[Any], queue: Mapping[str, SlurmJob]) -> None:
        """Once for each job and reason that stood in the queue twice in a row: the first one is often a passing one."""
        before, self._stuck = self._stuck, set()
        for info in active_jobs:
            job = queue.get(info.external_jobid)
            if job is None or not job.never_starts:
                continue
            found = (job.number, job.reason)
            self._stuck.add(found)
            if found in before - self._told:
                self._told.add(found)
                self.logger.warning(f"{_name(info.job)}: {job.never_starts}")

    def _forgotten(self, active_jobs: Iterable[Any], queue: Mapping[str, SlurmJob]) -> list[Any]:
        """Those that Slurm's queue lacked twice in a row, and that its accounting does not take for living ones.

        The plugin waits for these for ever: a driver that stood still for longer than Slurm remembers jobs (MinJobAge)
        never learns how they ended.
        """
        missing = [info for info in active_jobs if info.external_jobid not in queue and "_" not in info.external_jobid]
        before, self._missing = self._missing, {info.external_jobid for info in missing}
        again = [info for info in missing if info.external_jobid in before]
        return [info for info in again if not is_live(recorded_state(info.external_jobid))]

    def _settle(self, info: Any) -> None:
        """End a forgotten job, by what accounting knows of it or else by its files."""
        state = recorded_state(info.external_jobid)
        if state == "COMPLETED" or (not state and all(Path(file).exists() for file in info.job.output)):
            self.report_job_success(info)
            return
        ended = f"SLURM status is: '{state}'" if state else "Slurm has forgotten it, and it left no results"
        self.report_job_error(info, f"Slurm job {info.external_jobid} has ended: {ended}. ")

    def _refused_log(self, job: Any) -> Path:
        folder: Path = self.slurm_logdir / f"rule_{job.name}" / plugin.get_job_wildcards(job)
        return folder / REFUSED


def words_of_refusal(message: str) -> str:
    """The last line that sbatch said, within the plugin's message."""
    said = re.search(r"error message was '(.*?)'\.?$", message, re.M | re.S)
    lines = [line for line in (said[1] if said else message).splitlines() if line.strip()]
    return lines[-1].removeprefix("sbatch: error: ") if lines else "without a word"


def _name(job: Any) -> str:
    return " ".join([job.name, *job.wildcards])


def _log_of(info: Any) -> Path:
    log = (info.aux or {}).get("slurm_logfile")
    return Path(os.path.relpath(log)) if log else Path()
