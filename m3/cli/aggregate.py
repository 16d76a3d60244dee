"""Compute the statistics of a benchmark."""

import argparse
from pathlib import Path

from m3.cli import check_range
from m3.files.names import AGGREGATES, AGGREGATES_CSV, SCORE_TABLE

HELP = "compute statistics with bootstrap intervals from a table of scores"

EXAMPLES = f"""\
m3 aggregate --scores mine/{SCORE_TABLE} --output mine/{AGGREGATES} --csv mine/{AGGREGATES_CSV}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scores", type=Path, required=True, metavar="FILE", help="the table that collect wrote")
    parser.add_argument("--repetitions", type=int, default=10_000, help="bootstrap draws per interval (default: 10000)")
    parser.add_argument("--band-repetitions", type=int, default=2_000, help="bootstrap draws per band (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws (default: 0)")
    parser.add_argument(
        "--cores", type=int, default=1, help="CPU cores: how many methods to compute at once (default: 1)"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="where to write all statistics, as HDF5"
    )
    parser.add_argument(
        "--csv", type=Path, required=True, metavar="FILE", help="where to write the aggregates as CSV, to read"
    )


def run(args: argparse.Namespace) -> int:
    from m3.analysis import aggregates, scores
    from m3.analysis.aggregation import aggregate
    from m3.analysis.provenance import provenance
    from m3.files.atomic import atomic_file

    check_range(args, "repetitions", 1, 10_000_000)
    check_range(args, "band-repetitions", 1, 10_000_000)
    check_range(args, "seed", 0, 2**63 - 1)
    check_range(args, "cores", 1, 100_000)
    table = scores.read(args.scores)
    how = {name: getattr(args, name) for name in ("repetitions", "band_repetitions", "seed")}
    results = aggregate(table, **how, cores=args.cores, tell=print)
    settings = {"benchmark": table.benchmark, **how}
    aggregates.write(args.output, results, provenance(settings, table))
    with atomic_file(args.csv) as file:
        file.write(aggregates.to_csv(results).encode())
    print(f"{args.csv}: {len(results.methods)} methods on {len(results.tasks)} of {results.total_tasks} tasks")
    return 0
