"""Training, acting, checkpoints, timing and diagnosis on a CUDA device without values, and what makes them fail there.

Every case is a process of its own, as torch learns of its devices once.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from components import missing

CEILINGS = json.loads(Path(__file__).with_name("kernel_ceilings.json").read_text())
"""Benchmark and variant -> component -> kernels of a step at the paper's sizes, by ``bench --kernels``, rounded up."""
FAULTS = {
    "a tensor on the host": (
        "agent.behavior.alive_steps",
        "result + torch.ones(3)[:, None].sum(1).mean(0, True)",
        "device",
    ),
    "a value": ("agent.behavior.alive_steps", "result * result.sum().item()", "_local_scalar_dense"),
    "a branch": ("agent.behavior.alive_steps", "result if result.sum() > 0 else -result", "_local_scalar_dense"),
    "a mask": ("agent.behavior.alive_steps", "result + result[result > 0].sum()", "nonzero"),
    "an upload in a graph": (
        "agent.behavior.alive_steps",
        "result * __import__('m3.nn.host').nn.host.upload(__import__('numpy').ones(1), result.device)",
        "meets the host while a CUDA graph is captured",
    ),
    "a copy": ("agent.policy.classes_to_actions", "torch.from_numpy(result.cpu().numpy())", ""),
}
"""What is planted: a function, what takes the place of its result, and what the error names."""


def run(code: str) -> subprocess.CompletedProcess[str]:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    if "g++ is missing" in result.stderr:
        missing("g++")
    return result


def rehearse(benchmark: str, variant: str, precision: str, before: str = "") -> subprocess.CompletedProcess[str]:
    return run(
        f"import sys, torch\nfrom m3.bench.fake import rehearsal\n{before}\n"
        f"sys.argv[1:] = [{benchmark!r}, {variant!r}, {precision!r}]\nrehearsal.main()"
    )


@pytest.mark.parametrize(
    ("benchmark", "variant", "precision"),
    [
        ("atari100k", "m3", "fp32"),
        ("dmc500k", "m3", "tf32"),
        ("craftax1m", "m3", "bf16"),
        ("atari100k", "simulus-a", "bf16"),
        ("dmc500k", "attention", "fp32"),
    ],
)
def test_everything_runs_on_a_device_whose_values_nobody_reads(benchmark: str, variant: str, precision: str) -> None:
    result = rehearse(benchmark, variant, precision)
    assert result.returncode == 0, result.stderr
    done = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    parts = ["tokenizer"] * (benchmark == "atari100k") + ["world_model", "controller"]
    assert {f"train the {part} after loading" for part in parts} <= done.keys()
    assert {"collect", "explore", "burn in", "evaluate", "save", "load", "diagnose"} <= done.keys()
    assert "downloads in []" in done["time the controller"]
    assert [", 1 captures" in done[f"capture the {part}"] for part in parts] == [True] * len(parts)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_an_error(fault: str) -> None:
    target, result, named = FAULTS[fault]
    module, name = target.rsplit(".", 1)
    plant = (
        f"import m3.{module} as module\noriginal = module.{name}\n"
        f"def faulty(*args):\n    result = original(*args)\n    return {result}\n"
        f"module.{name} = faulty"
    )
    found = rehearse("dmc500k", "m3", "fp32", plant)
    assert found.returncode != 0
    assert named in found.stderr.splitlines()[-1]


@pytest.mark.parametrize("measured", CEILINGS)
def test_no_step_has_more_kernels_than_its_ceiling(measured: str) -> None:
    ceilings, (benchmark, variant) = CEILINGS[measured], measured.split()
    arguments = [
        "bench",
        "--kernels",
        "--benchmark",
        benchmark,
        "--variant",
        variant,
        "--stored-steps",
        "600",
        "--json",
    ]
    code = f"from m3.cli import main; main({arguments!r})"
    result = run(code)
    assert result.returncode == 0, result.stderr
    counts = {count["part"]: count["total"] for count in json.loads(result.stdout)["counts"]}
    assert {part: (counts[part], most) for part, most in ceilings.items() if counts[part] > most} == {}
