"""Draw the figures of a benchmark."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m3.errors import UserError, unknown_name
from m3.files.names import AGGREGATES, AGGREGATES_CSV, SCORE_TABLE

HELP = "draw the figures of a benchmark, as PDF and PNG, each with its caption in Markdown"

EXAMPLES = f"""\
m3 figures atari100k              # published scores, into figures/own/atari100k
m3 figures atari100k --runs $RUN  # the same with your finished runs
m3 figures --scores mine/{SCORE_TABLE} --aggregates mine/{AGGREGATES} --output mine
m3 figures --scores mine/{SCORE_TABLE} --aggregates mine/{AGGREGATES} --output mine --only iqm tasks
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "benchmark", nargs="?", metavar="BENCHMARK", help="the benchmark, instead of --scores and --aggregates"
    )
    parser.add_argument("--runs", type=Path, nargs="+", default=[], metavar="RUN", help="finished runs of BENCHMARK")
    resamples = "bootstrap draws for BENCHMARK (default: 2000)"
    parser.add_argument("--repetitions", type=int, default=2000, metavar="N", help=resamples)
    parser.add_argument("--scores", type=Path, metavar="FILE", help="the table that collect wrote")
    parser.add_argument("--aggregates", type=Path, metavar="FILE", help="what aggregate computed from it")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="where to write the figures")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="draw only these figures (default: all)")


def run(args: argparse.Namespace) -> int:
    if args.benchmark is not None:
        folder = args.output or Path("figures", "own", args.benchmark)
        compute(args.benchmark, args.runs, args.repetitions, folder)
        return draw(folder / SCORE_TABLE, folder / AGGREGATES, folder, args.only)
    if None in (args.scores, args.aggregates, args.output):
        raise UserError("which figures? give a benchmark, such as atari100k, or --scores, --aggregates and --output")
    return draw(args.scores, args.aggregates, args.output, args.only)


def compute(benchmark: str, runs: Sequence[Path], repetitions: int, folder: Path) -> None:
    """Collect and aggregate a benchmark's published scores, and those of own runs, by the commands of that name."""
    from m3.cli import aggregate, collect, parse
    from m3.config.loading import published_folder

    folder.mkdir(parents=True, exist_ok=True)
    scores, statistics, table = (str(folder / name) for name in (SCORE_TABLE, AGGREGATES, AGGREGATES_CSV))
    own = ["--runs", *map(str, runs)] if runs else ["--scores", "published"]
    published = ["--published", str(published_folder())]
    collect.run(parse("collect", ["--benchmark", benchmark, *published, *own, "--output", scores]))
    options = ["--repetitions", str(repetitions), "--output", statistics, "--csv", table]
    aggregate.run(parse("aggregate", ["--scores", scores, *options]))


def draw(scores_file: Path, aggregates_file: Path, folder: Path, only: Sequence[str] | None) -> int:
    """Draw the figures of a table and its statistics, or some of them."""
    from m3.analysis import aggregates, catalog, figures, scores
    from m3.analysis.captions import caption
    from m3.analysis.style import save, style

    table = scores.read(scores_file)
    statistics = aggregates.read(aggregates_file, table.benchmark)
    names = catalog.figure_names(table.benchmark, len(table.trained), table.has_published)
    for name in only or []:
        if name not in names:
            raise unknown_name(f"figure of {table.benchmark}", name, names)
    for name in only or names:
        with style():
            save(figures.draw(name, statistics, table), folder, name, caption(name, statistics, table))
        print(folder / f"{name}.png")
    return 0
