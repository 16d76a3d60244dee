"""What is wrong with the results of a variant's program is told fault by fault."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_runs import toy_settings

from m3.cli import main
from m3.files import hdf5
from m3.files.names import METRICS, METRICS_FORMAT, SCORES, SCORES_FORMAT
from m3.files.run_folder import provenance_of, write_settings
from m3.programs.contract import faults
from m3.programs.results import Episodes, Results, write_results

SETTINGS = toy_settings("vector")  # may train on 80 steps
RESULTS = Results(
    final=Episodes([1.0, 2.5, 0.0], [10, 10, 4]),
    agent_steps=80,
    wall_seconds=1.5,
    evaluations=[(40, Episodes([0.0, 1.0], [10, 10])), (80, Episodes([2.0, 1.0], [10, 10]))],
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_settings(tmp_path, SETTINGS)
    write_results(tmp_path, SETTINGS, RESULTS)
    return tmp_path


def change(run: Path, name: str, format: str, edit: Callable[[dict[str, Any]], object]) -> list[str]:
    """Write a file of the run with other content; return the faults without the file's name."""
    content, _ = hdf5.read(run / name, format)
    edit(content)
    hdf5.write(run / name, format, content, provenance_of(SETTINGS))
    found = list(faults(run, SETTINGS, episodes=3))
    assert all(fault.startswith(f"{run / name}: ") for fault in found)
    return [fault.removeprefix(f"{run / name}: ") for fault in found]


def test_results_that_are_written_as_documented_have_no_faults(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(faults(run, SETTINGS, episodes=3)) == []
    assert main(["check-results", str(run)]) == 0
    assert "1 run: scores and metrics are as they must be" in capsys.readouterr().out


def test_a_program_that_never_evaluates_while_it_trains_has_no_faults(run: Path) -> None:
    write_results(run, SETTINGS, Results(RESULTS.final, agent_steps=80, wall_seconds=0))
    assert list(faults(run, SETTINGS)) == []


def test_files_that_are_missing_or_foreign_are_a_fault_each(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / SCORES).unlink()
    (run / METRICS).write_bytes(b"no HDF5")
    assert main(["check-results", str(run)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": no")[0] for line in lines] == [f"error: {run / SCORES}", f"error: {run / METRICS}"]


def test_results_of_other_settings_are_refused(run: Path) -> None:
    other = toy_settings("vector", seed=3)
    found = list(faults(run, other))
    assert len(found) == 4
    assert "seed is 0, the run's is 3" in found[1]
    assert "config_hash is not that of the run's settings" in found[0]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda c: c.pop("returns"), "returns is missing"),
        (lambda c: c.update(returns=np.array([1, 2, 3])), "returns must be float64 (episodes,), got int64 (3,)"),
        (lambda c: c.update(returns=np.array([1.0, np.nan, 3])), "returns: 1 of 3 numbers are not finite"),
        (lambda c: c.update(returns=np.ones((3, 1))), "returns must be float64 (episodes,), got float64 (3, 1)"),
        (lambda c: c.update(lengths=np.ones(3)), "lengths must be int64 (episodes,), got float64 (3,)"),
        (
            lambda c: c.update(lengths=np.array([1, 2])),
            "lengths must be int64 (episodes,), got (2,) where others have {'episodes': 3}",
        ),
        (lambda c: c.update(lengths=np.array([1, 0, 2])), "lengths must be at least 1, got 0"),
        (lambda c: c.update(task="image"), "task is 'image', the run's is 'vector'"),
        (lambda c: c.pop("variant"), "variant is missing"),
        (lambda c: c.update(frames_per_step=0), "frames_per_step must be a whole number of at least 1, got 0"),
        (lambda c: c.update(agent_steps=81), "agent_steps is 81: the run may train on 80"),
        (lambda c: c.update(agent_steps=8.5), "agent_steps must be a whole number of at least 0, got 8.5"),
    ],
)
def test_faults_of_scores(run: Path, edit: Callable[[dict[str, Any]], object], expected: str) -> None:
    assert expected in change(run, SCORES, SCORES_FORMAT, edit)


def test_too_few_episodes_are_a_fault(run: Path) -> None:
    assert any("must be of the 4 episodes asked for" in fault for fault in faults(run, SETTINGS, episodes=4))


def of_evaluations(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["evaluations"].update(changes)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda c: c.pop("evaluations"), "evaluations is missing"),
        (lambda c: c.update(wall_seconds=-1.0), "wall_seconds must be a number of at least 0, got -1.0"),
        (lambda c: c.pop("wall_seconds"), "wall_seconds is missing"),
        (lambda c: c.pop("processes"), "processes/packages must have a text for each process that trained"),
        (
            lambda c: c.update(processes={"packages": []}),
            "processes/packages must have a text for each process that trained",
        ),
        (
            of_evaluations(returns=np.ones(2)),
            "evaluations/returns must be float64 (evaluations, episodes), got float64 (2,)",
        ),
        (
            of_evaluations(agent_steps=np.array([40])),
            "evaluations/returns must be float64 (evaluations, episodes), "
            "got (2, 2) where others have {'evaluations': 1}",
        ),
        (of_evaluations(agent_steps=np.array([40, 20])), "evaluations/agent_steps must ascend from 0 to at most 80"),
        (of_evaluations(agent_steps=np.array([40, 99])), "evaluations/agent_steps must ascend from 0 to at most 80"),
        (
            of_evaluations(agent_steps=np.array([4.0, 8])),
            "evaluations/agent_steps must be int64 (evaluations,), got float64 (2,)",
        ),
    ],
)
def test_faults_of_metrics(run: Path, edit: Callable[[dict[str, Any]], object], expected: str) -> None:
    assert expected in change(run, METRICS, METRICS_FORMAT, edit)
