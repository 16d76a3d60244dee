"""Show several benchmarks together."""

import argparse
from pathlib import Path

from m3.errors import UserError
from m3.files.names import AGGREGATES, SCORE_TABLE

HELP = "draw the figures of several benchmarks together, and write a page to explore their scores in a browser"

EXAMPLES = f"""\
m3 overview --scores mine/{SCORE_TABLE} --aggregates mine/{AGGREGATES} --output mine
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    help = "the tables that collect wrote, one per benchmark"
    parser.add_argument("--scores", type=Path, nargs="+", required=True, metavar="FILE", help=help)
    help = "what aggregate computed from them, in the same order"
    parser.add_argument("--aggregates", type=Path, nargs="+", required=True, metavar="FILE", help=help)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="where to write the figures and the page"
    )


def run(args: argparse.Namespace) -> int:
    from m3.analysis import aggregates, catalog, scores
    from m3.analysis.explore import explore_page
    from m3.analysis.joint import joint_figure
    from m3.analysis.style import save, style
    from m3.files.atomic import atomic_file

    if len(args.scores) != len(args.aggregates):
        raise UserError(
            f"--scores names {len(args.scores)} files, --aggregates {len(args.aggregates)}: one of each per benchmark"
        )
    tables = [scores.read(path) for path in args.scores]
    both = [
        (table, aggregates.read(path, table.benchmark)) for table, path in zip(tables, args.aggregates, strict=True)
    ]
    both.sort(key=lambda pair: pair[0].benchmark)
    for entry in catalog.JOINT_FIGURES:
        with style():
            figure, caption = joint_figure(entry.name, both)
            save(figure, args.output, entry.name, caption)
        print(args.output / f"{entry.name}.png")
    page = args.output / f"{catalog.EXPLORE.name}.html"
    with atomic_file(page) as file:
        file.write(explore_page(both).encode())
    print(page)
    return 0
