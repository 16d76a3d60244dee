"""Write the tables of a benchmark."""

import argparse
from pathlib import Path

from m3.files.names import AGGREGATES, SCORE_TABLE

HELP = "write the tables of a benchmark, as LaTeX, Markdown, CSV and HTML"

EXAMPLES = f"""\
m3 tables --scores mine/{SCORE_TABLE} --aggregates mine/{AGGREGATES} --output mine
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scores", type=Path, required=True, metavar="FILE", help="the table that collect wrote")
    parser.add_argument(
        "--aggregates", type=Path, required=True, metavar="FILE", help="what aggregate computed from it"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where to write the tables")


def run(args: argparse.Namespace) -> int:
    from m3.analysis import aggregates, catalog, scores
    from m3.analysis.tables import files
    from m3.files.atomic import atomic_file

    table = scores.read(args.scores)
    statistics = aggregates.read(args.aggregates, table.benchmark)
    for name in catalog.table_names(len(table.trained)):
        for suffix, text in files(name, statistics, table).items():
            with atomic_file(args.output / f"{name}.{suffix}") as file:
                file.write(text.encode())
        print(args.output / f"{name}.md")
    return 0
