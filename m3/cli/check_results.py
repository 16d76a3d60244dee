"""Check what a variant's program leaves."""

import argparse
import sys
from pathlib import Path

HELP = "report every fault in the scores and metrics that a variant's own program left"

EXAMPLES = """\
m3 check-results $RUN
m3 check-results $RUN --episodes 100
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--episodes", type=int, metavar="N", help="episodes that the final evaluation must have (default: any number)"
    )


def run(args: argparse.Namespace) -> int:
    from m3.errors import ExitStatus
    from m3.files.run_folder import read_settings
    from m3.programs.contract import faults

    found = [fault for run in args.runs for fault in faults(run, read_settings(run), args.episodes)]
    for fault in found:
        print(f"error: {fault}", file=sys.stderr)
    if not found:
        print(f"{len(args.runs)} run{'s' * (len(args.runs) > 1)}: scores and metrics are as they must be")
    return ExitStatus.ERROR if found else ExitStatus.FINISHED
