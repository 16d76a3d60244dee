"""Train small agents, and see whether they still learn as well as before."""

import argparse
import os
from pathlib import Path

from m3.cli import check_range

HELP = "train small agents on two tasks, and compare what they learn with what earlier ones did"

EXAMPLES = """\
m3 learning-check
m3 learning-check --seeds 100 101 102 103 --processes 4
m3 learning-check --store --seeds 0 1 2 3 4
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    seeds, cores = [100, 101, 102], os.cpu_count() or 1
    parser.add_argument("--seeds", type=int, nargs="+", default=seeds, metavar="N", help="seeds (default: 100 to 102)")
    parser.add_argument("--processes", type=int, default=cores, metavar="N", help="runs at a time (default: all cores)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("build/learning-check"),
        metavar="FOLDER",
        help="for the runs (default: build/learning-check)",
    )
    parser.add_argument("--store", action="store_true", help="store what these seeds learn, to compare others with it")


def run(args: argparse.Namespace) -> int:
    from m3.checks import learning
    from m3.errors import ExitStatus, UserError

    check_range(args, "processes", 1, 1024)
    if len(set(args.seeds)) < len(args.seeds) or min(args.seeds) < 0:
        raise UserError(f"--seeds must be different numbers from 0 on, got {' '.join(map(str, args.seeds))}")
    if not args.store:
        learning.refuse_stored(args.seeds, learning.BANDS)
    reached = learning.train(args.folder, args.seeds, args.processes)
    if args.store:
        learning.store(reached, learning.BANDS)
        print(f"stored in {learning.BANDS}")
        return ExitStatus.FINISHED
    comparisons = learning.compare(reached, learning.BANDS)
    for comparison in comparisons:
        print(comparison)
    return ExitStatus.DIFFERENT if any(each.is_worse for each in comparisons) else ExitStatus.FINISHED
