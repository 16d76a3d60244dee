"""What a user sees when something is wrong: in the configuration, and in a job."""

import pytest
from projects import Project

CAUSE = "error: the game does not start"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("Pong", "Pnog", "runs[0].tasks[1]: unknown task of atari100k 'Pnog': did you mean 'Pong'?"),
        ("variants", "varients", "runs[0]: unknown key 'varients': did you mean 'variants'?"),
        (
            "runs:",
            "overrides: [{where: {}, set: {controller: {schedule: {batch_size: -8}}}}]\nruns:",
            "overrides[0].set.controller.schedule.batch_size: must be greater than 0, got -8",
        ),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line(project: Project, old: str, new: str, expected: str) -> None:
    project.edit("config/own.yaml", old, new)
    result = project.snakemake("-n")
    assert result.returncode != 0
    assert result.stderr.splitlines()[1:] == [f"error: config/own.yaml: {expected}"]  # after the profile's name


def test_a_run_that_does_not_exist_is_named(project: Project) -> None:
    result = project.snakemake("-n", "results/runs/atari100k/tiny/Pnog/seed-0/scores.h5")
    assert result.returncode != 0
    assert "did you mean 'atari100k/tiny/Pong/seed-0'" in result.stderr.splitlines()[-1]


def test_a_failed_job_ends_with_its_cause_and_every_attempts_log_survives(project: Project) -> None:
    project.edit("m3/cli/train.py", "print(", f'raise OSError("{CAUSE.removeprefix("error: ")}")\n    print(')
    target = "results/runs/atari100k/tiny/Pong/seed-0/scores.h5"
    for attempt in (1, 2):
        result = project.snakemake("--cores", "1", target)
        assert result.returncode != 0
        last = result.stderr.splitlines()[-1]
        assert last == f"train failed: {CAUSE} (log: logs/train/atari100k/tiny/Pong/seed-0.log)"
        logs = list((project.run_folder("Pong", 0) / "logs").glob("train-*.log"))
        assert len(logs) == attempt
        assert all(log.read_text().strip() == CAUSE for log in logs)


def test_jobs_without_a_gpu_are_kept_off_it(finished: Project) -> None:
    log = finished.folder / "logs/train/atari100k/tiny/Pong/seed-0.log"
    assert log.read_text().endswith("auto\n")
    finished.edit("config/own.yaml", "runs:", "resources: {atari100k: {train: {gpu: 0}}}\nruns:")
    result = finished.snakemake("--cores", "1", "runs", "--forcerun", "train")
    assert result.returncode == 0, result.stderr
    assert log.read_text().endswith("cpu\n")
