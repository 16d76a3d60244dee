"""Which jobs Snakemake schedules after which change; from its dry runs."""

import base64
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from projects import Project, run_jobs

EVERY_RUN = run_jobs("Breakout", 0) + run_jobs("Breakout", 1) + run_jobs("Pong", 0) + run_jobs("Pong", 1)
TARGET = Counter(runs=1)
ONE_GAME = "overrides: [{where: {task: Pong}, set: {controller: {discount: 0.9}}}]\n"


def test_a_fresh_project_runs_everything_once(project: Project) -> None:
    assert project.scheduled("runs") == EVERY_RUN + TARGET


def test_a_finished_experiment_has_nothing_to_do(finished: Project) -> None:
    assert finished.scheduled("runs") == Counter()


def test_a_hyper_parameter_of_one_game_schedules_that_games_runs(finished: Project) -> None:
    finished.edit("config/own.yaml", "runs:", ONE_GAME + "runs:")
    assert finished.scheduled("runs") == run_jobs("Pong", 0) + run_jobs("Pong", 1) + TARGET


def test_a_hyper_parameter_of_a_benchmark_schedules_that_benchmarks_runs(finished: Project) -> None:
    finished.edit("config/benchmarks/dmc500k.yaml", "heads: 3", "heads: 2")
    assert finished.scheduled("runs") == Counter()
    finished.edit("config/benchmarks/atari100k.yaml", "epsilon: 0.01", "epsilon: 0.02")
    assert finished.scheduled("runs") == EVERY_RUN + TARGET


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("config/own.yaml", "runs:", "# a comment\nruns:"),
        ("config/benchmarks/atari100k.yaml", "label: Atari 100K", "label: ALE"),
        ("config/variants/tiny.yaml", "label: M3 tiny", "label: Tiny"),
        ("config/own.yaml", "runs:", "resources: {atari100k: {train: {mem_mb: 1, gpu: 3}}}\nruns:"),
        ("config/own.yaml", "runs:", "statistics: {repetitions: 10}\nruns:"),
        ("m3/analysis/style.py", 'INK = "#222222"', 'INK = "#000000"'),
        ("m3/world_model/__init__.py", '"""', '"""Another docstring: '),
        ("workflow/rules/runs.smk", "# One run", "# A run"),
    ],
)
def test_what_does_not_change_training_schedules_nothing(finished: Project, file: str, old: str, new: str) -> None:
    finished.edit(file, old, new)
    assert finished.scheduled("runs") == Counter()


def test_more_episodes_evaluate_again_without_training(finished: Project) -> None:
    finished.edit("config/own.yaml", "runs:", "final_episodes: 7\nruns:")
    evaluations = Counter(job for job in EVERY_RUN if job.startswith("evaluate"))
    assert finished.scheduled("runs") == evaluations + TARGET


def note_as_begun(project: Project, file: Path) -> None:
    """As a driver that is killed before it notes that the job has ended."""
    name = base64.b64encode(str(file.relative_to(project.folder)).encode(), b"_-").decode()
    notes = project.folder / ".snakemake/incomplete"
    notes.mkdir(exist_ok=True)
    (notes / name).touch()


def test_what_a_killed_driver_did_not_see_end_is_complete(finished: Project) -> None:
    for file in finished.run_folder("Breakout", 0).iterdir():
        note_as_begun(finished, file)
    assert finished.scheduled("runs") == Counter()


def test_a_run_whose_settings_a_killed_driver_had_begun_is_trained(finished: Project) -> None:
    """Snakemake leaves out the jobs after an input that is ancient, is there, and is made again."""
    run = finished.run_folder("Breakout", 0)
    for name in ("weights.safetensors", "metrics.h5", "scores.h5"):
        (run / name).unlink()
    [settings] = run.glob("resolved-*.yaml")
    note_as_begun(finished, settings)
    assert finished.scheduled("runs") == Counter({"train Breakout 0": 1, "evaluate Breakout 0": 1}) + TARGET


def test_a_new_seed_and_a_new_game_schedule_just_their_runs(finished: Project) -> None:
    finished.edit("config/own.yaml", "seeds: 2", "seeds: 3")
    new_seed = run_jobs("Breakout", 2) + run_jobs("Pong", 2)
    assert finished.scheduled("runs") == new_seed + TARGET
    finished.edit("config/own.yaml", "Pong]", "Pong, Alien]")
    new_game = run_jobs("Alien", 0) + run_jobs("Alien", 1) + run_jobs("Alien", 2)
    assert finished.scheduled("runs") == new_seed + new_game + TARGET


def test_a_moved_folder_without_snakemakes_records_trains_nothing(finished: Project, tmp_path: Path) -> None:
    shutil.rmtree(finished.folder / ".snakemake")
    moved = Project(finished.folder.rename(tmp_path / "moved"))
    assert moved.scheduled("runs") == Counter()


