"""Check where the numbers of a figure or table come from."""

import argparse
from pathlib import Path

HELP = "recreate a figure or table from its raw scores, and report every difference on the way"

EXAMPLES = """\
m3 verify figures/quickstart/atari100k/iqm.pdf
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="for example figures/atari100k/iqm.pdf")


def run(args: argparse.Namespace) -> int:
    from m3.analysis.verification import verify
    from m3.errors import ExitStatus

    findings = verify(args.files)
    for step in findings.steps:
        print(step)
    for problem in findings.problems:
        print(f"problem: {problem}")
    count = len(findings.problems)
    print(f"{count} problems" if count else "every number comes from where the file says")
    return ExitStatus.DIFFERENT if count else ExitStatus.FINISHED
