"""Look at a run before it is finished."""

import argparse
from pathlib import Path

HELP = "write weights and metrics of a run's newest checkpoint into another folder, as a finished run leaves them"

EXAMPLES = """\
m3 snapshot --run $RUN --output build/snapshot
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run", type=Path, required=True, metavar="FOLDER", help="the run's folder, only read; it may be training"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="another one; an earlier snapshot is replaced"
    )


def run(args: argparse.Namespace) -> int:
    from m3.runs.snapshot import take_snapshot

    reached = take_snapshot(args.run, args.output)
    print(f"{args.output}: epoch {reached.epoch}/{reached.epochs}, {reached.agent_steps:,} agent steps")
    return 0
