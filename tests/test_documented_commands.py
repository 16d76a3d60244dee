"""Every command in README and docs is run by a test, or stands here with what it needs that tests do not have."""

import os
import re
from pathlib import Path

import pytest
from test_help import PAGES, ROOT, code_blocks, inline_code

RUN_BY = {
    r"m3 (train|resume|status|evaluate RUN|figures \w+)": ("test_wheel.py", '"{}"'),
    r"m3 (resolve|inspect|doctor|diagnose|snapshot|dataset|describe|watch|verify) ?(?!-)": None,
    r"m3 (push|pull|run-program|check-results)\b": None,
    r"m3 evaluate --run": ("workflow/test_pipeline.py", "snakemake"),
    r"m3 evaluate (hf:|agents/)": None,
    r"m3 figures --scores": ("analysis/test_analysis_commands.py", "figures --scores"),
    r"m3 bench\b": ("bench/test_bench.py", "bench"),
    r"m3 import-weights": ("reference/test_importing.py", "import_weights"),
    r"m3 pretrained": ("test_pretrained.py", '"pretrained"'),
    r"m3 kill-test": ("reliability/test_kills.py", "kill"),
    r"m3 verify-golden": ("reference/test_golden.py", "verify_file"),
    r"snakemake (.*paper_figures|--report)": ("report/test_report.py", "paper_figures"),
    r"snakemake -n$": ("workflow/test_mistakes.py", '"-n"'),
    r"snakemake .*--config 'set=": ("workflow/test_mistakes.py", "set=controller.discount=0.98"),
    r"snakemake .*partial=true": ("workflow/test_scheduling.py", "partial=true"),
    r"snakemake .*--directory .test": ("workflow/test_reuse.py", '"--directory", ".test"'),
    r"snakemake .*diagnosis": ("workflow/test_pipeline.py", "diagnosis"),
    r"snakemake .*(quickstart|compare|mine|own_environment/experiment)\.yaml": (
        "workflow/test_pipeline.py",
        "snakemake",
    ),
    r"make quickstart": ("workflow/test_pipeline.py", "snakemake"),
    r"(python )?examples/\S+\.py": None,
    r"(VARIANT=\S+ SEED=1 )?examples/atari_for_minutes.sh": ("examples/test_atari_for_minutes.py", "examples/atari"),
    r"python tests/test_code_page.py": ("test_code_page.py", "tree_text"),
    r"python -m m3$": ("workflow/test_reuse.py", "snakemake"),
    r"python -m m3.config.training_version": ("reliability/test_training_version.py", "same-behaviour"),
    r"make (schemas|lock)": ("config/test_loading.py", "schema"),
}
"""What a command begins with -> the test that runs it, and a word of it; none: a test has the command's own word."""

NEEDS = {
    "a GPU": (
        r"snakemake --cores all$",
        r"snakemake .*config/simulus.yaml",
        r"snakemake .*workflow/profiles/gpus",
        r"snakemake.*m3/Breakout",
    ),
    "a cluster": (r"snakemake --profile slurm", r"make slurm", r"make lint test-all slurm-test"),
    "the internet": (
        r"pip install",
        r"conda env",
        r"docker ",
        r"make setup",
        r"snakemake --cores 1 perceptual_weights",
    ),
    "the package minigrid": (r"examples/minigrid",),
    "hours": (r"snakemake .*config/cpu_\w+\.yaml", r"make (agents|learning-check)", r"m3 learning-check"),
    "nothing, as it is a test": (r"python -m pytest", r"make test(-all)?$"),
    "a browser": (r"tensorboard ",),
}
PROGRAMS = ("m3 [a-z]", "snakemake .", "make [a-z]", "python .", "pip ", "conda ", "docker ", "tensorboard ")
COMMAND = re.compile("|".join((*PROGRAMS, r"(VARIANT=\S+ .*)?examples/\S+\.(py|sh)")))


def documented() -> list[str]:
    found = set()
    for page in PAGES:
        for line in [*code_blocks(page).replace("\\\n", " ").splitlines(), *inline_code(page)]:
            if COMMAND.match(line):
                found.add(re.sub(r"\s+", " ", line.partition(" #")[0]).strip())
    return sorted(found)


@pytest.mark.parametrize("command", documented())
def test_a_command_is_run_by_a_test_or_says_what_it_needs(command: str) -> None:
    if any(re.match(pattern, command) for patterns in NEEDS.values() for pattern in patterns):
        return
    matching = [(pattern, test) for pattern, test in RUN_BY.items() if re.match(pattern, command)]
    assert matching, f"no test runs it, and it is not in NEEDS: {command}"
    for _, test in matching:
        if test is None:
            words = command.split()
            word = Path(words[1] if words[0] in ("m3", "python") else words[0]).stem
            texts = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
            assert any(word in text for text in texts), word
        else:
            file, word = test
            assert word.format("".join(command.split()[1:2])) in (ROOT / "tests" / file).read_text()


def test_scripts_that_are_called_by_name_can_be_executed() -> None:
    scripts = {match for command in documented() for match in re.findall(r"^(?:\w+=\S+ )*(examples/\S+\.sh)", command)}
    assert scripts
    for script in scripts:
        assert os.access(ROOT / script, os.X_OK), script
