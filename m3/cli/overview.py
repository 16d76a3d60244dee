"""Draw the overview of several benchmarks."""

import argparse
from pathlib import Path

HELP = "draw one figure of several benchmarks"

EXAMPLES = """\
m3 overview --aggregates mine/aggregates.h5 --output mine
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--aggregates", type=Path, nargs="+", required=True, metavar="FILE", help="one per benchmark")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="for the figure")


def run(args: argparse.Namespace) -> int:
    from m3.analysis import aggregates, catalog
    from m3.analysis.figures.overview import overview_figure
    from m3.analysis.style import save, style

    statistics = [aggregates.read(path) for path in args.aggregates]
    with style():
        save(overview_figure(statistics), args.output, catalog.OVERVIEW.name)
    print(args.output / f"{catalog.OVERVIEW.name}.png")
    return 0
