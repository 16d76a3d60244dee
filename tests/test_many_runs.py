"""What grows with the number of runs: settings are resolved once for all that share them, and files are read once."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import many_runs
import pytest

from m3.cli import main, status
from m3.config import plan as plans
from m3.config import yaml_files
from m3.config.experiment import Run
from m3.config.identity import canonical
from m3.config.loading import load_run
from m3.config.plan import Plan, load_experiment
from m3.errors import UserError
from m3.files import atomic, hdf5
from m3.files.names import METRICS, SCORES

NUMBER = many_runs.RUNS_PER_SEED
OVERRIDE = "overrides: [{where: {seed: 0, task: cheetah-run}, set: {controller: {discount: 0.5}}}]\n"


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an experiment in which every run is finished."""
    folder = tmp_path_factory.mktemp("many")
    experiment = many_runs.make_experiment(folder, seeds=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "_flush", lambda file: file.flush())
        many_runs.finish(load_experiment(experiment, folder / "config"), folder)
    return folder


@pytest.fixture
def inside(many: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(many)
    return many


def counted(patch: pytest.MonkeyPatch, module: Any, name: str, key: Callable[..., object]) -> Counter[object]:
    """How often a function is called from now on, by what ``key`` makes of its arguments."""
    calls: Counter[object] = Counter()
    function = getattr(module, name)

    def counting(*args: Any, **options: Any) -> Any:
        calls[key(*args)] += 1
        return function(*args, **options)

    patch.setattr(module, name, counting)
    return calls


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[object]:
    """How often each HDF5 file is read."""
    return counted(monkeypatch, hdf5, "open_regular", lambda path: path.resolve())


def resolved(monkeypatch: pytest.MonkeyPatch, text: str, **options: Any) -> tuple[Plan, int]:
    """The experiment with more text, and for how many runs settings were merged and checked."""
    experiment = Path("config/more.yaml")
    experiment.write_text(Path("config/many.yaml").read_text() + text)
    calls = counted(monkeypatch, plans, "run_settings", lambda run, *_: run)
    return load_experiment(experiment, **options), calls.total()


def test_settings_that_runs_share_are_resolved_once(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, number = resolved(monkeypatch, "")
    assert (len(plan.runs), number) == (NUMBER, many_runs.VARIANTS)
    for run, settings in plan.runs.items():
        assert (settings.task, settings.seed) == (run.task, run.seed)
    for run in list(plan.runs)[::37]:
        assert canonical(plan.runs[run]) == canonical(load_run(run))


def test_runs_with_an_override_have_settings_of_their_own(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, number = resolved(monkeypatch, OVERRIDE)
    assert number == 2 * many_runs.VARIANTS
    changed = {run.task for run, settings in plan.runs.items() if settings.controller.discount == 0.5}
    assert changed == {"cheetah-run"}


def test_seeds_that_no_file_has_are_still_checked(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(many_runs.BENCHMARK, "changed-1", "cheetah-run", 7)
    plan, number = resolved(monkeypatch, "", more=[run])
    assert (plan.runs[run].seed, number) == (7, many_runs.VARIANTS + 1)
    with pytest.raises(UserError, match="seed"):
        resolved(monkeypatch, "", more=[run._replace(seed=2**40)])


def test_status_counts_many_runs_and_reads_scores_only_to_show_them(
    inside: Path, opened: Counter[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "MOST_ROWS", 50)
    assert main(["status", "config/many.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["variant", "runs", "done", "running", "waiting", "failed"]
    assert lines[2].split() == ["dmc500k/changed-0", "10", "10", "0", "0", "0"]
    assert len(lines) < many_runs.VARIANTS + 10
    assert f"{NUMBER} runs are not listed: --all lists every run" in "\n".join(lines)
    assert opened.total() == 0
    for option in (["--all"], ["--state", "done"]):
        opened.clear()
        assert main(["status", "config/many.yaml", *option]) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines() if "/seed-0" in line]
        assert {(row[1], float(row[2]) > 0) for row in rows} == {("done", True)}
        assert (len(rows), opened.total()) == (NUMBER, NUMBER)


def test_a_run_that_failed_is_listed_among_many(
    inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "MOST_ROWS", 50)
    monkeypatch.setattr("m3.runs.status._state", lambda folder, *_: ("failed", str(folder)))
    assert main(["status", "config/many.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("/seed-0" in line for line in lines) == 50
    assert "50 runs are not listed" in "\n".join(lines)


def test_collect_and_verify_read_every_file_of_a_run_once(
    inside: Path, opened: Counter[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(path.relative_to(inside)) for path in sorted(inside.glob("results/runs/*/*/*/*"))]
    table, statistics = "results/many/dmc500k/scores.h5", "results/many/dmc500k/aggregates.h5"
    draws = ["--repetitions", "20", "--band-repetitions", "20", "--csv", "aggregates.csv"]
    figures = "figures/many/dmc500k"
    assert main(["collect", "--benchmark", "dmc500k", "--scores", "own", "--runs", *runs, "--output", table]) == 0
    expected = Counter((inside / run / name).resolve() for run in runs for name in (SCORES, METRICS))
    assert opened == expected
    assert main(["aggregate", "--scores", table, "--output", statistics, *draws]) == 0
    assert main(["tables", "--scores", table, "--aggregates", statistics, "--output", figures]) == 0
    opened.clear()
    parsed = counted(monkeypatch, yaml_files.yaml, "load", lambda text: text)
    capsys.readouterr()
    assert main(["verify", f"{figures}/table_scores.md"]) == 0
    assert f"{NUMBER} own runs" in capsys.readouterr().out
    assert {path: count for path, count in opened.items() if path in expected} == expected
    assert parsed.total() < 10
