"""Gather the scores of a benchmark into one table."""

import argparse
from pathlib import Path

from m3.cli import variant_labels
from m3.errors import UserError
from m3.files.names import SCORE_TABLE

HELP = "collect the published scores of a benchmark and those of finished runs in one table"

EXAMPLES = f"""\
m3 collect --benchmark atari100k --published results/published --scores published --output mine/{SCORE_TABLE}
m3 collect --benchmark atari100k --published results/published --runs $RUN --output mine/{SCORE_TABLE}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--benchmark", required=True, help="for example atari100k")
    config = "folder that contains benchmarks/{benchmark}.yaml, with its reference scores and labels (default: config)"
    parser.add_argument("--config", type=Path, default=Path("config"), metavar="FOLDER", help=config)
    parser.add_argument(
        "--published", type=Path, metavar="FOLDER", help="published scores (default: those in the package)"
    )
    parser.add_argument(
        "--scores", choices=["published", "own", "both"], default="both", help="which scores to include (default: both)"
    )
    methods = "published methods to include, or all (default: the benchmark's short list)"
    parser.add_argument("--methods", nargs="*", default=[], metavar="NAME", help=methods)
    parser.add_argument("--runs", type=Path, nargs="*", default=[], metavar="FOLDER", help="folders of finished runs")
    labels = "names of variants in figures; ablations are compared with the first one"
    parser.add_argument("--labels", nargs="*", default=[], metavar="VARIANT=LABEL", help=labels)
    files = "CSV files with scores of other methods: method, task, seed, steps, score"
    parser.add_argument("--score-files", type=Path, nargs="*", default=[], metavar="FILE", help=files)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="where to write the table, as HDF5")


def run(args: argparse.Namespace) -> int:
    from m3.analysis import scores
    from m3.analysis.provenance import provenance
    from m3.analysis.sources import Sources, collect
    from m3.config.loading import published_folder

    if args.scores == "published" and args.runs:
        raise UserError("--scores published takes no --runs; use --scores both")
    if args.scores == "own" and not (args.runs or args.score_files):
        raise UserError("--scores own needs the folders of finished runs after --runs")
    sources = Sources(
        published=None if args.scores == "own" else args.published or published_folder(),
        methods=tuple(args.methods),
        runs=args.runs,
        labels=variant_labels(args.labels),
        files=args.score_files,
    )
    table = collect(args.benchmark, sources, args.config)
    settings = {name: getattr(args, name) for name in ("benchmark", "scores", "methods", "labels")}
    settings["score_files"] = [str(path) for path in args.score_files]
    scores.write(args.output, table, provenance(settings, table))
    for note in table.notes:
        print(f"note: {note}")
    print(f"{args.output}: {len(table.methods)} methods, {len(table.scores)} runs, {len(table.runs)} of them own")
    return 0
