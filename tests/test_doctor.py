"""What is found out about a cluster before it is used."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from m3.cli import main
from m3.config.plan import Plan, load_experiment
from m3.doctor import machine
from m3.doctor.checks import check_files, check_jobs, check_python, check_settings
from m3.doctor.slurm import Cluster, Partition, minutes

GPU = Partition("gpu", True, 2880, 64, 256_000, 4, ("a100",), "REQUEUE")
SETTINGS = {"AccountingStorageType": "accounting_storage/slurmdbd", "MinJobAge": "300 sec", "KillWait": "30 sec"}
GOOD = Cluster(SETTINGS, (GPU, replace(GPU, name="cpu", default=False, gpus=0, gpu_types=())), nodes=10)
PROFILE = {"slurm-requeue": True, "retries": 0, "default-resources": None}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "own.yaml").write_text("name: own\nruns: [{benchmark: atari100k, seeds: 1}]\n")
    return load_experiment(tmp_path / "own.yaml")


def problems(cluster: Cluster, plan: Plan, profile: Mapping[str, Any] = PROFILE) -> dict[str, str]:
    findings = [*check_settings(cluster, profile), *check_jobs(cluster, profile, plan)]
    return {finding.subject: finding.text for finding in findings if finding.level == "problem"}


def test_a_good_cluster_has_no_problem(plan: Plan) -> None:
    assert problems(GOOD, plan) == {}


@pytest.mark.parametrize(
    ("change", "subject", "advice"),
    [
        ({"preempt_mode": "CANCEL"}, "preemption", "docs/cluster.md"),
        ({"default": False}, "partition", "set slurm_partition in the profile to one of gpu, cpu"),
        ({"minutes": 60}, "atari100k train", "asks for 1440 minutes, gpu allows 60"),
        ({"gpus": 0}, "atari100k train", "asks for 1 GPU, gpu has 0 per node"),
        ({"memory": 16_000}, "atari100k train", "asks for 32000 MB, gpu has 16000 per node"),
        ({"cpus": 2}, "atari100k train", "asks for 4 CPUs, gpu has 2 per node"),
    ],
)
def test_what_does_not_fit_the_partition_is_told(plan: Plan, change: dict[str, Any], subject: str, advice: str) -> None:
    cluster = replace(GOOD, partitions=(replace(GPU, **change), GOOD.partitions[1]))
    assert advice in problems(cluster, plan)[subject]


def test_the_profiles_partition_counts(plan: Plan) -> None:
    profile = PROFILE | {"default-resources": {"slurm_partition": "cpu"}}
    assert "cpu has 0 per node" in problems(GOOD, plan, profile)["atari100k train"]
    profile = PROFILE | {"default-resources": {"slurm_partition": "gpus"}}
    assert "there is no gpus" in problems(GOOD, plan, profile)["partition"]


def test_without_accounting_squeue_has_to_remember_jobs(plan: Plan) -> None:
    cluster = replace(GOOD, settings=SETTINGS | {"AccountingStorageType": "accounting_storage/none"})
    assert "set slurm-status-command: squeue" in problems(cluster, plan)["accounting"]
    profile = PROFILE | {"slurm-status-command": "squeue"}
    assert problems(cluster, plan, profile) == {}
    forgetful = replace(cluster, settings={**cluster.settings, "MinJobAge": "60 sec"})
    assert "after 60 s (MinJobAge)" in problems(forgetful, plan, profile)["accounting"]


def test_restarts_have_one_owner(plan: Plan) -> None:
    assert "set retries: 0" in problems(GOOD, plan, PROFILE | {"retries": 3})["restarts"]


def test_packages_are_compared_with_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("# exact\nnumpy==0.1\nno-such-package==1.0\n")
    texts = {finding.level: finding.text for finding in check_python(lock)}
    assert "missing: no-such-package" in texts["problem"]
    assert "for 0.1" in texts["note"]


def test_the_folder_is_looked_at(tmp_path: Path) -> None:
    subjects = {finding.subject for finding in check_files(tmp_path, runs=1, nodes=1)}
    assert subjects == {"file system", "locks", "disk"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1-12:30:00", 2190), ("04:00:00", 240), ("30:00", 30), ("UNLIMITED", math.inf), ("infinite", math.inf)],
)
def test_times_as_slurm_writes_them(text: str, expected: float) -> None:
    assert minutes(text) == expected


def test_without_slurm_the_machine_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    assert main(["doctor"]) in (0, 2)
    lines = capsys.readouterr().out.splitlines()
    subjects = {line[9:].partition(":")[0] for line in lines[:-1]}
    wanted = {"Python", "threads", "memory", "disk", "EGL", "LPIPS files for Atari"}
    assert wanted | {"atari100k", "dmc500k", "craftax1m"} <= subjects
    assert any(line.startswith("note     LPIPS files for Atari: vgg16-397923af.pth and lpips") for line in lines)
    assert lines[-1] in ("ready for m3 train", "1 problem") or lines[-1].endswith(" problems")


def test_the_machines_figures_are_those_of_the_pages() -> None:
    root = Path(__file__).parents[1]
    days = re.findall(
        r"^\| (?:Atari|DMC walker|Craftax) \|.* (\d+) days \|$", (root / "BENCHMARKS.md").read_text(), re.M
    )
    assert [int(day) for day in days] == list(machine.CPU_DAYS.values())
    row = re.search(r"^\| GPU-hours per run.*$", (root / "docs/cluster.md").read_text(), re.M)
    assert row is not None
    assert all(hours in row[0] for hours in machine.GPU_HOURS.values())
