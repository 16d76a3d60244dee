"""Measure what a GPU can do."""

import argparse
from pathlib import Path

HELP = "measure a GPU (correctness, speed, memory, real training) and write a report to one folder"

EXAMPLES = """\
m3 gpu-report build/gpu-report                # up to a day of training; call it again to continue where it stopped
m3 gpu-report build/gpu-report --training-minutes 20
m3 gpu-report build/rehearsal --rehearse      # everything at small size, on the CPU
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        f"{HELP}\n\nIt skips training if PyYAML, tqdm, psutil or simulators are missing, and figures if matplotlib is\n"
        "missing, and says so."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to write the report")
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N (default: cuda)")
    parser.add_argument("--rehearse", action="store_true", help="run everything at small size on the CPU")
    parser.add_argument(
        "--training-minutes",
        type=float,
        metavar="M",
        help="time for the trainings of all calls together: a DMC run to its end, then Atari (default: 1440, a day; "
        "with --rehearse: 0.7)",
    )


def run(args: argparse.Namespace) -> int:
    import os
    from dataclasses import replace

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before CUDA starts: the same bits every time
    from m3.bench.report.measurements import FULL, REHEARSAL, measurements
    from m3.bench.report.records import Records
    from m3.bench.report.summary import write_summary, wrong
    from m3.errors import UserError
    from m3.training.devices import select_device

    if args.training_minutes is not None and not args.training_minutes > 0:
        raise UserError(f"--training-minutes must be positive, got {args.training_minutes}")
    device = select_device("cpu" if args.rehearse else args.device)
    extent = REHEARSAL if args.rehearse else FULL
    if args.training_minutes is not None:
        extent = replace(extent, training_seconds=60 * args.training_minutes)
    records = Records(args.folder / "records")
    made = []
    for measurement in measurements(device, extent, args.folder):
        record = records.make(measurement)
        print(
            f"{record.name}: {record.state} in {record.seconds:.0f} s {record.reason.partition(chr(10))[0]}", flush=True
        )
        made.append(record)
    write_summary(args.folder, made)
    faults = [record.name for record in made if wrong(record)]
    print(f"report: {args.folder / 'report.md'}" + (f"; wrong: {', '.join(faults)}" if faults else ""))
    return 1 if faults else 0
