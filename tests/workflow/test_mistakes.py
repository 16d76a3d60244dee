"""Mistakes of the first hour: each ends in one clear line, without a traceback."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project
from toy_runs import toy_settings

import m3
from m3.cli import main
from m3.files.run_folder import write_settings
from m3.runs.lease import Lease

TINY = ["train", "toy/image", "--variant", "tiny"]
ROOT = Path(__file__).parents[2]


def line_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on the standard error of a command that fails."""
    capsys.readouterr()
    assert main(words) not in (0, None)
    [line] = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "atari100k/Brekout"], "unknown task of atari100k 'Brekout': did you mean 'Breakout'?"),
        (["train", "atari10k/Breakout"], "unknown benchmark 'atari10k': did you mean 'atari100k'?"),
        (["train", "Breakout"], "'Breakout' needs its benchmark in front: atari100k/Breakout"),
        (
            ["train", "atari100k/Pong", "discount=0.98"],
            "unknown setting 'discount': did you mean 'controller.discount'?",
        ),
        (
            ["train", "atari100k/Pong", "controler.discount=0.98"],
            "unknown setting 'controler.discount': did you mean 'controller.discount'?",
        ),
        (["train", "atari100k/Pong", "controller.discount"], "settings are given as KEY=VALUE"),
        (
            ["train", "atari100k/Pong", "world_model.optimizer.learning_rate=-1"],
            "world_model.optimizer.learning_rate: must be greater than 0, got -1",
        ),
        (["train", "atari100k/Pong", "precision=fp16"], "precision: must be 'fp32', 'tf32' or 'bf16', got 'fp16'"),
        (["train", "atari100k/Pong", "--variant", "tniy"], "unknown variant 'tniy': did you mean 'tiny'?"),
        (["train", "atari100k/Pong", "--seed", "all"], "--seed must be a whole number, got 'all'"),
        (["train", "atari100k/Pong", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["train"], "which task? for example atari100k/Breakout"),
        (["train", "dmc500k"], "which task of dmc500k? for example dmc500k/acrobot-swingup"),
        ([*TINY, "--device", "gpu"], "unknown device 'gpu': valid are auto, cpu, cuda, cuda:N and mps"),
        ([*TINY, "--device", "cuda:99"], "device 'cuda:99' is not available"),
        ([*TINY, "--threads", "0"], "--threads must be at least 1, got 0"),
        ([*TINY, "--track", "wandbb"], "unknown tracker 'wandbb': did you mean 'wandb'?"),
        ([*TINY, "--episodes", "0"], "--episodes must be at least 1, got 0"),
        (["train", "--config", "resolved-1.yaml"], "--config takes --run"),
        (["train", "dmc500k/walker-run", "--device", "auto"], "say --device cpu if you mean it"),
        (["train", "atari100k/Pong", "--device", "cpu"], "vgg16-397923af.pth and lpips-v0.1-vgg.pth not found"),
        (["evaluate"], "which run? give one folder"),
        (["evaluate", "results/runs/toy/tiny/image/seed-7"], "there is no folder results/runs/toy/tiny/image/seed-7"),
        (["resume", "results/runs/toy/tiny/image/seed-7"], "there is no folder"),
        (["watch", "results/runs/toy/tiny/image/seed-7"], "seed-7"),
        (["status", "config/quickstrat.yaml"], "did you mean config/quickstart.yaml?"),
        (["trian"], "unknown command 'trian': did you mean 'train'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(
    words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In another folder than the repository's, too: the package carries what it needs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert expected in line_of(words, capsys)


def test_a_run_without_weights_cannot_be_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_settings(tmp_path, toy_settings("image"))
    assert "train the run first" in line_of(["evaluate", str(tmp_path)], capsys)


def test_two_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with Lease(folder):
        assert "is being trained by process" in line_of([*TINY, "--run", str(folder)], capsys)


def test_results_of_other_settings_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_settings(tmp_path, toy_settings("image"))
    (tmp_path / "weights.safetensors").touch()
    assert "of other settings: give another folder" in line_of([*TINY, "--run", str(tmp_path)], capsys)
    assert (tmp_path / "weights.safetensors").exists()


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit, match=r"^error: M3 needs Python 3\.11 or newer"):
        importlib.reload(m3)


def test_a_missing_package_is_named_with_those_it_comes_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "m3.analysis.style", None)
    monkeypatch.delitem(sys.modules, "m3.analysis.style")
    words = ["diagnosis-figure", "--runs", "nowhere", "--output", "nowhere"]
    told = "the package matplotlib is not installed: pip install bokeh matplotlib pandas rliable seaborn"
    assert told in line_of(words, capsys)


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("m3.cli.inspect.run", interrupt)
    assert line_of(["inspect", "file"], capsys) == "stopped"


