"""What others run is what is checked here."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_github_runs_the_script_of_this_repository() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert any(".ci/run" in step.get("run", "") for step in steps)


def test_it_leaves_no_test_out() -> None:
    """Neither the slow ones, which `make test` leaves out, nor those of Slurm, which have a target of their own."""
    commands = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line.startswith("make ")]
    assert commands == ["make lint", "make test-all", "make slurm-test"]
    makefile = (ROOT / "Makefile").read_text()
    [pytest] = re.findall(r"^PYTEST := (.*)", makefile, re.M)
    assert re.findall(r"(-m (?!pytest)|-k|--ignore|--deselect) ?(\S*)", pytest) == [("--ignore", "tests/slurm")]
    recipes = dict(re.findall(r"^([a-z-]+): \$\(INSTALLED\)\n\t(.*)", makefile, re.M))
    assert recipes["test-all"] == "$(PYTEST)"
    assert recipes["test"] == '$(PYTEST) -m "not slow"'
    assert recipes["slurm-test"].endswith(" tests/slurm")


def test_what_is_checked_before_a_commit_is_what_lint_checks() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    for hook in hooks:
        tool = hook["entry"].removeprefix(".venv/bin/")
        assert f"$(BIN)/{tool}" in lint


def test_the_catalog_tells_how_the_workflow_is_used() -> None:
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["report"] is True
    assert usage["software-stack-deployment"] == {"conda": True}
    profile = yaml.safe_load((ROOT / "workflow/profiles/default/profile.yaml").read_text())
    assert usage["mandatory-flags"]["flags"] == f"--rerun-triggers {' '.join(profile['rerun-triggers'])}"
    assert (ROOT / "config/config.yaml").is_file()
