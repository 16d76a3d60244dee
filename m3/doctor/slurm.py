"""What a Slurm cluster says of itself."""

import math
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from m3.errors import UserError

_SINFO_SECONDS = 30


@dataclass(frozen=True)
class Partition:
    """A partition, by its largest nodes: a job has to fit on one of them."""

    name: str
    default: bool
    minutes: float
    """Longest time of a job; infinite without a limit."""
    cpus: int
    memory: int
    """Megabytes."""
    gpus: int
    gpu_types: tuple[str, ...]
    """Names that a job may ask for; empty where GPUs have none."""
    preempt_mode: str
    """REQUEUE, CANCEL, SUSPEND, GANG, OFF, or several of them."""


@dataclass(frozen=True)
class Cluster:
    """A cluster's settings and partitions."""

    settings: Mapping[str, str]
    """As in slurm.conf."""
    partitions: tuple[Partition, ...]
    nodes: int

    @property
    def has_accounting(self) -> bool:
        """Whether sacct knows the jobs that have ended."""
        return "slurmdbd" in self.settings.get("AccountingStorageType", "")

    def partition(self, name: str | None) -> Partition | None:
        """Find the partition of a name, or without one, the default partition; none if there is no such partition."""
        return next((p for p in self.partitions if (p.name == name if name else p.default)), None)


def read_cluster() -> Cluster:
    """Ask about the cluster that this machine submits jobs to.

    Raises:
        UserError: there is none, or it does not answer.
    """
    settings = dict(re.findall(r"^(\w+) *= (.*?) *$", _ask("scontrol", "show", "config"), re.M))
    modes = dict(re.findall(r"PartitionName=(\S+) .*PreemptMode=(\S+)", _ask("scontrol", "show", "partition", "-o")))
    lines = [
        line.split("|") for line in _ask("sinfo", "--noheader", "--Node", "--format=%P|%l|%c|%m|%G|%N").splitlines()
    ]
    names = dict.fromkeys(line[0] for line in lines)
    return Cluster(
        settings=settings,
        partitions=tuple(_partition(name, [line[1:5] for line in lines if line[0] == name], modes) for name in names),
        nodes=len({line[5] for line in lines}),
    )


def _partition(name: str, nodes: list[list[str]], modes: Mapping[str, str]) -> Partition:
    gpus = [re.findall(r"gpu:(?:([^:(),]+):)?(\d+)", node[3]) for node in nodes]
    return Partition(
        name=name.rstrip("*"),
        default=name.endswith("*"),
        minutes=minutes(nodes[0][0]),
        cpus=max(int(node[1].rstrip("+")) for node in nodes),
        memory=max(int(node[2].rstrip("+")) for node in nodes),
        gpus=max(sum(int(number) for _, number in found) for found in gpus),
        gpu_types=tuple(sorted({kind for found in gpus for kind, _ in found if kind})),
        preempt_mode=modes.get(name.rstrip("*"), ""),
    )


def minutes(text: str) -> float:
    """Read a time as Slurm writes it, "days-hours:minutes:seconds" or parts of that."""
    if not text[:1].isdigit():
        return math.inf  # "infinite", "UNLIMITED"
    days, _, clock = text.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    hours, minute, second = ([0, 0, *parts] if len(parts) < 3 else parts)[-3:]
    return int(days or 0) * 1440 + hours * 60 + minute + second / 60


def _ask(*command: str) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SINFO_SECONDS)
    except FileNotFoundError as error:
        raise UserError(f"{command[0]} is not installed here: call this where you would call sbatch") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{' '.join(command)}: Slurm did not answer within {_SINFO_SECONDS} s") from error
    if result.returncode != 0:
        raise UserError(f"{' '.join(command)}: {(result.stderr.strip() or 'failed').splitlines()[-1]}")
    return result.stdout
