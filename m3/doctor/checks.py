"""Whether an experiment will run on the cluster, and what to change if not."""

import fcntl
import importlib.metadata
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from m3.config.experiment import JobResources
from m3.config.plan import Plan
from m3.doctor.slurm import Cluster, Partition

MIN_JOB_AGE_SECONDS = 120
"""Slurm should remember jobs that have ended for so long: the plugin asks every 40 to 180 seconds."""
MIN_KILL_WAIT_SECONDS = 30
"""Between SIGTERM and SIGKILL: a training takes up to 25 seconds for its last checkpoint."""
LOCAL_FILE_SYSTEMS = ("ext2/ext3", "xfs", "btrfs", "tmpfs", "overlayfs", "zfs")
MIN_FREE_GB_PER_RUN = 2.0
"""Checkpoints with the experience, weights, logs."""


class Finding(NamedTuple):
    """What a check found."""

    level: Literal["works", "note", "problem"]
    subject: str
    text: str
    """What is so, and for a problem what to change."""


def check_python(lock: Path) -> Iterator[Finding]:
    """Check Python and the packages of a lock file."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("works", "Python", f"{version} in {sys.prefix}")
    wanted = dict(re.findall(r"^([\w.-]+)==(\S+)$", lock.read_text(), re.M)) if lock.exists() else {}
    installed = {name: _version(name) for name in wanted}
    missing = [name for name, found in installed.items() if found is None]
    other = [
        f"{name} {found} for {wanted[name]}" for name, found in installed.items() if found not in (None, wanted[name])
    ]
    if missing:
        yield Finding("problem", "packages", f"missing: {', '.join(missing)}; make setup installs them")
    if other:
        yield Finding("note", "packages", f"not the tested versions: {', '.join(other)}")
    if wanted and not missing and not other:
        yield Finding("works", "packages", f"all {len(wanted)} in the versions of {lock.name}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def check_files(folder: Path, runs: int, nodes: int) -> Iterator[Finding]:
    """Check the file system of the repository, which every node has to see."""
    kind = _file_system(folder)
    if kind in LOCAL_FILE_SYSTEMS and nodes > 1:
        text = f"{folder} is on {kind}, which other machines do not see; clone the repository into a shared folder"
        yield Finding("problem", "file system", text)
    else:
        yield Finding("works", "file system", f"{folder} is on {kind}")
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Finding("works", "locks", "files can be locked")
        except OSError as error:
            text = f"files cannot be locked ({error.strerror}): a run's second writer is noticed only by its heartbeat"
            yield Finding("note", "locks", text)
    free = shutil.disk_usage(folder).free / 1e9
    needed = runs * MIN_FREE_GB_PER_RUN
    level: Literal["works", "note"] = "works" if free > needed else "note"
    yield Finding(level, "disk", f"{free:.0f} GB are free; {runs} runs take up to about {needed:.0f} GB")


def _file_system(folder: Path) -> str:
    command = ["stat", "--file-system", "--format=%T", os.fspath(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def check_settings(cluster: Cluster, profile: Mapping[str, Any]) -> Iterator[Finding]:
    """Check the cluster's settings against those of the profile."""
    age = _seconds(cluster.settings.get("MinJobAge", "0"))
    asks = profile.get("slurm-status-command")
    if cluster.has_accounting:
        yield Finding("works", "accounting", "sacct tells how jobs ended")
    elif asks != "squeue":
        yield Finding("problem", "accounting", "there is none: set slurm-status-command: squeue in the profile")
    elif age < MIN_JOB_AGE_SECONDS:
        text = f"there is none, and Slurm forgets jobs after {age:.0f} s (MinJobAge): ask for {MIN_JOB_AGE_SECONDS} s"
        yield Finding("problem", "accounting", text)
    else:
        yield Finding("works", "accounting", "there is none; squeue tells how jobs ended")
    wait = _seconds(cluster.settings.get("KillWait", "0"))
    if wait < MIN_KILL_WAIT_SECONDS:
        text = f"jobs are killed {wait:.0f} s after SIGTERM (KillWait): work since the last checkpoint may be lost"
        yield Finding("note", "end of a job", text)
    if profile.get("slurm-requeue") and int(profile.get("retries", 0)) > 0:
        text = "both Slurm (slurm-requeue) and Snakemake (retries) restart jobs: set retries: 0 in the profile"
        yield Finding("problem", "restarts", text)


