"""Export what a run has experienced."""

import argparse
from pathlib import Path

from m3.cli import add_own_code
from m3.files.names import DATASET

HELP = f"export the episodes that a run has collected to {DATASET}, in Minari's layout"

EXAMPLES = """\
m3 dataset --run $RUN
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, metavar="FOLDER", help="the run's folder")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help=f"where to write it (default: {DATASET} in the run's folder)"
    )
    add_own_code(parser)


def run(args: argparse.Namespace) -> int:
    from m3.runs.dataset import export_dataset

    output = args.output or args.run / DATASET
    episodes = export_dataset(args.run, output, args.own_code)
    print(f"{episodes} episodes are in {output}")
    return 0
