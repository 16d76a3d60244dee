"""Train within a Slurm job: slurm_slice.py MINUTES COMMAND..., where MINUTES are the job's time limit.

The command ends before the limit, with a checkpoint, and the job puts itself back into the queue: to Snakemake it was
never away. So does a job whose run another process trains, such as the job of a driver that was killed; but where a
newer driver has submitted a newer job for the run, the older job leaves it the run.
"""

import os
import signal
import subprocess
import sys
import time

STOPPED, OCCUPIED = 3, 4
"""Exit status of `python -m m3 train`, see m3.errors.ExitStatus."""
JOB = os.environ["SLURM_JOB_ID"]
MOST_MARGIN = 10.0
"""Minutes at the end of a job's time that are left unused, for the start of the job and the last checkpoint."""


def main(minutes: float, command: list[str]) -> int:
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):  # the command has them too, and saves a checkpoint
        signal.signal(number, lambda received, frame: signals.append(received))
    budget = minutes - min(MOST_MARGIN, minutes / 3)
    status = subprocess.run([*command, "--budget-minutes", f"{budget:.2f}"], check=False).returncode
    wants_to_go_on = status == OCCUPIED or (status == STOPPED and not signals)
    if (
        wants_to_go_on
        and not has_newer_job()
        and subprocess.run(["scontrol", "requeue", JOB], check=False).returncode == 0
    ):
        while not signals:  # with which Slurm ends this job before it starts again
            time.sleep(1)
    return status


def has_newer_job() -> bool:
    """Whether a job of a higher number has the same rule and wildcards, which the plugin puts into the comment."""
    listing = ["squeue", "--me", "--noheader", "--format=%i|%Z|%k"]
    lines = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.splitlines()
    jobs = dict(line.split("|", maxsplit=1) for line in lines)
    return any(int(number) > int(JOB) for number, same in jobs.items() if number.isdigit() and same == jobs[JOB])


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
