"""Look at a cluster before using it."""

import argparse
from pathlib import Path

from m3.cli import add_experiment

HELP = "tell what of an experiment will and will not work on this cluster, and what to change"

EXAMPLES = """\
m3 doctor
m3 doctor config/quickstart.yaml --job    # also send a small job
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_experiment(parser)
    parser.add_argument(
        "--profile",
        type=Path,
        default=Path("workflow/profiles/slurm/profile.yaml"),
        metavar="FILE",
        help="of Snakemake (default: %(default)s)",
    )
    parser.add_argument(
        "--job", action="store_true", help="also submit a job like a training's, wait for it, and tell what it sees"
    )


def run(args: argparse.Namespace) -> int:
    from m3.config.plan import load_experiment
    from m3.config.yaml_files import read_yaml
    from m3.doctor.checks import check_files, check_jobs, check_python, check_settings
    from m3.doctor.slurm import read_cluster
    from m3.doctor.trial import try_job
    from m3.errors import ExitStatus

    plan, profile, cluster = load_experiment(args.experiment), read_yaml(args.profile), read_cluster()
    findings = [
        *check_python(Path("requirements.lock")),
        *check_files(Path.cwd(), len(plan.runs), cluster.nodes),
        *check_settings(cluster, profile),
        *check_jobs(cluster, profile, plan),
        *(try_job(profile, plan) if args.job else ()),
    ]
    for finding in findings:
        print(f"{finding.level:<8} {finding.subject}: {finding.text}")
    problems = sum(finding.level == "problem" for finding in findings)
    print(f"{problems} problems" if problems else "ready for snakemake --profile slurm")
    return ExitStatus.ERROR if problems else ExitStatus.FINISHED
