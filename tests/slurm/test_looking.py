"""What the doctor sees of a real cluster."""

from pathlib import Path

import pytest
from cluster import GPUS, MEMORY, Cluster

from m3.config.plan import load_experiment
from m3.doctor.slurm import read_cluster
from m3.doctor.submission import check_submissions
from m3.doctor.trial import try_job


def test_partitions_are_read(cluster: Cluster) -> None:
    found = read_cluster()
    low, high = found.partition("low"), found.partition("high")
    assert low is not None
    assert high is not None
    assert (low.default, low.minutes, low.memory, low.gpus, low.gpu_types) == (True, 1440, MEMORY, GPUS, ("toy",))
    assert (low.preempt_mode, high.preempt_mode, high.default) == ("REQUEUE", "OFF", False)
    assert (found.nodes, found.has_accounting) == (2, False)


def test_what_slurm_would_not_run_is_told_beforehand(cluster: Cluster, tmp_path: Path) -> None:
    """Also of more processors than a node has, which sbatch accepts and lets wait for ever."""
    asked = "{atari100k: {train: {threads: 500}, evaluate: {gpu: 99}}, toy: {train: {mem_mb: 2000000}}}"
    runs = "[{benchmark: atari100k, seeds: 1}, {benchmark: toy}]"
    (tmp_path / "own.yaml").write_text(f"name: own\nruns: {runs}\nresources: {asked}\n")
    plan = load_experiment(tmp_path / "own.yaml")
    findings = list(check_submissions({}, plan))
    assert [finding.subject for finding in findings] == ["atari100k train", "atari100k evaluate", "toy train"]
    assert all("Requested node configuration is not available" in finding.text for finding in findings)
    [finding] = check_submissions({"set-threads": {"train": 2}, "set-resources": {"train": {"mem_mb": 9}}}, plan)
    assert finding.subject == "atari100k evaluate"


def test_a_job_tells_what_it_sees(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.yaml").write_text("name: own\nruns: [{benchmark: toy}]\n")
    plan = load_experiment(tmp_path / "own.yaml")
    monkeypatch.chdir(tmp_path)
    (finding,) = try_job({"default-resources": {"slurm_partition": "high"}}, plan)
    assert finding.level == "works"
    assert cluster.host in finding.text
    (finding,) = try_job({"default-resources": {"slurm_partition": "none"}}, plan)
    assert finding.level == "problem"
    assert "invalid partition" in finding.text.lower()
