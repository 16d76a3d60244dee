"""What the doctor sees of a real cluster."""

from pathlib import Path

import pytest
from cluster import GPUS, MEMORY, Cluster

from m3.config.plan import load_experiment
from m3.doctor.slurm import read_cluster
from m3.doctor.trial import try_job


def test_partitions_are_read(cluster: Cluster) -> None:
    found = read_cluster()
    low, high = found.partition("low"), found.partition("high")
    assert low is not None
    assert high is not None
    assert (low.default, low.minutes, low.memory, low.gpus, low.gpu_types) == (True, 1440, MEMORY, GPUS, ("toy",))
    assert (low.preempt_mode, high.preempt_mode, high.default) == ("REQUEUE", "OFF", False)
    assert (found.nodes, found.has_accounting) == (1, False)


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
