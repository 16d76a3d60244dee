"""The report of a GPU, rehearsed on the CPU, with nothing installed but what its measurements need."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from toy_runs import toy_settings

import m3.bench.report.measurements
from m3.bench.report.figures import draw_curve
from m3.bench.report.measurements import REHEARSAL, measurements
from m3.bench.report.records import LeftOut, Measurement, Records
from m3.bench.report.settings import FILE, resolved
from m3.bench.report.summary import wrong
from m3.bench.report.training import seconds_trained, train_for
from m3.cli import main
from m3.config.schema import RunSettings

BARE = Path(__file__).with_name("bare.py")


def rehearse(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BARE), "gpu-report", str(folder), "--rehearse"]
    environment = {"PYTHONPATH": ".", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=1800, env=environment)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    result = rehearse(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.mark.slow
def test_everything_is_measured_and_what_is_left_out_is_said(folder: Path) -> None:
    records = {record["name"]: record for record in json.loads((folder / "report.json").read_text())}
    left_out = {name: record["reason"] for name, record in records.items() if record["state"] != "done"}
    assert left_out.keys() == {"train dmc500k", "train atari100k"}
    assert "pip install dm-control psutil pyyaml tqdm" in left_out["train dmc500k"]
    assert records["golden values"]["result"]["quantities"] > 100
    assert [records[f"{what} craftax1m"]["result"] for what in ("exact resume", "eager against graph")] == [[], []]
    page = (folder / "report.md").read_text()
    assert "Left out: figures, which need matplotlib" in page
    assert "| exact resume atari100k | the same bits |" in page


@pytest.mark.slow
def test_steps_are_timed_in_all_precisions_and_ways(folder: Path) -> None:
    with (folder / "timings.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["benchmark"] == "dmc500k"]
    assert {row["precision"] for row in rows} == {"fp32", "tf32", "bf16"}
    assert {row["compile"] for row in rows} == {"none", "graphs", "recompute", "default"}
    assert {row["at_once"] for row in rows} == {"1", "2"}
    assert all(float(row["seconds"]) > 0 and float(row["peak_memory_gb"]) > 0 for row in rows)


@pytest.mark.slow
def test_it_goes_on_where_it_stopped(folder: Path) -> None:
    """With one measurement missing and one failed, these two are made, and no other."""
    records = folder / "records"
    before = {path.name: path.stat().st_mtime_ns for path in records.iterdir()}
    (records / "machine.json").unlink()
    failed = records / "exact resume dmc500k.json"
    failed.write_text(json.dumps({**json.loads(failed.read_text()), "state": "failed"}))
    assert rehearse(folder).returncode == 0
    after = {path.name: path.stat().st_mtime_ns for path in records.iterdir()}
    assert after.keys() == before.keys()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"machine.json", failed.name, "train dmc500k.json", "train atari100k.json"}


def fail() -> Any:
    raise RuntimeError("no kernel image")


def leave_out() -> Any:
    raise LeftOut("needs a simulator")


def test_dmc_trains_to_its_end_and_atari_for_the_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that earlier calls spent counts, a run that is finished stays as it is, and the other goes on."""
    given = []

    def train(settings: RunSettings, folder: Path, device: str, graphs: bool, seconds: float) -> dict[str, Any]:
        given.append((folder.name, seconds))
        folder.mkdir(parents=True, exist_ok=True)
        spent = 30 if folder.name == "dmc500k" else seconds
        with (folder / "curve.jsonl").open("a") as file:
            file.write(json.dumps({"epoch": len(given), "seconds": spent}) + "\n")
        return {"finished": given.count((folder.name, 30)) == 2}

    monkeypatch.setattr(m3.bench.report.measurements, "train_for", train)
    records = Records(tmp_path / "records")
    for minutes in (0.5, 1, 1, 2):
        extent = replace(REHEARSAL, training_seconds=60 * minutes)
        for measurement in measurements(torch.device("cpu"), extent, tmp_path):
            if measurement.name.startswith("train "):
                records.make(measurement)
    dmc, atari = "dmc500k", "atari100k"
    assert given == [(dmc, 30), (atari, 0), (dmc, 30), (atari, 0), (atari, 0), (atari, 60)]
    assert records.made(f"train {atari}").state == "begun"


def test_a_curve_is_drawn_beside_what_is_published() -> None:
    result = {"task": "Breakout", "evaluations": [[1000, 2.0], [2000, 30.0]]}
    axes = Figure().add_subplot()
    draw_curve(axes, "atari100k", result)
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["this run", "M3, as published (5 seeds)", "M3, an independent reproduction (5 seeds)"]
    published = axes.lines[1].get_xydata()
    assert published[:, 0].tolist() == [100_000] * 5
    assert published[:, 1].mean() == pytest.approx(148.86, abs=0.01)


def test_what_fails_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert records.make(Measurement("a", fail)).reason == "RuntimeError: no kernel image"
    assert records.make(Measurement("b", leave_out)).state == "left out"
    assert records.make(Measurement("a", lambda: 1)).result == 1
    assert records.make(Measurement("a", fail)).result == 1


@pytest.mark.parametrize(
    ("result", "expected"),
    [([], False), (["/agent/x"], True), ({"missed": ["x"]}, True), ({"missed": []}, False), ({"timings": [1]}, False)],
)
def test_differences_and_missed_values_are_wrong(result: Any, expected: bool, tmp_path: Path) -> None:
    record = Records(tmp_path).make(Measurement("a", lambda: result))
    assert wrong(record) is expected


def test_a_training_lasts_as_long_as_it_may_and_goes_on(tmp_path: Path) -> None:
    settings = toy_settings("vector", epochs=4)
    result = train_for(settings, tmp_path / "run", "cpu", graphs=False, seconds=600)
    assert 0 < seconds_trained(tmp_path / "run") < 600
    assert (result["finished"], result["epochs"], result["agent_steps"]) == (True, 4, 80)
    assert [steps for steps, _ in result["evaluations"]] == [40, 80]
    endless = toy_settings("vector", epochs=100_000)
    stopped = train_for(endless, tmp_path / "endless", "cpu", graphs=False, seconds=2)
    assert not stopped["finished"]
    for seconds in (2, 20, 200):  # however busy the machine is
        more = train_for(endless, tmp_path / "endless", "cpu", graphs=False, seconds=seconds)
        if more["epochs"] > stopped["epochs"]:
            return
    pytest.fail("it does not go on")


def test_the_settings_are_those_of_the_files_in_config() -> None:
    """If this fails: python -m m3.bench.report.settings."""
    assert json.loads(FILE.read_text()) == json.loads(json.dumps(resolved()))


def test_a_machine_without_a_gpu_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpu-report", str(tmp_path), "--device", "cuda:99"]) == 2
    assert "device 'cuda:99' is not available" in capsys.readouterr().err