def test_files_copied_in_any_order_train_nothing(finished: Project) -> None:
    shutil.rmtree(finished.folder / ".snakemake")
    for settings in finished.folder.glob("results/runs/**/resolved-*.yaml"):
        settings.touch()
    assert finished.scheduled("runs") == Counter()


@pytest.mark.parametrize("target", ["runs", "results/runs/atari100k/tiny/Pong/seed-0/scores.h5"])
def test_changed_settings_are_noticed_without_snakemakes_records(finished: Project, target: str) -> None:
    shutil.rmtree(finished.folder / ".snakemake")
    finished.edit("config/own.yaml", "runs:", ONE_GAME + "runs:")
    jobs = finished.scheduled(target)
    jobs.pop("runs", None)
    assert jobs == run_jobs("Pong", 0) + (run_jobs("Pong", 1) if target == "runs" else Counter())


def test_other_settings_leave_no_results_of_the_old_ones_behind(finished: Project) -> None:
    """Also when the workflow ends between writing settings and training."""
    finished.edit("config/own.yaml", "runs:", ONE_GAME + "runs:")
    result = finished.snakemake("--cores", "2", "runs", "--until", "resolve")
    assert result.returncode == 0, result.stderr
    left = {path.name for path in finished.run_folder("Pong", 0).iterdir()}
    assert not left & {"weights.safetensors", "metrics.h5", "scores.h5"}
    assert len([name for name in left if name.startswith("resolved-")]) == 1
    assert finished.scheduled("runs")["train Pong 0"] == 1
    assert (finished.run_folder("Breakout", 0) / "scores.h5").exists()


def test_a_diagnosis_is_made_where_it_is_missing_and_trains_nothing(finished: Project) -> None:
    shutil.rmtree(finished.run_folder("Pong", 1))
    (finished.run_folder("Pong", 0) / "diagnosis.h5").touch()
    (finished.run_folder("Pong", 0) / "weights.safetensors").unlink()  # as runs are committed
    jobs = finished.scheduled("diagnosis", "--config", "partial=true")
    made = Counter({f"diagnose Breakout {seed}": 1 for seed in range(2)})
    assert jobs == made + Counter(diagnosis_own_atari100k=1, diagnosis=1)
    assert finished.scheduled("diagnosis")["train Pong 1"] == 1


def test_runs_of_other_settings_are_not_finished(finished: Project) -> None:
    finished.edit("config/own.yaml", "runs:", ONE_GAME + "runs:")
    for target in ("aggregates", "diagnosis"):
        jobs = finished.scheduled(target, "--config", "partial=true")
        assert not [job for job in jobs if job.startswith(("resolve", "train")) or "Pong" in job]


def test_figures_of_a_partial_experiment_take_the_finished_runs(finished: Project) -> None:
    (finished.run_folder("Pong", 1) / "scores.h5").unlink()
    assert finished.scheduled("aggregates")["evaluate Pong 1"] == 1
    jobs = finished.scheduled("aggregates", "--config", "partial=true")
    assert jobs == Counter(collect=1, aggregate=1, aggregates=1)


def test_the_papers_figures_need_no_run(project: Project) -> None:
    rules = {job.split()[0] for job in project.scheduled("paper_figures", configfile="config/paper.yaml")}
    assert not rules & {"resolve", "train", "evaluate"}


def test_the_papers_figures_are_made_where_only_the_figures_exist(project: Project) -> None:
    """As in a fresh clone, which has the figures but not the statistics behind them."""
    plan = project.snakemake("-n", "paper_figures", configfile="config/paper.yaml").stdout
    for file in re.findall(r"figures/\S+\.(?:pdf|png|tex|md|csv|html)", plan):
        path = project.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    jobs = project.scheduled("paper_figures", configfile="config/paper.yaml")
    assert jobs["aggregate"] == 3
    assert jobs["figures_published_atari100k"] == 1


def test_the_paper_trains_every_task_with_five_seeds(project: Project) -> None:
    jobs = project.scheduled(configfile="config/paper.yaml")
    assert sum(count for job, count in jobs.items() if job.startswith("train ")) == 225


def test_a_command_that_leaves_out_a_training_does_not_end_as_if_all_were_done(finished: Project) -> None:
    """Snakemake plans nothing after settings that it makes again and that are there already."""
    run = finished.run_folder("Pong", 1)
    for name in ("weights.safetensors", "metrics.h5", "scores.h5"):
        (run / name).unlink()
    result = finished.snakemake("--cores", "1", "runs", "--forcerun", "resolve")
    assert result.returncode == 1
    assert "error: one file is still missing" in result.stderr
    assert f"{run.relative_to(finished.folder)}/scores.h5 for one: " in result.stderr
    assert finished.snakemake("--cores", "1", "runs").returncode == 0
    assert (run / "scores.h5").exists()
