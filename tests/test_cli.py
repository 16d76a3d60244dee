"""The command line: how commands are found, how mistakes are told, and the commands resolve and inspect."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from m3.cli import commands, main
from m3.config.experiment import Run
from m3.config.identity import canonical
from m3.config.loading import load_run
from m3.files import hdf5
from m3.files.provenance import Provenance
from m3.files.run_folder import resolved_name

RUN = ["--benchmark", "atari100k", "--variant", "tiny", "--task", "Breakout", "--seed", "0"]


@pytest.mark.parametrize("command", commands())
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: m3 {command} " in capsys.readouterr().out


def test_the_overview_is_quick_and_complete() -> None:
    code = (
        "import sys, m3.cli; m3.cli.main(['--help']);"
        "print([name for name in ('torch', 'numpy', 'h5py', 'pandas', 'pydantic') if name in sys.modules])"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[-1] == "[]"
    assert all(any(line.startswith(f"  {command} ") for line in lines) for command in commands())


def test_windows_is_refused_in_one_line() -> None:
    code = "import sys; sys.platform = 'win32'; import m3"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: M3 does not run on Windows itself: use WSL 2, which runs Linux\n"


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert capsys.readouterr().err == "error: unknown command 'trian': did you mean 'train'?\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("train atari100k/Breakout --seed all", "--seed must be a whole number, got 'all'"),
        ("train atari100k/Breakout --budget-minutes soon", "--budget-minutes must be a number, got 'soon'"),
        ("train atari100k/Breakout --sed 3", "unrecognized arguments: --sed 3: did you mean --seed?"),
        ("watch", "the following arguments are required: RUN; `m3 watch --help` shows the arguments"),
        ("status a b", "unrecognized arguments: b; `m3 status --help` shows the arguments"),
        ("train --seed", "argument --seed: expected one argument; `m3 train --help` shows the arguments"),
    ],
)
def test_a_wrong_argument_is_one_line(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert capsys.readouterr().err == f"error: {line}\n"


def test_resolve_writes_the_settings_under_their_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resolve", "--experiment", "config/quickstart.yaml", *RUN, "--run", str(tmp_path)]) == 0
    settings = load_run(Run("atari100k", "tiny", "Breakout", 0))
    path = tmp_path / resolved_name(settings)
    assert path.read_text() == canonical(settings)
    assert capsys.readouterr().out == f"{path}\n"


def test_resolve_keeps_results_of_the_same_settings_and_removes_those_of_others(tmp_path: Path) -> None:
    command = ["resolve", "--experiment", "config/quickstart.yaml", *RUN, "--run", str(tmp_path)]
    main(command)
    (tmp_path / "weights.safetensors").touch()
    (tmp_path / "checkpoints").mkdir()
    main(command)
    assert (tmp_path / "weights.safetensors").exists()
    (tmp_path / "resolved-00000000.yaml").touch()
    main(command)
    assert not (tmp_path / "weights.safetensors").exists()
    assert not (tmp_path / "resolved-00000000.yaml").exists()
    assert (tmp_path / "checkpoints").exists()


def test_resolve_names_the_nearest_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [name.replace("Breakout", "Brakout") for name in RUN]
    assert main(["resolve", "--experiment", "config/quickstart.yaml", *given, "--run", str(tmp_path)]) == 2
    assert "did you mean 'atari100k/tiny/Breakout/seed-0'?" in capsys.readouterr().err


def test_inspect_tells_whole_files_from_damaged_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, cut, foreign = tmp_path / "whole.h5", tmp_path / "cut.h5", tmp_path / "foreign.h5"
    hdf5.write(whole, "m3.scores", {"returns": np.arange(3.0), "task": "Pong"}, Provenance("a: 1\n", "hash", [4]))
    cut.write_bytes(whole.read_bytes()[:-10])
    foreign.write_text("no HDF5")
    settings = load_run(Run("atari100k", "tiny", "Breakout", 0))
    resolved = tmp_path / resolved_name(settings)
    resolved.write_text(canonical(settings))

    assert main(["inspect", str(whole), str(resolved)]) == 0
    output = capsys.readouterr().out
    assert f"{whole}: whole, m3.scores version 1\n" in output
    assert "  task: Pong\n" in output
    assert "  seeds: [4]\n" in output
    assert "  returns: float64 (3,)\n" in output
    assert f"{resolved}: whole, settings of atari100k tiny Breakout seed 0\n" in output

    weights = tmp_path / "foreign.safetensors"
    weights.write_text("no safetensors")
    for damaged in (cut, foreign, weights, tmp_path / "missing.h5"):
        assert main(["inspect", str(damaged), str(whole)]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith(f"error: {damaged}")
        assert ("delete" in captured.err) == (damaged == cut)
        assert captured.err.count("\n") == 1
        assert f"{whole}: whole" in captured.out