def _seconds(text: str) -> float:
    """Read the seconds in settings such as "300 sec"."""
    number = re.match(r"\d+", text)
    return float(number[0]) if number else 0.0


def check_jobs(cluster: Cluster, profile: Mapping[str, Any], plan: Plan) -> Iterator[Finding]:
    """Check the partition of the profile against what the experiment's jobs ask for."""
    resources = profile.get("default-resources") or {}
    name = resources.get("slurm_partition")
    partition = cluster.partition(name)
    if partition is None:
        known = ", ".join(p.name for p in cluster.partitions)
        missing = f"there is no {name}" if name else "the cluster has no default"
        yield Finding("problem", "partition", f"{missing}: set slurm_partition in the profile to one of {known}")
        return
    yield Finding("works", "partition", _description(partition))
    yield _preemption(partition)
    for benchmark in dict.fromkeys(run.benchmark for run in plan.runs):
        for job, asked in (
            ("train", plan.resources[benchmark].train),
            ("evaluate", plan.resources[benchmark].evaluate),
        ):
            for problem in _misfits(partition, asked_for(profile, asked, job)):
                text = f"{problem}: change resources of {job} in config/benchmarks/{benchmark}.yaml"
                yield Finding("problem", f"{benchmark} {job}", text)
    if len(partition.gpu_types) > 1:
        text = f"of several types; to choose one, set gpu_model in the profile: {', '.join(partition.gpu_types)}"
        yield Finding("note", "GPUs", text)


def asked_for(profile: Mapping[str, Any], asked: JobResources, rule: str) -> JobResources:
    """Return what a job of a rule asks for: as its benchmark or experiment says, or what the profile sets instead."""
    changed = dict((profile.get("set-resources") or {}).get(rule) or {})
    if rule in (profile.get("set-threads") or {}):
        changed["threads"] = profile["set-threads"][rule]
    numbers = {name: value for name, value in changed.items() if name in asked.model_fields_set and type(value) is int}
    return asked.model_copy(update=numbers)


def _description(partition: Partition) -> str:
    types = f" ({', '.join(partition.gpu_types)})" if partition.gpu_types else ""
    longest = f"{partition.minutes:.0f} min" if math.isfinite(partition.minutes) else "any time"
    return (
        f"{partition.name}: {longest}, {partition.cpus} CPUs, {partition.memory} MB and "
        f"{partition.gpus} GPUs{types} on its largest node"
    )


def _preemption(partition: Partition) -> Finding:
    mode = partition.preempt_mode
    if "CANCEL" in mode:
        text = f"{partition.name} cancels preempted jobs, which Snakemake would wait for; see docs/cluster.md"
        return Finding("problem", "preemption", text)
    if "REQUEUE" in mode:
        return Finding("works", "preemption", f"{partition.name} puts preempted jobs back into its queue")
    return Finding("works", "preemption", f"{partition.name} ends no job for the sake of another ({mode})")


def _misfits(partition: Partition, asked: JobResources) -> Iterator[str]:
    if asked.gpu > partition.gpus:
        yield f"asks for {asked.gpu} GPU, {partition.name} has {partition.gpus} per node"
    if asked.threads > partition.cpus:
        yield f"asks for {asked.threads} CPUs, {partition.name} has {partition.cpus} per node"
    if asked.mem_mb > partition.memory:
        yield f"asks for {asked.mem_mb} MB, {partition.name} has {partition.memory} per node"
    if asked.runtime > partition.minutes:
        yield f"asks for {asked.runtime} minutes, {partition.name} allows {partition.minutes:.0f}"
