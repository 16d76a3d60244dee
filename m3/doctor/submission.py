"""What the jobs of an experiment ask Slurm for, as Snakemake's plugin words it, and whether Slurm would take them."""

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Literal

from m3.config.experiment import JobResources
from m3.config.plan import Plan
from m3.doctor.checks import Finding, asked_for
from m3.errors import UserError

_SECONDS = 60
_JOBS: tuple[Literal["train", "evaluate"], ...] = ("train", "evaluate")


class _Resources(dict[str, Any]):
    """A job's resources as the plugin reads them: by name, and as attributes."""

    __getattr__ = dict.__getitem__


def options(profile: Mapping[str, Any], asked: JobResources, rule: str) -> list[str]:
    """Return the options of sbatch with which the plugin submits a job of a rule.

    Args:
        profile: Snakemake's, with default-resources, set-resources and set-threads.
        asked: what the benchmark's file or the experiment says of the job.
        rule: train or evaluate.

    Raises:
        UserError: the plugin is not installed, or refuses the resources.
    """
    try:
        from snakemake_executor_plugin_slurm.submit_string import get_submit_command
        from snakemake_executor_plugin_slurm.utils import set_gres_string
        from snakemake_interface_common.exceptions import WorkflowError
    except ImportError as error:
        raise UserError("Snakemake and its plugin for Slurm are not installed: make setup installs them") from error
    of_rule = asked_for(profile, asked, rule).model_dump()
    threads = of_rule.pop("threads")
    changed = (profile.get("set-resources") or {}).get(rule) or {}
    resources = _Resources((profile.get("default-resources") or {}) | changed | of_rule)
    partition, account = resources.get("slurm_partition"), resources.get("slurm_account")
    parameters = {
        "run_uuid": "m3-doctor",
        "slurm_logfile": "/dev/null",
        "comment_str": f"rule_{rule}",
        "account": f"-A {shlex.quote(str(account))}" if account else "",
        "partition": f"-p {shlex.quote(str(partition))}" if partition else "",
        "workdir": None,
    }
    job = SimpleNamespace(resources=resources, threads=threads)
    wanted = ("requeue", "no-requeue", "qos", "reservation")
    settings = SimpleNamespace(**{name.replace("-", "_"): profile.get(f"slurm-{name}") for name in wanted})
    try:
        command = get_submit_command(job, parameters, settings=settings) + set_gres_string(job)
    except WorkflowError as error:
        raise UserError(f"{rule}: {' '.join(str(error).split())}") from error
    return shlex.split(command)[1:]


def check_submissions(profile: Mapping[str, Any], plan: Plan) -> Iterator[Finding]:
    """Ask Slurm whether it could start the experiment's jobs, without submitting any (`sbatch --test-only`)."""
    for benchmark in dict.fromkeys(run.benchmark for run in plan.runs):
        for rule in _JOBS:
            subject = f"{benchmark} {rule}"
            try:
                said = refusal(options(profile, getattr(plan.resources[benchmark], rule), rule))
            except UserError as error:
                said = str(error)
            if said:
                text = f"Slurm would not run it: {said}; change resources in config/benchmarks/{benchmark}.yaml or in "
                yield Finding("problem", subject, text + "the experiment, or the profile")


def refusal(request: list[str]) -> str:
    """Return what sbatch says of a request that it would refuse; empty where it would take it."""
    command = ["sbatch", "--test-only", *request, "--wrap=true"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except FileNotFoundError:
        return "sbatch is not installed here"
    except subprocess.TimeoutExpired:
        return f"sbatch --test-only did not answer within {_SECONDS} s"
    lines = [line for line in result.stderr.splitlines() if line.strip()] or ["sbatch refuses it without a word"]
    return re.sub(r"^(sbatch: error|allocation failure): ", "", lines[-1]) if result.returncode else ""
