"""From a figure back to the episodes behind it: whatever does not fit is told."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnosis_content import diagnosis_content

from m3.analysis import aggregates
from m3.cli import main
from m3.config.yaml_files import dump_yaml
from m3.files import hdf5, provenance
from m3.files.names import DIAGNOSIS, DIAGNOSIS_FORMAT
from m3.files.provenance import Provenance

ROOT = Path(__file__).parents[2]
TASK = "Craftax-Symbolic-v1"
SCORES = ("iqm.pdf", "own_curves.png", "table_scores.md", "table_runs.csv", "table_aggregates.tex")
DIAGNOSES = ("diagnosis.png", "diagnosis.md", "table_diagnosis.tex")


def write_run(
    root: Path, variant: str, seed: int, score: float, training_version: int = 1, packages: str = "torch==2.11.0"
) -> Path:
    """A finished run with two episodes of the given mean return."""
    folder = root / f"results/runs/craftax1m/{variant}/{TASK}/seed-{seed}"
    identity = {"benchmark": "craftax1m", "variant": variant, "task": TASK, "seed": seed}
    config = dump_yaml({**identity, "training_version": training_version})
    config_hash = hashlib.sha256(config.encode()).hexdigest()
    origin = Provenance(config, config_hash, [seed])
    lengths = np.full(2, 9)
    returns = np.array([score - 1, score + 1])
    scores = {"returns": returns, "lengths": lengths, "agent_steps": 20, "frames_per_step": 1, "temperature": 0.5}
    evaluations = {"agent_steps": np.array([10, 20]), "epoch": np.array([1, 2])}
    evaluations |= {"returns": np.stack([returns - 2, returns]), "lengths": np.stack([lengths, lengths])}
    metrics: dict[str, Any] = {
        "epochs": {name: np.array([1.0, 2.0]) for name in ("epoch", "agent_steps", "seconds")},
        "evaluations": evaluations,
        "processes": {"packages": packages.split("|"), "after_epoch": np.arange(packages.count("|") + 1)},
        "frames_per_step": 1,
        "wall_seconds": 3.0,
    }
    hdf5.write(folder / "scores.h5", "m3.scores", {**identity, **scores}, origin)
    hdf5.write(folder / "metrics.h5", "m3.metrics", {**identity, **metrics}, origin)
    hdf5.write(folder / DIAGNOSIS, DIAGNOSIS_FORMAT, diagnosis_content("craftax1m", variant, TASK, seed), origin)
    for old in folder.glob("resolved-*"):
        old.unlink()
    (folder / f"resolved-{config_hash[:8]}.yaml").write_text(config)
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two variants with two seeds each, and everything that the suite makes of them."""
    root = tmp_path_factory.mktemp("suite")
    for part in ("config", "results/published"):
        shutil.copytree(ROOT / part, root / part)
    runs = [write_run(root, variant, seed, 10.0 + seed) for variant in ("m3", "tiny") for seed in (0, 1)]
    results, figures = root / "results/own/craftax1m", root / "figures/own/craftax1m"
    table, statistics = str(results / "scores.h5"), str(results / "aggregates.h5")
    made_of = ["--scores", table, "--aggregates", statistics]
    collected = ["--benchmark", "craftax1m", "--published", str(root / "results/published"), "--scores", "own"]
    collected += ["--config", str(root / "config")]
    of_runs = ["--runs", *map(str, runs), "--labels", "m3=M3 (ours)", "tiny=M3 tiny"]
    bootstrap = [
        "--repetitions",
        "50",
        "--seed",
        "7",
        "--band-repetitions",
        "20",
        "--csv",
        str(results / "aggregates.csv"),
    ]
    for command in (
        ["collect", *collected, *of_runs, "--output", table],
        ["aggregate", "--scores", table, "--output", statistics, *bootstrap],
        ["figures", *made_of, "--output", str(figures), "--only", "iqm", "own_curves"],
        ["tables", *made_of, "--output", str(figures)],
        ["overview", *made_of, "--output", str(figures.parent)],
        ["diagnosis-figure", *of_runs, "--benchmark-label", "Craftax 1M", "--output", str(figures)],
    ):
        assert main(command) == 0
    return root


@pytest.fixture
def root(made_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_once, tmp_path / "suite"))


Problems = Callable[..., list[str]]


@pytest.fixture
def problems(root: Path, capsys: pytest.CaptureFixture[str]) -> Problems:
    """What the command finds wrong with files of figures/own."""

    def found(*files: str) -> list[str]:
        capsys.readouterr()
        paths = [str(root / "figures/own" / file) for file in files or ("craftax1m/table_scores.md",)]
        status = main(["verify", *paths])
        lines = capsys.readouterr().out.splitlines()
        told = [
            line.removeprefix("problem: ").replace(f"{root}/", "") for line in lines if line.startswith("problem: ")
        ]
        assert lines[-1] == (f"{len(told)} problems" if told else "every number comes from where the file says")
        assert status == bool(told)
        return told

    return found


