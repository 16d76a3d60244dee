"""What a cluster does to jobs that cannot run; nobody is left to wonder."""

import re

import pytest
from mishaps import Mishaps

from m3.cli import main


@pytest.fixture
def lines(mishaps: Mishaps, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The line of each benchmark's run in `m3 status`, while the driver stands still."""
    monkeypatch.chdir(mishaps.project.folder)
    assert main(["status", "config/own.yaml"]) == 0
    return dict(re.findall(r"^(\w+)/m3/image/seed-0 +(.*)$", capsys.readouterr().out, re.M))


def test_status_says_why_runs_wait_or_failed(lines: dict[str, str]) -> None:
    for benchmark, words in (
        ("slow", r"waiting .* Slurm job \d+ never starts \(PartitionTimeLimit\): .* lower `runtime`"),
        ("big", r"waiting .* Slurm job \d+ never starts \(PartitionConfig\): .* lower the request"),
        ("held", r"waiting .* Slurm job \d+ never starts \(JobHeldUser\): .*`scontrol release \d+`"),
        ("small", r"failed .* out of memory: .*rule_train/small_m3_image_0/\d+\.log"),
        ("greedy", r"failed .* Slurm refused its job .*: Requested node configuration is not available"),
    ):
        assert re.match(words, lines[benchmark]), lines[benchmark]


def test_a_driver_that_stood_still_ends_all_the_same(mishaps: Mishaps) -> None:
    """Slurm has forgotten meanwhile how jobs ended. It says what is the matter with those that wait."""
    mishaps.go_on()
    mishaps.end()
    log = mishaps.log()
    assert mishaps.driver.returncode == 1, log
    assert re.search(
        r"train fine m3 image 0: Slurm did not take its job \(.*Socket timed out.*tries again in 10 s", log
    )
    assert len(re.findall(r"never starts", log)) == 3
    causes = re.findall(r"^train failed: (.*)$", log, re.M)
    assert sum("out of memory" in cause for cause in causes) == 1, causes
    assert sum("Slurm refused its job (train greedy m3 image 0)" in cause for cause in causes) == 1, causes
    assert len(causes) == 5, causes
    assert mishaps.weights.with_name("scores.h5").exists()
