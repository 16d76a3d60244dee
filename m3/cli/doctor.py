"""Look at a machine or a cluster before using it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from m3.cli import add_experiment
from m3.errors import ExitStatus, UserError

if TYPE_CHECKING:
    from m3.doctor.checks import Finding

LOCK = Path("requirements.lock")

HELP = "check what will work on this machine, or on the cluster it submits to, and say what to change"

EXAMPLES = """\
m3 doctor                                 # check the machine or, with Slurm, the cluster for config/paper.yaml
m3 doctor config/quickstart.yaml --job    # also submit a small job
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_experiment(parser)
    parser.add_argument(
        "--profile",
        type=Path,
        default=Path("workflow/profiles/slurm/profile.yaml"),
        metavar="FILE",
        help="Snakemake's profile for the cluster, or its folder (default: %(default)s)",
    )
    parser.add_argument(
        "--job",
        action="store_true",
        help="also submit a job like a training job, wait for it, and report what it finds there",
    )


def run(args: argparse.Namespace) -> int:
    from m3.config.plan import load_experiment
    from m3.config.yaml_files import read_yaml
    from m3.doctor.checks import check_files, check_jobs, check_python, check_settings
    from m3.doctor.machine import check_machine
    from m3.doctor.slurm import read_cluster
    from m3.doctor.submission import check_submissions
    from m3.doctor.trial import try_job

    try:
        cluster = read_cluster()
    except UserError:
        if args.job:
            raise
        return _report([*check_python(LOCK), *check_machine(Path.cwd(), Path("pretrained"))], "ready for m3 train")
    file = args.profile / "profile.yaml" if args.profile.is_dir() else args.profile
    plan, profile = load_experiment(args.experiment), read_yaml(file)
    findings = [
        *check_python(LOCK),
        *check_files(Path.cwd(), len(plan.runs), cluster.nodes),
        *check_settings(cluster, profile),
        *check_jobs(cluster, profile, plan),
        *check_submissions(profile, plan),
        *(try_job(profile, plan) if args.job else ()),
    ]
    return _report(findings, "ready for snakemake --profile slurm")


def _report(findings: "Sequence[Finding]", ready: str) -> int:
    """Print what was found. Return the exit status."""
    for finding in findings:
        print(f"{finding.level:<8} {finding.subject}: {finding.text}")
    problems = sum(finding.level == "problem" for finding in findings)
    print(f"{problems} problem{'s' * (problems > 1)}" if problems else ready)
    return ExitStatus.ERROR if problems else ExitStatus.FINISHED