def test_what_the_suite_made_is_right(problems: Problems, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        problems(
            *(f"craftax1m/{name}" for name in (*SCORES, *DIAGNOSES)),
            "overview.pdf",
            "training_time.png",
            "overview.md",
            "explore.html",
        )
        == []
    )


def test_published_scores_are_followed_to_their_rows(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those beside a method from a file."""
    (root / "mine.csv").write_text(f"method,task,seed,steps,score\nMine,{TASK},0,1000000,12\n")
    monkeypatch.chdir(root)
    scores, statistics, figures = "results/craftax1m/scores.h5", "results/craftax1m/aggregates.h5", "figures/craftax1m"
    made_of = ["--scores", scores, "--aggregates", statistics, "--output", figures]
    published = ["--published", "results/published", "--scores", "published", "--methods", "M3", "E3B"]
    draws = ["--repetitions", "20", "--band-repetitions", "20"]
    for command in (
        ["collect", "--benchmark", "craftax1m", *published, "--score-files", "mine.csv", "--output", scores],
        ["aggregate", "--scores", scores, *draws, "--output", statistics, "--csv", "aggregates.csv"],
        ["figures", *made_of, "--only", "iqm", "profiles"],
        ["tables", *made_of],
    ):
        assert main(command) == 0
    files = [f"{figures}/{name}" for name in ("iqm.pdf", "profiles.png", "table_scores.md")]
    assert main(["verify", *files]) == 0
    capsys.readouterr()
    rows = (root / "results/published/methods.csv").read_text()
    (root / "results/published/methods.csv").write_text(rows.replace("craftax1m,E3B,yes", "craftax1m,E3B,no"))
    assert main(["verify", files[0]]) == 1
    expected = "methods: comparable of E3B is True in the file, now False"
    assert f"problem: results/craftax1m/scores.h5: {expected}" in capsys.readouterr().out


def test_another_score_is_found_at_its_origin(root: Path, problems: Problems) -> None:
    write_run(root, "tiny", 1, 12.0)
    name = f"of M3 tiny, {TASK}, 1"
    assert problems() == [
        f"results/own/craftax1m/scores.h5: {problem}"
        for problem in (
            f"scores: score {name}, 20 is 11.0 in the file, now 12.0",
            f"curves: score {name}, 10 is 9.0 in the file, now 10.0",
            f"curves: score {name}, 20 is 11.0 in the file, now 12.0",
            f"runs: score {name} is 11.0 in the file, now 12.0",
        )
    ]


def test_a_missing_run_is_named(root: Path, problems: Problems) -> None:
    (root / f"results/runs/craftax1m/m3/{TASK}/seed-0/scores.h5").unlink()
    found = problems()
    assert found[0] == (
        f"run m3/{TASK}/seed-0 is missing: results/runs/craftax1m/m3/{TASK}/seed-0 has no scores.h5 or no metrics.h5"
    )
    assert f"results/own/craftax1m/scores.h5: scores: M3 (ours), {TASK}, 0, 20 is not there any more" in found


def test_another_diagnosis_is_found(root: Path, problems: Problems) -> None:
    [path] = root.glob("results/runs/craftax1m/m3/*/seed-0/diagnosis.h5")
    content, attributes = hdf5.read(path, DIAGNOSIS_FORMAT)
    content["predictions"]["observation_loss"] += 1
    hdf5.write(path, DIAGNOSIS_FORMAT, content, Provenance(attributes["config"], attributes["config_hash"], [0]))
    [problem] = problems("craftax1m/table_diagnosis.csv")
    assert problem == "figures/own/craftax1m/table_diagnosis.csv: the text differs"
    for file in root.glob("results/runs/*/*/*/*/diagnosis.h5"):
        file.unlink()
    assert main(["verify", str(root / "figures/own/craftax1m/diagnosis.png")]) == 2


def test_other_settings_in_a_runs_folder_are_found(root: Path, problems: Problems) -> None:
    folder = write_run(root, "tiny", 0, 10.0, training_version=2)
    found = "\n".join(problems())
    assert f"run tiny/{TASK}/seed-0: scores.h5 is of the settings " in found
    assert (
        f"run tiny/{TASK}/seed-0: its folder is now of the settings in {next(folder.glob('resolved-*')).name}" in found
    )
    assert f"mix of training versions: version 1 in m3/{TASK}/seed-0, m3/{TASK}/seed-1, tiny/{TASK}/seed-1; " in found
    assert f"; version 2 in tiny/{TASK}/seed-0" in found


def test_mixed_software_is_found(root: Path, problems: Problems, monkeypatch: pytest.MonkeyPatch) -> None:
    here = provenance.collect()
    other = {**here, "packages": [*here["packages"][:-1], "simulator==9.9"]}
    monkeypatch.setattr(provenance, "collect", lambda: other)
    write_run(root, "tiny", 0, 10.0)
    found = problems()
    assert [problem.partition(":")[0] for problem in found] == ["mix of training software", "mix of scoring software"]
    assert f"simulator==9.9 in tiny/{TASK}/seed-0" in found[0]
    assert f"{here['packages'][-1]} in m3/{TASK}/seed-0, m3/{TASK}/seed-1, tiny/{TASK}/seed-1" in found[0]


def test_a_run_trained_by_one_software_after_another_is_found(root: Path, problems: Problems) -> None:
    write_run(root, "tiny", 0, 10.0, packages="numpy==2.4 torch==2.11.0|numpy==2.4 torch==2.13.0")
    expected = f"run tiny/{TASK}/seed-0: it was trained by one software after another: torch==2.11.0 torch==2.13.0"
    assert problems() == [expected]


def test_statistics_that_do_not_follow_from_the_scores_are_found(root: Path, problems: Problems) -> None:
    before, after = change_statistics(root, "metrics", "estimate", lambda found: found + np.eye(1, len(found))[0] / 2)
    found = problems("craftax1m/table_aggregates.md")
    [problem] = [
        text for text in found if text.startswith("results/own/craftax1m/aggregates.h5: metrics: estimate of M3")
    ]
    assert problem.endswith(f" is {after} in the file, now {before}")
    assert "figures/own/craftax1m/table_aggregates.md: the text differs" in found


@pytest.mark.parametrize(("factor", "same"), [(1 + 2**-51, True), (1 + 1e-6, False)])
def test_another_processor_may_round_thresholds_otherwise(
    root: Path, problems: Problems, factor: float, same: bool
) -> None:
    change_statistics(root, "profiles", "threshold", lambda thresholds: thresholds * factor)
    found = problems("craftax1m/table_scores.md")
    assert not found if same else "profiles: threshold of M3" in found[0]


def change_statistics(
    root: Path, frame: str, column: str, change: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, float]:
    """Change a column of the stored statistics; return its first value before and after."""
    path = root / "results/own/craftax1m/aggregates.h5"
    content, attributes = hdf5.read(path, aggregates.FORMAT, aggregates.VERSION)
    before = content[frame][column]
    content[frame][column] = change(before)
    origin = Provenance(attributes["config"], attributes["config_hash"], [0, 1])
    hdf5.write(path, aggregates.FORMAT, content, origin, aggregates.VERSION)
    return before[0], content[frame][column][0]


@pytest.mark.parametrize(
    "file",
    [
        "craftax1m/iqm.pdf",
        "craftax1m/table_scores.md",
        "craftax1m/diagnosis.png",
        "craftax1m/table_diagnosis.md",
        "overview.png",
    ],
)
def test_an_edited_figure_or_table_is_found(root: Path, problems: Problems, file: str) -> None:
    path = root / "figures/own" / file
    content = path.read_bytes()
    path.write_bytes(content[:-40] + b"7" + content[-39:])
    [problem] = problems(file)
    assert problem.startswith(f"figures/own/{file}: the {'text' if file.endswith('md') else 'drawing'} differs")


def test_what_cannot_be_verified_is_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "iqm.pdf").touch()
    (root / "figures/iqm.pdf").touch()
    (root / "figures/own/craftax1m/other.pdf").touch()
    for file, expected in (
        ("none.pdf", "does not exist"),
        ("iqm.pdf", "is not below a folder figures/"),
        ("figures/iqm.pdf", "results/scores.h5: no such file; run the command that makes it"),
    ):
        assert main(["verify", str(root / file)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert expected in line
    assert main(["verify", str(root / "figures/own/craftax1m/other.pdf")]) == 1
    assert "there is no figure or table 'other' of craftax1m" in capsys.readouterr().out
    (root / "results/own/craftax1m/scores.h5").write_bytes(b"damaged")
    assert main(["verify", str(root / "figures/own/craftax1m/iqm.pdf")]) == 2
    assert "scores.h5: not a file of M3's" in capsys.readouterr().err


def test_links_to_other_projects_are_refused(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = tmp_path / "elsewhere"
    for part in (f"results/runs/craftax1m/m3/{TASK}", "results/own/craftax1m/scores.h5", "figures/own/craftax1m"):
        place = root / part
        place.rename(elsewhere)
        place.symlink_to(elsewhere)
        assert main(["verify", str(root / "figures/own/craftax1m/iqm.pdf")]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert f"leads out of {root / part.partition('/')[0]} through a symbolic link, to {elsewhere}" in line
        place.unlink()
        elsewhere.rename(place)


def test_results_may_be_kept_on_another_disk(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "results").rename(tmp_path / "disk")
    (root / "results").symlink_to(tmp_path / "disk")
    assert main(["verify", str(root / "figures/own/craftax1m/table_scores.md")]) == 0
    assert f"{root / 'results'} is a symbolic link to {tmp_path / 'disk'}" in capsys.readouterr().out
