import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from score_cases import CONFIG, PUBLISHED, write_run

from m3.analysis import catalog
from m3.cli import main
from m3.config.yaml_files import dump_yaml, parse_yaml


def run_all(folder: Path, hash_seed: int) -> None:
    """All commands on the smallest benchmark, in processes of their own in which torch cannot be imported."""
    folder.mkdir()
    (folder / "torch.py").write_text("raise ImportError('the analysis needs no torch')\n")
    run = write_run(folder / "runs", "craftax1m", task="Craftax-Symbolic-v1", returns=(4.0, 6.0))
    commands = (
        f"collect --benchmark craftax1m --config {CONFIG} --published {PUBLISHED} --runs {run} --labels tiny=M3-tiny"
        " --output scores.h5",
        "aggregate --scores scores.h5 --repetitions 300 --band-repetitions 50 --cores 2 --output aggregates.h5"
        " --csv out/aggregates.csv",
        "figures --scores scores.h5 --aggregates aggregates.h5 --output out --only iqm own_curves",
        "tables --scores scores.h5 --aggregates aggregates.h5 --output out",
        "overview --scores scores.h5 --aggregates aggregates.h5 --output out",
    )
    script = "import sys; from m3.cli import main; sys.exit(any(main(line.split()) for line in sys.argv[1:]))"
    environment = {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"}
    done = subprocess.run(
        [sys.executable, "-c", script, *commands], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for number in (1, 2):
        run_all(tmp_path / str(number), hash_seed=number)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / str(number) / "out").iterdir()} for number in (1, 2)
    )
    figures = {
        f"{name}.{suffix}"
        for name in ("iqm", "own_curves", "overview", "training_time")
        for suffix in catalog.FIGURE_SUFFIXES
    }
    tables = {f"{name}.{suffix}" for name in catalog.table_names(1) for suffix in catalog.TABLE_SUFFIXES}
    assert set(first) == figures | tables | {"aggregates.csv", "explore.html"}
    assert first == second


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "scores.h5"
    command = ["collect", "--benchmark", "craftax1m", "--published", str(PUBLISHED), "--output", str(path)]
    assert main([*command, "--scores", "published", "--runs", "--labels"]) == 0
    return path


def test_score_tables_are_read_with_plain_h5py(scores: Path) -> None:
    with h5py.File(scores) as file:
        assert file.attrs["format"] == "m3.score-table"
        assert file.attrs["benchmark"] == "craftax1m"
        group = file["scores"]
        methods = group["method_names"].asstr()[:][group["method"][:]]
        assert len(group["score"]) == len(methods) == 45
        assert set(methods) == {"M3", "EASimulus", "PPO-RNN", "PPO-RND", "E3B", "PPO-GTrXL"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--benchmark", "craftax"], "unknown benchmark"),
        (
            ["--benchmark", "craftax1m", "--scores", "own"],
            "--scores own needs the folders of finished runs after --runs",
        ),
        (["--benchmark", "craftax1m", "--scores", "published", "--runs", "x"], "--scores published takes no --runs"),
        (["--benchmark", "craftax1m", "--runs", "nowhere"], "nowhere/scores.h5: no such file"),
    ],
)
def test_faults_of_collect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    output = tmp_path / "scores.h5"
    assert main(["collect", "--published", str(PUBLISHED), "--output", str(output), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not output.exists()


def test_a_benchmark_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not among the published ones, with references of its own."""
    runs = [write_run(tmp_path / "runs", "corridor", task="Corridor-v0", seed=seed, returns=(4.0,)) for seed in (0, 1)]
    scores, statistics, csv = tmp_path / "scores.h5", tmp_path / "aggregates.h5", tmp_path / "aggregates.csv"
    file = tmp_path / "config/benchmarks/corridor.yaml"
    file.parent.mkdir(parents=True)
    content = parse_yaml((CONFIG.parent / "examples/own_environment/corridor.yaml").read_text(), "corridor.yaml")
    given = ["--published", str(PUBLISHED), "--output", str(scores), "--runs", *map(str, runs)]
    collect = ["collect", "--benchmark", "corridor", "--config", str(tmp_path / "config"), *given]
    file.write_text(dump_yaml(content | {"references": None}))
    assert main(collect) == 2
    assert "benchmark 'corridor' has no `references` in its file" in capsys.readouterr().err
    bounds = {
        "low_means": "random walk",
        "high_means": "shortest way",
        "tasks": {"Corridor-v0": {"low": 2, "high": 10}},
    }
    file.write_text(dump_yaml(content | {"references": bounds}))
    assert main(collect) == 0
    aggregate = ["aggregate", "--scores", str(scores), "--repetitions", "20", "--band-repetitions", "20"]
    assert main([*aggregate, "--output", str(statistics), "--csv", str(csv)]) == 0
    assert "corridor,tiny (ours),iqm,0.250000,0.250000,0.250000,2,1" in csv.read_text().splitlines()
    shown = ["--scores", str(scores), "--aggregates", str(statistics), "--output", str(tmp_path / "out")]
    assert main(["figures", *shown]) == 0
    assert main(["tables", *shown]) == 0
    table = (tmp_path / "out/table_scores.md").read_text()
    assert "Random walk" in table
    assert "Corridor: scores of every task" in table


def test_a_bad_label_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "runs", "craftax1m", task="Craftax-Symbolic-v1")
    command = ["collect", "--benchmark", "craftax1m", "--published", str(PUBLISHED), "--output", str(tmp_path / "x.h5")]
    assert main([*command, "--runs", str(run), "--labels", "tiny"]) == 2
    assert "--labels takes VARIANT=LABEL, got 'tiny'" in capsys.readouterr().err


def test_faults_of_aggregate_and_figures(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "aggregates.h5"
    command = ["aggregate", "--scores", str(scores), "--output", str(output), "--csv", str(tmp_path / "x.csv")]
    assert main([*command, "--repetitions", "0"]) == 2
    assert "--repetitions must be at least 1, got 0" in capsys.readouterr().err
    assert main([*command, "--repetitions", "20"]) == 0
    draw = ["figures", "--scores", str(scores), "--aggregates", str(output), "--output", str(tmp_path)]
    assert main([*draw, "--only", "iqms"]) == 2
    assert "unknown figure of craftax1m 'iqms': did you mean 'iqm'?" in capsys.readouterr().err
    assert main(["tables", "--scores", str(output), "--aggregates", str(output), "--output", str(tmp_path)]) == 2
    assert "a file of format m3.aggregates, where m3.score-table is needed" in capsys.readouterr().err
