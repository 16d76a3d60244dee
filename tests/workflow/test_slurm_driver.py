"""The driver's executor for Slurm, without Slurm; tests/slurm has it on a real one."""

import asyncio
import logging
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from projects import ROOT
from snakemake_executor_plugin_slurm import Executor as PluginExecutor
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from m3.runs.slurm_jobs import SlurmJob

spec = spec_from_file_location("slurm_driver", ROOT / "workflow/slurm_driver.py")
assert spec is not None
assert spec.loader is not None
slurm_driver: Any = module_from_spec(spec)
spec.loader.exec_module(slurm_driver)
REFUSAL = "SLURM sbatch failed. The error message was 'sbatch: error: {}'.\n    sbatch call:\n        sbatch invalid"


class Job(SimpleNamespace):
    """Of one run's training."""

    __hash__ = object.__hash__


class Driver:
    """An executor whose plugin and Slurm do nothing but take notes."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.pauses: list[float] = []
        self.ended: list[str] = []
        self.answers = True
        self.queue: dict[str, SlurmJob] | None = {}
        self.job = Job(name="train", wildcards=["toy", "m3", "image", "0"], output=[str(folder / "weights")])
        self.refused = folder / "rule_train/toy_m3_image_0/refused.log"
        patch.setattr(slurm_driver, "CAUSES", {})
        patch.setattr(slurm_driver, "read_jobs", lambda: self.queue)
        patch.setattr(slurm_driver, "recorded_state", lambda number: "")
        patch.setattr(slurm_driver.threading, "Timer", self._timer)
        patch.setattr(PluginExecutor, "__post_init__", lambda *_: None)
        patch.setattr(PluginExecutor, "report_job_error", lambda _, info, msg, **__: self.ended.append(msg))
        patch.setattr(PluginExecutor, "report_job_success", lambda _, info: self.ended.append("success"))
        patch.setattr(PluginExecutor, "check_active_jobs", lambda _, infos: self._nothing_ended(infos))
        self.executor = slurm_driver.Executor.__new__(slurm_driver.Executor)
        settings = SimpleNamespace(array_jobs="all")
        vars(self.executor).update(
            workflow=SimpleNamespace(executor_settings=settings), wait=True, slurm_logdir=folder, logger=logging
        )
        self.executor.__post_init__()

    def look(self, *numbers: str) -> list[str]:
        """Which of some submitted jobs the executor still waits for after one look at the queue."""

        async def look() -> list[str]:
            infos = [SubmittedJobInfo(self.job, number) for number in numbers]
            return [info.external_jobid async for info in self.executor.check_active_jobs(infos)]

        return asyncio.run(look())

    def refuse(self, reason: str) -> None:
        self.executor.report_job_error(SubmittedJobInfo(self.job), REFUSAL.format(reason))

    def _timer(self, pause: float, function: object, arguments: list[Any]) -> SimpleNamespace:
        assert arguments == [self.job]
        self.pauses.append(pause)
        return SimpleNamespace(start=lambda: None)

    async def _nothing_ended(self, infos: list[SubmittedJobInfo]) -> Any:
        for info in infos if self.answers else ():
            yield info


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    return Driver(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "reason",
    [
        "Batch job submission failed: Socket timed out on send/recv operation",
        "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
    ],
)
def test_what_slurm_does_not_take_at_the_moment_is_submitted_ever_more_rarely(driver: Driver, reason: str) -> None:
    for _ in range(12):
        driver.refuse(reason)
    assert driver.pauses == [10, 20, 40, 80, 160, 300, 300, 300, 300, 300, 300, 300]
    assert driver.ended == []
    driver.refuse(reason)
    assert len(driver.ended) == 1
    assert driver.refused.read_text() == f"Slurm refused its job (train toy m3 image 0): {reason}\n"


@pytest.mark.parametrize(
    "reason",
    ["Invalid partition name specified", "Requested node configuration is not available", "Invalid account or other"],
)
def test_what_slurm_will_never_take_fails_at_once(driver: Driver, reason: str) -> None:
    driver.refuse(f"Batch job submission failed: {reason}")
    assert (len(driver.ended), driver.pauses) == (1, [])
    assert driver.refused.exists()


def test_no_job_is_lost_while_slurm_does_not_answer(driver: Driver) -> None:
    driver.queue, driver.answers = None, False
    assert driver.look("7", "8") == ["7", "8"]


def test_a_job_that_slurm_has_forgotten_ends_by_its_files(driver: Driver) -> None:
    """Not one that Slurm misses once, nor while Slurm does not answer."""
    assert driver.look("7") == ["7"]
    driver.queue = None
    assert driver.look("7") == ["7"]
    driver.queue = {}
    assert driver.look("7") == []
    [told] = driver.ended
    assert "Slurm has forgotten it, and it left no results" in told
    Path(driver.job.output[0]).touch()
    assert driver.look("8") == ["8"]
    assert driver.look("8") == []
    assert driver.ended[1:] == ["success"]


@pytest.mark.parametrize("state", ["RUNNING", "COMPLETED", "TIMEOUT"])
def test_accounting_knows_better(driver: Driver, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setattr(slurm_driver, "recorded_state", lambda number: state)
    driver.look("7")
    assert driver.look("7") == (["7"] if state == "RUNNING" else [])
    assert [word for word in driver.ended if word == "success"] == ["success"] * (state == "COMPLETED")


def test_a_job_that_never_starts_is_told_once(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    """Of a reason that Slurm gives at first, and no longer at the next look, nothing is said."""
    held = "launch failed requeued held"
    for reason in ("Priority", "PartitionConfig", *["PartitionTimeLimit"] * 3, held, held):
        driver.queue = {"7": SlurmJob("7", "PENDING", reason, "", "")}
        driver.look("7")
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "Slurm job 7 never starts (PartitionTimeLimit): more time than the cluster allows: lower `runtime`",
        "Slurm job 7 never starts (launch failed requeued held): held: once the cause is gone, `scontrol release 7` "
        "lets it start",
    ]
