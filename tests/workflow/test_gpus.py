"""Trainings on one machine with several GPUs; the GPUs are names, training is a stand-in that tells which it sees."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from projects import ROOT, Project

TELL = "import os, time; from pathlib import Path; began = time.time(); time.sleep(1)"
TELL += "; Path(args.run, 'gpu').write_text(f\"{os.environ['CUDA_VISIBLE_DEVICES']} {began} {time.time()}\")"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two GPUs, of which nobody else uses any."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-8")
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def most_at_a_time(project: Project, *arguments: str) -> dict[str, int]:
    """GPU -> how many of four trainings were on it together, at most."""
    project.edit("m3/cli/train.py", "    print(", f"    {TELL}\n    print(")
    profile = (*arguments, "--profile", "workflow/profiles/gpus", "--cores", "16")
    result = project.snakemake(*profile, "runs", "--until", "train")
    assert result.returncode == 0, result.stderr
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for file in project.folder.glob("results/runs/**/gpu"):
        device, began, ended = file.read_text().split()
        times[device].append((float(began), float(ended)))
    return {device: max(sum(b <= began < e for b, e in runs) for began, _ in runs) for device, runs in times.items()}


def test_every_training_has_a_gpu_of_its_own(project: Project) -> None:
    """Also where Snakemake is told of more GPUs than there are."""
    assert most_at_a_time(project) == {"3": 1, "GPU-8": 1}


def test_trainings_share_gpus_where_that_is_asked_for(project: Project) -> None:
    assert most_at_a_time(project, "--set-resources", "train:runs_per_gpu=2") == {"3": 2, "GPU-8": 2}


def own_gpu(number: int, command: str) -> subprocess.Popen[str]:
    script = str(ROOT / "workflow/scripts/own_gpu.py")
    arguments = [sys.executable, script, str(number), "1", "sh", "-c", command]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_the_gpu_of_a_killed_training_is_free(tmp_path: Path) -> None:
    with own_gpu(2, f"touch {tmp_path}/began; exec sleep 60") as holder:
        while not (tmp_path / "began").exists():
            assert holder.poll() is None
        with own_gpu(1, "echo $CUDA_VISIBLE_DEVICES") as waiting:
            assert waiting.stdout is not None
            assert waiting.stdout.readline() == "waits for 1 of the GPUs 3, GPU-8\n"
            holder.kill()
            assert waiting.stdout.read() == "3\n"


def test_nothing_is_taken_without_need() -> None:
    assert own_gpu(0, "echo $CUDA_VISIBLE_DEVICES").communicate(timeout=30)[0] == "3,GPU-8\n"
