"""Train within a Slurm job: slurm_slice.py MINUTES COMMAND..., where MINUTES are the job's time limit.

The command ends before the limit, with a checkpoint, and the job puts itself back into the queue: to Snakemake it was
never away. So does a job whose run another process trains, such as the job of a driver that was killed. Where drivers
have submitted several jobs for a run, the run is the newest job's: the others are cancelled or end.
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
PAUSE_SECONDS = 20
"""Before Slurm is asked again, where it does not answer."""


def main(minutes: float, command: list[str]) -> int:
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):  # the command has them too, and saves a checkpoint
        signal.signal(number, lambda received, frame: signals.append(received))
    jobs = jobs_of_this_run()
    for job, state in jobs.items():
        if int(job) < int(JOB) and state == "PENDING":
            subprocess.run(["scancel", job], check=False)
    if is_replaced(jobs):
        return OCCUPIED
    budget = minutes - min(MOST_MARGIN, minutes / 3)
    status = subprocess.run([*command, "--budget-minutes", f"{budget:.2f}"], check=False).returncode
    goes_on = status == OCCUPIED or (status == STOPPED and not signals)
    if goes_on and not is_replaced(jobs_of_this_run()):
        requeued = False
        while not signals:  # with which Slurm ends this job before it starts again
            requeued = requeued or subprocess.run(["scontrol", "requeue", JOB], check=False).returncode == 0
            time.sleep(1 if requeued else PAUSE_SECONDS)
    if status == -signal.SIGKILL:
        print(f"error: killed, perhaps out of memory; Slurm's log of job {JOB} may tell more", flush=True)
    return status if status >= 0 else 128 - status


def jobs_of_this_run() -> dict[str, str]:
    """Number -> state of those that have not ended: same folder, same rule and wildcards (the plugin's comment).

    None where Slurm does not answer: the lease on the run's folder still sees to it that one process trains the run.
    """
    listing = ["squeue", "--me", "--noheader", "--format=%i|%T|%Z|%k"]
    lines = subprocess.run(listing, check=False, capture_output=True, text=True).stdout.splitlines()
    jobs = {number: (state, run) for number, state, run in (line.split("|", maxsplit=2) for line in lines)}
    own = jobs.get(JOB, ("", ""))[1]
    return {number: state for number, (state, run) in jobs.items() if run == own and number.isdigit()}


def is_replaced(jobs: dict[str, str]) -> bool:
    newer = [job for job in jobs if int(job) > int(JOB)]
    if newer:
        print(f"leaves the run to the newer job {newer[-1]}", flush=True)
    return bool(newer)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
