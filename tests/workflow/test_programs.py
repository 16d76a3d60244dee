"""A variant's own program beside M3 in one experiment, run by Snakemake."""

import pytest
from projects import Project

EXPERIMENT = """\
name: own
runs: [{benchmark: toy, variants: [theirs], tasks: [image], seeds: 2}]
scores: own
statistics: {repetitions: 50}
"""
VARIANT = """\
label: Theirs
command: python 'agents/an agent; $(x).py' --greeting "don't {panic}"
settings:
  options: {score: 4.0}
"""
PROGRAM = """\
import sys
from pathlib import Path
from m3.files.run_folder import read_resolved
from m3.programs.results import Episodes, Results, write_results

assert sys.argv[1:3] == ["--greeting", "don't {panic}"]
arguments = dict(zip(sys.argv[3::2], sys.argv[4::2]))
settings = read_resolved(Path(arguments["--config"]))
final = Episodes([settings.options["score"] + settings.seed] * int(arguments["--episodes"]), [1] * 10)
evaluations = [(steps, Episodes([1.0], [1])) for steps in (80, 160)]
results = Results(final, agent_steps=160, wall_seconds=0.5, evaluations=evaluations)
write_results(Path(arguments["--run"]), settings, results)
"""
RUN = "results/runs/toy/theirs/image/seed-0"


@pytest.fixture
def own_program(project: Project) -> Project:
    (project.folder / "config/own.yaml").write_text(EXPERIMENT)
    (project.folder / "config/variants/theirs.yaml").write_text(VARIANT)
    (project.folder / "agents").mkdir()
    (project.folder / "agents/an agent; $(x).py").write_text(PROGRAM)
    return project


@pytest.mark.slow
def test_a_program_is_trained_and_shown_as_a_variant_is(own_program: Project) -> None:
    assert own_program.scheduled("runs") == {"resolve image 0": 1, "resolve image 1": 1} | {
        f"run_program image {seed}": 1 for seed in (0, 1)
    } | {"runs": 1}
    result = own_program.snakemake("--cores", "2", "all")
    assert result.returncode == 0, result.stderr
    table = (own_program.folder / "figures/own/toy/table_scores.md").read_text()
    assert "Theirs" in table
    assert "4.5" in table  # the mean of both seeds
    assert (own_program.folder / "figures/own/toy/own_curves.png").stat().st_size > 0
    assert "Nothing to be done" in own_program.snakemake("-n", "all").stdout
    own_program.edit("config/variants/theirs.yaml", "score: 4.0", "score: 5.0")
    assert own_program.scheduled("runs")["run_program image 1"] == 1


def test_a_broken_program_ends_in_one_line(own_program: Project) -> None:
    own_program.edit("agents/an agent; $(x).py", "[1] * 10", "[0] * 10")
    result = own_program.snakemake("--cores", "1", f"{RUN}/scores.h5")
    assert result.returncode != 0
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"run_program failed: error: {RUN}/scores.h5: lengths must be at least 1, got 0 (log: ")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ('"python \'agent.py"', 'command: a quotation mark is not closed in "python \'agent.py"'),
        ('" "', "command: must be a program and its arguments in one line, got ' '"),
    ],
)
def test_a_command_that_is_none_is_refused_before_anything_runs(
    own_program: Project, command: str, expected: str
) -> None:
    (own_program.folder / "config/variants/theirs.yaml").write_text(f"label: Theirs\ncommand: {command}\n")
    result = own_program.snakemake("-n")
    assert result.stderr.splitlines()[1:] == [f"error: config/variants/theirs.yaml: {expected}"]


def test_options_without_a_command_to_read_them_are_refused(own_program: Project) -> None:
    (own_program.folder / "config/variants/theirs.yaml").write_text("label: Theirs\nsettings: {options: {a: 1}}\n")
    result = own_program.snakemake("-n")
    where = "config/variants/theirs.yaml: settings.options"
    assert result.stderr.splitlines()[1:] == [f"error: {where}: variant 'theirs' has no command to read them"]
