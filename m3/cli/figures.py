"""Draw the figures of a benchmark."""

import argparse
from pathlib import Path

from m3.errors import unknown_name

HELP = "draw the figures of a benchmark, as PDF and PNG"

EXAMPLES = """\
python -m m3 figures --scores mine/scores.h5 --aggregates mine/aggregates.h5 --output mine
python -m m3 figures --scores mine/scores.h5 --aggregates mine/aggregates.h5 --output mine --only iqm tasks
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scores", type=Path, required=True, metavar="FILE", help="the table that collect wrote")
    parser.add_argument(
        "--aggregates", type=Path, required=True, metavar="FILE", help="what aggregate computed from it"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="for the figures")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the figures (default: all that there are)")


def run(args: argparse.Namespace) -> int:
    from m3.analysis import aggregates, catalog, scores
    from m3.analysis.captions import caption
    from m3.analysis.figures import draw
    from m3.analysis.style import save, style

    table = scores.read(args.scores)
    statistics = aggregates.read(args.aggregates, table.benchmark)
    names = catalog.figure_names(table.benchmark, len(table.trained), table.has_published)
    for name in args.only or []:
        if name not in names:
            raise unknown_name(f"figure of {table.benchmark}", name, names)
    for name in args.only or names:
        with style():
            save(draw(name, statistics, table), args.output, name, caption(name, statistics, table))
        print(args.output / f"{name}.png")
    return 0
