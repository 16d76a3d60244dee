"""Training, acting, checkpoints, timing and diagnosis on a CUDA device without values, and what makes them fail there.

They run in processes of their own, as torch learns of its devices once.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from components import missing

pytestmark = pytest.mark.slow

CEILINGS = json.loads(Path(__file__).with_name("kernel_ceilings.json").read_text())
"""Benchmark and variant -> component -> kernels of a step at the paper's sizes, by ``bench --kernels``, rounded up."""
MEMORY_CEILINGS = json.loads(Path(__file__).with_name("memory_ceilings.json").read_text())
"""The same of the gigabytes that a step holds at most."""
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


CASES = {
    "atari100k": ("atari100k", "m3", "fp32"),
    "dmc500k": ("dmc500k", "m3", "tf32"),
    "craftax1m": ("craftax1m", "m3", "bf16"),
    "simulus-a": ("atari100k", "simulus-a", "bf16"),
    "attention": ("dmc500k", "attention", "fp32"),
}
"""Name -> benchmark, variant and precision of what is rehearsed."""
REHEARSALS = Path(__file__).with_name("rehearsals.py")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=1800)
    if "g++ is missing" in result.stderr:
        missing("g++")
    assert result.returncode == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def rehearsals() -> dict[str, tuple[list[str], str]]:
    """By case or fault: what was done, and the error that ended it, if any."""
    faulty = {fault: (*CASES["dmc500k"], *planted[:2]) for fault, planted in FAULTS.items()}
    return json.loads(run(str(REHEARSALS), json.dumps(CASES | faulty)).stdout)


@pytest.mark.parametrize("case", CASES)
def test_everything_runs_on_a_device_whose_values_nobody_reads(case: str, rehearsals: dict) -> None:
    lines, error = rehearsals[case]
    assert error == ""
    done = dict(line.split(": ", 1) for line in lines)
    parts = ["tokenizer"] * (CASES[case][0] == "atari100k") + ["world_model", "controller"]
    assert {f"train the {part} after loading" for part in parts} <= done.keys()
    assert {"collect", "explore", "burn in", "evaluate", "save", "load", "diagnose"} <= done.keys()
    assert "downloads in []" in done["time the controller"]
    assert [", 1 captures" in done[f"capture the {part}"] for part in parts] == [True] * len(parts)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_an_error(fault: str, rehearsals: dict) -> None:
    _, error = rehearsals[fault]
    assert error
    assert FAULTS[fault][2] in error.splitlines()[-1]


def counts_of(benchmark: str, variant: str, *options: str) -> dict[str, dict]:
    named = ["--benchmark", benchmark, "--variant", variant]
    arguments = ["bench", "--kernels", *named, "--stored-steps", "600", "--json", *options]
    result = run("-m", "m3", *arguments)
    return {count["part"]: count for count in json.loads(result.stdout)["counts"]}


@pytest.mark.parametrize("measured", CEILINGS)
def test_no_step_has_more_kernels_or_memory_than_its_ceiling(measured: str) -> None:
    counts = counts_of(*measured.split())
    kernels, memory = CEILINGS[measured], MEMORY_CEILINGS.get(measured, {})
    assert {part: counts[part]["total"] for part, most in kernels.items() if counts[part]["total"] > most} == {}
    held = {part: counts[part]["peak_bytes"] / 1e9 for part in counts}
    assert {part: held[part] for part, most in memory.items() if held[part] > most} == {}


def test_recomputing_layers_takes_a_fraction_of_the_memory_and_a_quarter_more_kernels() -> None:
    """Less than the 5 GB of the aim, on Atari, where the world model otherwise holds 10.7."""
    count = counts_of("atari100k", "m3", "--component", "world-model", "--recompute")["world_model"]
    assert count["peak_bytes"] < 2.1e9
    assert count["total"] <= 1220


def test_live_memory_is_what_tensors_hold_at_once() -> None:
    result = run(
        "-c",
        "import torch\nfrom m3.bench.fake.device import CUDA, fake_cuda\nfrom m3.bench.memory import LiveMemory\n"
        "with fake_cuda(), LiveMemory() as memory:\n"
        "    kept = torch.zeros(1000, device=CUDA)\n    view = kept[10:].view(-1)\n"
        "    freed = kept + 1\n    del freed\n    again = kept * 2\n    print(memory.live, memory.peak)\n"
        "    del kept, again\n    print(memory.live, memory.peak)\n    del view\n    print(memory.live, memory.peak)",
    )
    assert result.stdout.split() == ["8000", "8000", "4000", "8000", "0", "8000"], result.stderr
