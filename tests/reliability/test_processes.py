"""Which processes trained a run, and what they must have in common."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from trained import assert_same, in_epoch, train

from m3.errors import UserError
from m3.files import hdf5
from m3.runs import processes
from m3.runs.processes import Processes
from m3.runs.train import METRICS

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def power_loss() -> None:
    raise OSError("power loss")


def test_equal_processes_are_one_entry(undisturbed: Path, tmp_path: Path) -> None:
    for epoch in (2, 4):
        with in_epoch(epoch, power_loss), pytest.raises(UserError):
            train(tmp_path)
    assert train(tmp_path)
    assert_same(undisturbed, tmp_path)
    entries = hdf5.read(tmp_path / METRICS, "m3.metrics")[0]["processes"]
    assert entries["after_epoch"].tolist() == [0]
    assert entries["threads"].tolist() == [1]


def test_other_software_and_devices_are_entered_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Processes()
    assert known.add_this(0, CPU) == []
    about = processes.collect()
    other = {**about, "packages": [package.replace("torch==", "torch==0") for package in about["packages"]]}
    monkeypatch.setattr(processes, "collect", lambda: other)
    [before] = [package for package in about["packages"] if package.startswith("torch==")]
    assert known.add_this(7, CPU) == [f"{before} before"]
    assert known.add_this(9, CPU) == []
    monkeypatch.setattr(processes, "device_name", lambda _: "GPU")
    assert known.add_this(11, CPU) == ["cpu before"]
    restored = Processes()
    restored.load_state_dict(known.state_dict())
    assert restored.tree()["after_epoch"].tolist() == [0, 7, 11]
    assert restored.tree()["device"] == ["cpu", "cpu", "GPU"]


def test_a_run_keeps_its_number_of_threads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(2)
    with in_epoch(3, power_loss), pytest.raises(UserError):
        train(tmp_path)
    torch.set_num_threads(1)
    numbers: list[int] = []
    with in_epoch(5, lambda: numbers.append(torch.get_num_threads())):
        assert train(tmp_path)
    assert numbers == [2]
    assert "computes with 2 threads, as it began" in capsys.readouterr().out
    assert hdf5.read(tmp_path / METRICS, "m3.metrics")[0]["processes"]["threads"].tolist() == [2]
