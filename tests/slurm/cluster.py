"""A real Slurm of two nodes on this machine: munged, slurmctld and two slurmd."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil

CONFIG = Path("/etc/slurm/slurm.conf")
"""Slurm finds its configuration only here: jobs run with a clean environment, without SLURM_CONF."""
MARK = "# Written by the tests of M3."
NAME = "m3-test"
NODES = ("m3-test-1", "m3-test-2")
FIRST_PORT = 17_001
"""Of the nodes' daemons, which share the machine's address."""
CPUS = 32
"""Of each node, as Slurm is told: the jobs do so little that many of them share the machine's processors."""
MEMORY = 128_000
"""Megabytes of each node, as Slurm is told."""
GPUS = 4
"""Of each node."""
START_AFTER_SECONDS = 5.0
"""Slurm fails a requeued job that starts while it still cleans up after the job's last start."""

SLURM_CONF = """\
{mark}
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
MaxArraySize=1
MinJobAge={remembers}
MessageTimeout=100
KillWait=10
OverTimeLimit=10
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
{nodes}
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 MaxTime=1-00:00:00 LLN=YES
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF MaxTime=1-00:00:00
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory} "
    "Gres=gpu:toy:{gpus} State=UNKNOWN"
)
REMEMBERS_SECONDS = 120
"""How long Slurm tells of jobs that have ended."""


class Job(NamedTuple):
    """A job as squeue tells it."""

    number: str
    state: str
    reason: str
    nodes: str
    comment: str
    """The plugin's: the rule and its wildcards."""


class Cluster:
    """Runs while the block does. Its GPUs are plain files.

    Args:
        folder: for Slurm's state and logs.

    Raises:
        RuntimeError: packages or rights are missing, or the machine belongs to a cluster already.
    """

    def __init__(self, folder: Path) -> None:
        missing = [name for name in ("slurmctld", "slurmd", "munged") if shutil.which(name) is None]
        if missing or os.geteuid() != 0:
            raise RuntimeError(f"needs root and the packages slurm-wlm and munge; missing: {missing}")
        if CONFIG.exists() and MARK not in CONFIG.read_text():
            raise RuntimeError(f"{CONFIG} is that of another cluster")
        self.folder = folder
        self.host = os.uname().nodename.partition(".")[0]
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._ended: dict[str, float] = {}
        """Requeued jobs, and when nothing was left of them."""
        self._seen: dict[str, Job] = {}

    def __enter__(self) -> "Cluster":
        self._configure()
        if subprocess.run(["munge", "--no-input"], capture_output=True, check=False).returncode != 0:
            self._start("munged", "--foreground", user="munge")
        self._start("slurmctld", "-D", "-c")
        for node in NODES:
            self._start("slurmd", "-D", "-c", "-N", node)
        wait_until(lambda: command("sinfo", "--noheader", "--Node", "--format=%T").count("idle") == 4, "idle nodes")
        return self

    def __exit__(self, *error: object) -> None:
        command("scancel", "--user=root")
        wait_until(
            lambda: not any(job.state in ("RUNNING", "COMPLETING") for job in self.jobs()), "the end of all jobs"
        )
        _kill_left_over_processes()
        for name in reversed(list(self._daemons)):
            self._stop(name)
        CONFIG.unlink()

    def jobs(self) -> list[Job]:
        """All jobs, also those that have ended, as they were seen last."""
        self._seen |= {job.number: job for job in self.jobs_now()}
        return list(self._seen.values())

    @staticmethod
    def jobs_now() -> list[Job]:
        """All jobs that Slurm has not forgotten."""
        lines = command("squeue", "--noheader", "--states=all", "--format=%i|%T|%r|%N|%k").splitlines()
        return [Job(*line.split("|", maxsplit=4)) for line in lines]

    def start_requeued_jobs(self) -> None:
        """Some seconds after the last of their processes has ended; by itself, Slurm would wait for two minutes."""
        processes, now = command("ps", "-e", "-o", "args"), time.monotonic()
        requeued = [job.number for job in self.jobs() if (job.state, job.reason) == ("PENDING", "BeginTime")]
        ended = [number for number in requeued if f"slurmstepd: [{number}." not in processes]
        self._ended = {number: self._ended.get(number, now) for number in ended}
        for number, since in self._ended.items():
            if now - since > START_AFTER_SECONDS:
                command("scontrol", "update", f"jobid={number}", "starttime=now")

    @staticmethod
    def set_node(node: str, state: str) -> None:
        command("scontrol", "update", f"nodename={node}", f"state={state}", "reason=test")

    def stop_answering(self, seconds: float) -> None:
        """Its controller is gone for so long; jobs go on."""
        self._stop(next(name for name in self._daemons if name.startswith("slurmctld")))
        time.sleep(seconds)
        self._start("slurmctld", "-D")
        wait_until(self.jobs, "an answer of Slurm")

    def _configure(self) -> None:
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(GPUS):
            (self.folder / f"gpu{index}").touch()
        CONFIG.parent.mkdir(exist_ok=True)
        size = {"host": self.host, "cpus": CPUS, "gpus": GPUS, "memory": MEMORY}
        nodes = "\n".join(NODE.format(name=name, port=FIRST_PORT + n, **size) for n, name in enumerate(NODES))
        values = {"name": NAME, "host": self.host, "folder": self.folder, "mark": MARK, "remembers": REMEMBERS_SECONDS}
        CONFIG.write_text(SLURM_CONF.format(nodes=nodes, **values))
        CONFIG.with_name("gres.conf").write_text(f"Name=gpu Type=toy File={self.folder}/gpu[0-{GPUS - 1}]\n")

    def _start(self, *arguments: str, user: str | None = None) -> None:
        if user is not None:
            socket = Path("/run/munge")
            socket.mkdir(exist_ok=True)
            shutil.chown(socket, user, user)
        name = " ".join(arguments)
        with open(self.folder / f"{name}.out", "wb") as output:
            self._daemons[name] = subprocess.Popen(arguments, stdout=output, stderr=output, user=user, group=user)

    def _stop(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.terminate()
        daemon.wait(timeout=30)


def _kill_left_over_processes() -> None:
    """Slurm knows a job's processes by their parents, and loses those whose parent has ended."""
    for process in psutil.process_iter(["environ"]):
        if (process.info["environ"] or {}).get("SLURM_CLUSTER_NAME") == NAME:
            process.kill()


def command(*arguments: str) -> str:
    """What a command of Slurm says; nothing where it fails, as it may while daemons start or jobs end."""
    return subprocess.run(arguments, capture_output=True, text=True, check=False).stdout


def wait_until(condition: Callable[[], object], what: str, seconds: float = 900.0) -> None:
    """Poll until a condition holds. Raises TimeoutError that says what was missing."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.5)
