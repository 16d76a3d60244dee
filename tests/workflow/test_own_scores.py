"""Scores in CSV files, through the workflow: into every figure and table, or one line on what is wrong with them."""

import subprocess
import sys

import pytest
from projects import Project

EXPERIMENT = """\
name: compare
runs: []
scores: published
published: [M3, DIAMOND, TD-MPC2]
score_files: [mine.csv]
statistics: {repetitions: 50, band_repetitions: 20}
"""
SCORES = "method,task,seed,steps,score\n" + "".join(
    f"Mine,{task},{seed},{steps},{steps / 10_000 + seed}\n"
    for task in ("Pong", "Breakout")
    for seed in (0, 1)
    for steps in (50_000, 100_000)
)


@pytest.mark.slow
def test_my_method_is_in_the_figures_and_tables_without_training(real_project: Project) -> None:
    folder = real_project.folder
    (folder / "config/compare.yaml").write_text(EXPERIMENT)
    (folder / "mine.csv").write_text(SCORES)
    result = real_project.snakemake("--cores", "2", "figures", "tables", configfile="config/compare.yaml")
    assert result.returncode == 0, result.stderr
    figures = folder / "figures/compare/atari100k"
    assert (figures / "iqm.pdf").stat().st_size > 0
    for table in ("table_scores.md", "table_aggregates.csv"):
        text = (figures / table).read_text()
        assert "Mine" in text
        assert "DIAMOND" in text
        assert "IRIS" not in text
    assert not (folder / "results/compare/craftax1m").exists()

    verify = [sys.executable, "-m", "m3", "verify", "figures/compare/atari100k/iqm.pdf"]
    assert subprocess.run(verify, cwd=folder, check=False).returncode == 0
    again = real_project.snakemake("--cores", "2", "figures", "tables", configfile="config/compare.yaml")
    assert "Nothing to be done" in again.stderr + again.stdout

    (folder / "mine.csv").write_text(SCORES.replace("Mine,Pong,0,100000,10.0", "Mine,Pong,0,100000,11.0"))
    changed = subprocess.run(verify, cwd=folder, check=False, capture_output=True, text=True)
    assert changed.returncode == 1
    assert "score of Mine, Pong, 0, 100000 is 10.0 in the file, now 11.0" in changed.stdout


def test_faults_end_with_one_line(real_project: Project) -> None:
    folder = real_project.folder
    (folder / "config/compare.yaml").write_text(EXPERIMENT)
    result = real_project.snakemake("-n", "figures", configfile="config/compare.yaml")
    assert result.returncode != 0
    assert "error: mine.csv: no such file" in result.stderr + result.stdout
    (folder / "mine.csv").write_text(SCORES.replace("Breakout,1,100000", "Brekout,1,100000"))
    result = real_project.snakemake("--cores", "1", "aggregates", configfile="config/compare.yaml")
    assert result.returncode != 0
    assert "mine.csv, line 9: unknown task of atari100k 'Brekout': did you mean 'Breakout'?" in result.stderr
