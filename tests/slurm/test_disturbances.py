"""What befalls jobs on a cluster, to the runs of one experiment; its results must be those of a quiet one."""

from collections import Counter
from itertools import groupby
from typing import NamedTuple

import pytest
from cluster import GPUS, Cluster, Job, command, wait_until
from drivers import EPOCHS, PROFILE, SEEDS, epochs, logs, start_driver, toy_project, toy_run
from mishaps import Mishaps
from projects import Project

from m3.checks.comparison import run_differences
from m3.files.run_folder import read_resolved

TRAINING = "rule_train_wildcards_toy_"
"""With which the comments of the trainings' jobs begin."""


class Outcome(NamedTuple):
    """Two finished copies of an experiment, and what Slurm says of the first one's jobs."""

    disturbed: Project
    quiet: Project
    cancelled: str
    """The job that was cancelled by hand."""
    jobs: list[Job]
    slurm_log: str


@pytest.fixture(scope="module")
def outcome(cluster: Cluster, mishaps: Mishaps, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Of jobs that were preempted, cancelled or out of time, or lost their node, Slurm's answers or their driver."""
    project, quiet = (toy_project(tmp_path_factory.mktemp(name) / "project") for name in ("disturbed", "quiet"))
    driver, quiet_driver = start_driver(project, *PROFILE, "runs"), start_driver(quiet, "--cores", "3", "runs")
    try:
        wait_until_all_train(cluster, mishaps, project)
        preempt(cluster)
        wait_until_all_train(cluster, mishaps, project)
        lost = lose_a_node(cluster)
        wait_until_all_train(cluster, mishaps, project)
        cluster.set_node(lost.nodes, "resume")
        cluster.stop_answering(seconds=10)
        wait_until_all_train(cluster, mishaps, project)
        cancelled = training_jobs(cluster)[0].number
        command("scancel", cancelled)
        driver.kill()
        driver.wait()
        driver = start_driver(project, *PROFILE, "runs")
        wait_until(lambda: driver.poll() is not None or cluster.start_requeued_jobs(), "the end", seconds=900)
        assert driver.returncode == 0, (project.folder / "driver.log").read_text()
        assert quiet_driver.wait(timeout=900) == 0, (quiet.folder / "driver.log").read_text()
    finally:
        driver.kill()
        quiet_driver.kill()
    slurm_log = (cluster.folder / "slurmctld.log").read_text()
    return Outcome(project, quiet, cancelled, cluster.jobs(), slurm_log)


def training_jobs(cluster: Cluster) -> list[Job]:
    """Those that run."""
    return [job for job in cluster.jobs() if job.comment.startswith(TRAINING) and job.state == "RUNNING"]


def wait_until_all_train(cluster: Cluster, mishaps: Mishaps, project: Project) -> None:
    """Until every run came further than it was."""
    before = [len(epochs(project, seed)) for seed in SEEDS]

    def all_do() -> bool:
        cluster.start_requeued_jobs()
        mishaps.look()
        return all(len(epochs(project, seed)) > had + 3 for seed, had in zip(SEEDS, before, strict=True))

    wait_until(all_do, "every run's training")


def preempt(cluster: Cluster) -> None:
    """By a job that needs all GPUs of a node."""
    command("sbatch", "--partition=high", "--nodes=1", f"--gpus={GPUS}", "--output=/dev/null", "--wrap=true")
    wait_until(lambda: "preempted JobId" in (cluster.folder / "slurmctld.log").read_text(), "a preempted job")


def lose_a_node(cluster: Cluster) -> Job:
    """One on which a run trains."""
    lost = training_jobs(cluster)[0]
    cluster.set_node(lost.nodes, "down")
    wait_until(lambda: lost.number not in {job.number for job in training_jobs(cluster)}, "a job without its node")
    return lost


@pytest.mark.parametrize("seed", SEEDS)
def test_results_are_those_of_a_quiet_experiment(outcome: Outcome, seed: int) -> None:
    first, second = toy_run(outcome.disturbed, seed), toy_run(outcome.quiet, seed)
    settings = read_resolved(next(first.glob("resolved-*.yaml")))
    assert run_differences(first, second, settings) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_has_one_writer_at_a_time_and_goes_on_where_the_last_one_was(outcome: Outcome, seed: int) -> None:
    trained = epochs(outcome.disturbed, seed)
    attempts = [list(lines) for _, lines in groupby(trained, key=lambda epoch: epoch.attempt)]
    assert len({lines[0].attempt for lines in attempts}) == len(attempts) >= 2  # one after the other
    assert all(lines[0].number > 1 for lines in attempts[1:])
    assert attempts[-1][-1].number == EPOCHS


def test_every_disturbance_took_place(outcome: Outcome) -> None:
    assert "has been requeued to reclaim resources" in outcome.slurm_log
    assert "requeue job JobId" in outcome.slurm_log  # of the node that went down
    texts = [text for seed in SEEDS for text in logs(outcome.disturbed, seed).values()]
    assert any("its time budget is used up" in text for text in texts)
    submitted = Counter(job.comment for job in outcome.jobs if job.comment.startswith(TRAINING))
    assert set(submitted.values()) == {2}  # by the second driver too, while the first one's jobs ran


def test_a_job_that_was_cancelled_by_hand_stays_cancelled(outcome: Outcome) -> None:
    assert {job.number: job.state for job in outcome.jobs}[outcome.cancelled] == "CANCELLED"


def test_no_job_outlives_the_experiment_for_long(outcome: Outcome, cluster: Cluster) -> None:
    """Jobs of the first driver end once their runs have."""

    def all_ended() -> bool:
        cluster.start_requeued_jobs()
        jobs = [job for job in cluster.jobs() if job.comment.startswith(TRAINING)]
        return not any(job.state in ("PENDING", "RUNNING", "COMPLETING") for job in jobs)

    wait_until(all_ended, "the end of all jobs")
