"""Export what a run has experienced."""

import argparse
from pathlib import Path

HELP = "write the episodes that a run has collected to dataset.h5, in Minari's layout"

EXAMPLES = """\
python -m m3 dataset --run $RUN
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, metavar="FOLDER", help="the run's folder")
    parser.add_argument("--output", type=Path, metavar="FILE", help="(default: dataset.h5 in the run's folder)")


def run(args: argparse.Namespace) -> int:
    from m3.training.experience import export_dataset

    output = args.output or args.run / "dataset.h5"
    episodes = export_dataset(args.run, output)
    print(f"{episodes} episodes are in {output}")
    return 0
