"""Look at a run before it is finished."""

import argparse
from pathlib import Path

from m3.cli import add_own_code

HELP = "write the weights and metrics of a run's newest checkpoint to another folder, as if it were finished"

EXAMPLES = """\
m3 snapshot --run $RUN --output build/snapshot
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the run's folder; the command only reads it, and the run may be training",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where to write the snapshot; an earlier one there is replaced",
    )
    add_own_code(parser)


def run(args: argparse.Namespace) -> int:
    from m3.runs.snapshot import take_snapshot

    reached = take_snapshot(args.run, args.output, args.own_code)
    print(f"{args.output}: epoch {reached.epoch}/{reached.epochs}, {reached.agent_steps:,} agent steps")
    return 0
