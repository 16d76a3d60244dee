"""Let a variant's own program train and evaluate a run."""

import argparse
import sys
from pathlib import Path

from m3.files.names import ANY_SETTINGS

HELP = "call a variant's own program to train and evaluate a run, and check the files that it leaves"

EXAMPLES = f"""\
m3 run-program --config $RUN/{ANY_SETTINGS} --run $RUN --episodes 100
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="resolved settings of the run")
    parser.add_argument("--run", type=Path, required=True, metavar="FOLDER", help="the run's folder")
    parser.add_argument("--episodes", type=int, required=True, metavar="N", help="episodes of the final evaluation")
    parser.add_argument("--device", default="auto", help="the device that the program is told to use (default: auto)")


def run(args: argparse.Namespace) -> int:
    from m3.errors import ExitStatus, UserError
    from m3.files.run_folder import read_resolved
    from m3.programs.running import run_program

    if args.episodes < 1:
        raise UserError(f"--episodes must be at least 1, got {args.episodes}")
    found = run_program(args.run, read_resolved(args.config), args.episodes, args.device)
    for fault in found:
        print(f"error: {fault}", file=sys.stderr)
    return ExitStatus.ERROR if found else ExitStatus.FINISHED
