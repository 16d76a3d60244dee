"""Names that a shell would execute, in a real run of Snakemake."""

from projects import EXPERIMENT, Project

MARK = "executed"
HOSTILE = f"a b $(touch {MARK}) `touch {MARK}`;touch {MARK}&'\"("


def test_jobs_run_from_a_folder_with_a_hostile_name(project: Project) -> None:
    (project.folder / HOSTILE).mkdir()
    (project.folder / HOSTILE / "own.yaml").write_text(EXPERIMENT)
    scores = project.run_folder("Pong", 0) / "scores.h5"
    target = str(scores.relative_to(project.folder))
    result = project.snakemake("--cores", "1", target, configfile=f"{HOSTILE}/own.yaml")
    assert result.returncode == 0, result.stderr
    assert scores.exists()
    assert not list(project.folder.rglob(MARK))


def test_an_experiment_of_a_hostile_name_is_refused(project: Project) -> None:
    (project.folder / "config" / f"{HOSTILE}.yaml").write_text(EXPERIMENT)
    result = project.snakemake("--cores", "1", configfile=f"config/{HOSTILE}.yaml")
    assert result.returncode == 1
    assert "the file's name must begin with a letter or digit" in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not list(project.folder.rglob(MARK))