def test_ctrl_c_while_training(tmp_path: Path) -> None:
    """The epoch ends, a checkpoint follows, and the same command goes on."""
    command = [sys.executable, "-m", "m3", *TINY, "epochs=100000", "--device", "cpu", "--track", "none", "--no-media"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "epoch 1/" in line:
                process.send_signal(signal.SIGINT)
                break
        lines = process.stdout.read().splitlines()
    assert process.returncode == 3
    assert "received SIGINT; start again to continue" in lines[-1]


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m m3 train --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("figurs", "-n"), "error: unknown target 'figurs': did you mean 'figures'?"),
        (("-n", "--config", "set=controller.discout=0.9"), "did you mean 'controller.discount'?"),
        (("-n", "--config", "sett=a"), "only scores, partial and set can be given there"),
        (("-n", "results/runs/atari100k/tiny/Pongg/seed-0/scores.h5"), "did you mean 'atari100k/tiny/Pong/seed-0'?"),
    ],
)
def test_mistakes_in_the_workflow(project: Project, arguments: tuple[str, ...], expected: str) -> None:
    result = project.snakemake(*arguments)
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if not line.startswith("Using ")]
    assert len(lines) == 1
    assert expected in lines[0]


def test_a_misspelt_experiment(project: Project) -> None:
    result = project.snakemake("-n", configfile="config/onw.yaml")
    assert result.returncode != 0
    [last] = [line for line in result.stderr.splitlines() if not line.startswith("Using ")]
    assert last == "error: there is no file config/onw.yaml, given as --configfile: did you mean config/own.yaml?"


@pytest.mark.parametrize("place", ["workflow/Snakefile", "m3/cli/train.py"])
def test_ctrl_c_in_the_workflow(place: str, project: Project) -> None:
    """While it plans, and while a job runs: Snakemake and its jobs get the signal, as from a terminal."""
    file = project.folder / place
    interrupting = "import os, signal, time\nos.killpg(0, signal.SIGINT)\ntime.sleep(60)\n"
    file.write_text(file.read_text() + interrupting)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "runs", "--configfile", "config/own.yaml"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=project.folder, start_new_session=True, text=True, **pipes) as run:
        lines = run.communicate(timeout=120)[1].splitlines()
    assert run.returncode != 0
    assert lines[-1] == "stopping, once the running jobs have ended; give the same command again to continue"
    assert not [line for line in lines if "Error" in line or "Traceback" in line]


def test_settings_and_seeds_from_the_command_line_of_the_workflow(project: Project) -> None:
    """They make runs of their own; what is there stays."""
    changed = project.snakemake("runs", "--cores", "2", "--config", "set=controller.discount=0.98 precision=bf16")
    assert changed.returncode == 0, changed.stderr
    folder = project.folder / "results/runs/atari100k/tiny+controller.discount-0.98+precision-bf16/Pong/seed-1"
    [settings] = folder.glob("resolved-*.yaml")
    assert "discount: 0.98" in settings.read_text()
    assert "precision: bf16" in settings.read_text()
    assert not project.run_folder("Pong", 1).exists()
    seed = "results/runs/atari100k/tiny/Pong/seed-7/scores.h5"
    other = project.snakemake(seed, "--cores", "2")
    assert other.returncode == 0, other.stderr
    assert (project.folder / seed).exists()
    assert (project.folder / "results/last_experiment.txt").read_text() == "config/own.yaml\n"
