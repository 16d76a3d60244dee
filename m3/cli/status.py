"""How far an experiment is."""

import argparse
import csv
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from m3.cli import check_range
from m3.errors import escaped
from m3.files.names import LAST_EXPERIMENT, RUNS

if TYPE_CHECKING:
    from m3.runs.status import RunStatus

HELP = "show how far runs are, what failed and why, and the scores of finished runs"

EXAMPLES = """\
m3 status                                 # the experiment used last, and all other runs here
m3 status config/paper.yaml --watch 60    # the paper's 225 runs
"""

COLUMNS = ("run", "state", "score", "epoch", "epochs", "epochs_per_hour", "hours_left", "attempts", "gpu_hours", "note")
MOST_ROWS = 100
"""Where there are more runs, those that run or failed are listed, and the others are counted."""
_CLEAR = "\x1b[H\x1b[2J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment",
        type=Path,
        nargs="?",
        metavar="EXPERIMENT",
        help="the experiment's file (default: the one used last, and all other runs found)",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=Path(RUNS),
        metavar="FOLDER",
        help="folder of all runs (default: %(default)s)",
    )
    parser.add_argument("--state", choices=("done", "running", "waiting", "failed"), help="list only these runs")
    parser.add_argument(
        "--all", action="store_true", help=f"list every run, also where there are more than {MOST_ROWS}"
    )
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="repeat every so many seconds, until Ctrl-C")
    parser.add_argument("--csv", action="store_true", help="print CSV: one line per run, with all columns")


def run(args: argparse.Namespace) -> int:
    check_range(args, "watch", 0, 10_000_000)
    from m3.config.yaml_files import read_text

    last = Path(LAST_EXPERIMENT)
    experiment = args.experiment
    if experiment is None and last.exists():
        experiment = Path(read_text(last).strip())
    try:
        while True:
            _show(args, experiment)
            if not args.watch:
                return 0
            time.sleep(args.watch)
    except KeyboardInterrupt:
        return 0


def _show(args: argparse.Namespace, experiment: Path | None) -> None:
    """Print the status once."""
    from m3.config.plan import load_experiment
    from m3.runs.slurm_jobs import SLURM_LOGS, RunJobs, read_jobs
    from m3.runs.status import experiment_status, other_runs

    jobs = RunJobs(Path(), read_jobs() or {}) if SLURM_LOGS.exists() else None
    runs = experiment_status(load_experiment(experiment), args.results, jobs) if experiment else []
    if args.experiment is None:
        runs += other_runs(args.results, [status.run for status in runs], jobs)
    listed = [status for status in runs if args.state in (None, status.state)]
    if args.watch and sys.stdout.isatty():
        print(_CLEAR, end="")
    if args.csv:
        _write_csv(listed, sys.stdout)
    elif runs:
        is_short = args.all or args.state or len(listed) <= MOST_ROWS
        print(
            f"{experiment or args.results}, {datetime.now():%Y-%m-%d %H:%M}",
            _table(listed) if is_short else _overview(listed),
            _summary(runs),
            sep="\n",
        )
    else:
        print(
            f"no runs in {args.results} yet: `m3 train atari100k/Breakout` makes one, and m3 status FILE shows what an"
        )
        print("experiment such as config/paper.yaml would run")
    sys.stdout.flush()


def _cells(status: "RunStatus") -> list[str]:
    """Return a run's cells in the order of ``COLUMNS``."""
    return [
        status.run.folder,
        status.state,
        "" if status.score is None else f"{status.score:.4g}",
        str(status.epoch),
        str(status.epochs),
        _number(status.epochs_per_hour),
        _number(status.hours_left, digits=2),
        str(status.attempts),
        _number(status.gpu_hours, digits=2),
        escaped(status.note),
    ]


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _write_csv(runs: "Sequence[RunStatus]", file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for status in runs:
        *cells, note = _cells(status)
        # a note comes from a run's files: a table calculation must not take it for a formula
        writer.writerow([*cells, f"'{note}" if note.startswith(("=", "+", "-", "@")) else note])


def _table(runs: "Sequence[RunStatus]") -> str:
    return _aligned([[column.replace("_", " ") for column in COLUMNS], *map(_cells, runs)])


def _overview(runs: "Sequence[RunStatus]") -> str:
    """How many runs of each benchmark and variant are in which state, and those that run or failed."""
    from m3.runs.status import STATES

    counts: dict[str, Counter[str]] = {}
    for status in runs:
        counts.setdefault(f"{status.run.benchmark}/{status.run.variant}", Counter())[status.state] += 1
    groups = [[name, str(of.total()), *(str(of[state]) for state in STATES)] for name, of in counts.items()]
    listed = [status for status in runs if status.state in ("running", "failed")][:MOST_ROWS]
    parts = [_aligned([["variant", "runs", *STATES], *groups]), *([_table(listed)] if listed else [])]
    advice = "--all lists every run, --state those in one state, --csv all as CSV"
    return "\n\n".join([*parts, f"{len(runs) - len(listed)} runs are not listed: {advice}"])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines of columns; the last column is as wide as it comes."""
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    return "\n".join("  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip() for row in rows)


def _summary(runs: "Sequence[RunStatus]") -> str:
    from m3.runs.status import totals

    total = totals(runs)
    states = ", ".join(f"{number} {state}" for state, number in total.states.items())
    gpu_hours = f"{total.gpu_hours:.1f} GPU-hours so far"
    if total.gpu_hours_left is not None:
        gpu_hours += f", about {total.gpu_hours_left:.1f} left"
    end = "" if total.hours_left is None else f"; about {total.hours_left:.1f} h to the end at this pace"
    return f"\n{len(runs)} runs: {states}; {gpu_hours}{end}"
