"""Gather the scores of a benchmark into one table."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from m3.cli import label, variant_labels
from m3.errors import UserError

HELP = "gather published scores and those of finished runs of a benchmark in one table"

EXAMPLES = """\
python -m m3 collect --benchmark atari100k --published results/published --scores published --output mine/scores.h5
python -m m3 collect --benchmark atari100k --published results/published --runs $RUN --output mine/scores.h5
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--benchmark", required=True, help="for example atari100k")
    name = "its name in figures, where it is not a published one (default: that of --benchmark)"
    parser.add_argument("--benchmark-label", default="", metavar="LABEL", help=name)
    parser.add_argument(
        "--published", type=Path, required=True, metavar="FOLDER", help="runs.csv, curves.csv.gz, references.csv"
    )
    parser.add_argument(
        "--scores", choices=["published", "own", "both"], default="both", help="which ones (default: both)"
    )
    parser.add_argument("--runs", type=Path, nargs="*", default=[], metavar="FOLDER", help="folders of finished runs")
    labels = "names of variants in figures; the first one is the base of ablations"
    parser.add_argument("--labels", nargs="*", default=[], metavar="VARIANT=LABEL", help=labels)
    references = "scores that count as 0 and 1, in place of references.csv, for every task of the benchmark"
    parser.add_argument("--references", nargs="*", default=[], metavar="TASK=LOW,HIGH", help=references)
    words = ["low reference", "high reference"]
    parser.add_argument(
        "--reference-words", nargs=2, default=words, metavar=("LOW", "HIGH"), help="what these scores are"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the table, HDF5")


def run(args: argparse.Namespace) -> int:
    from m3.analysis import scores
    from m3.analysis.own_runs import read_own
    from m3.analysis.provenance import provenance
    from m3.analysis.published import read_published, read_references

    if args.scores == "published" and args.runs:
        raise UserError("--scores published takes no --runs; use --scores both")
    if args.scores == "own" and not args.runs:
        raise UserError("--scores own needs the folders of finished runs after --runs")
    if args.benchmark_label:
        label("benchmark-label", args.benchmark_label)
    for words in args.reference_words:
        label("reference-words", words)
    if args.references:
        tasks = scores.references(_references(args.references), *args.reference_words)
    else:
        tasks = read_references(args.published, args.benchmark)
    parts = [read_published(args.published, args.benchmark)] if args.scores != "own" else []
    parts += [read_own(args.runs, args.benchmark, variant_labels(args.labels))] if args.runs else []
    table = scores.combine(args.benchmark, tasks, parts, args.benchmark_label)
    settings = {"benchmark": args.benchmark, "scores": args.scores, "labels": args.labels}
    scores.write(args.output, table, provenance(settings, table))
    for note in table.notes:
        print(f"note: {note}")
    print(f"{args.output}: {len(table.methods)} methods, {len(table.scores)} runs, {len(table.runs)} of them own")
    return 0


def _references(given: Sequence[str]) -> dict[str, tuple[float, float]]:
    found = {}
    for text in given:
        task, _, bounds = text.rpartition("=")
        try:
            low, high = (float(bound) for bound in bounds.split(","))
        except ValueError as error:
            raise UserError(f"--references takes TASK=LOW,HIGH with two numbers, got {text!r}") from error
        found[task] = (low, high)
    return found
