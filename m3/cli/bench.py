"""Time training."""

import argparse
from typing import TYPE_CHECKING

from m3.bench.options import add_options

if TYPE_CHECKING:
    from m3.bench.options import BenchOptions
    from m3.bench.timing import Timing

HELP = "time a training step of each component on random data, and project a whole run"

EXAMPLES = """\
m3 bench --benchmark atari100k                                   # every part, at the paper's sizes
m3 bench --benchmark atari100k --component world-model --batch 8 --precision bf16
m3 bench --benchmark dmc500k --variant tiny --component world-model --device cpu
m3 bench --benchmark dmc500k --kernels --component controller    # count kernels, on any machine
m3 bench --benchmark dmc500k --at-once 4                         # four runs that share the machine
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser, component="all")
    parser.add_argument("--steps", type=int, default=10, metavar="N", help="how many steps to time (default: 10)")
    parser.add_argument(
        "--warmup", type=int, default=3, metavar="N", help="how many steps to run before timing (default: 3)"
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=1,
        metavar="N",
        help="how many runs share the GPU, or the CPU's threads (default: 1)",
    )
    parser.add_argument(
        "--kernels", action="store_true", help="count the GPU kernels and memory of a step; this needs no GPU"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from m3.bench.options import read_options
    from m3.bench.synthetic import SHAPES
    from m3.bench.timing import projected_hours
    from m3.bench.together import time_parts
    from m3.errors import UserError
    from m3.training.devices import device_name

    if args.steps < 1 or args.warmup < 0:
        raise UserError(f"--steps must be at least 1 and --warmup at least 0, got {args.steps} and {args.warmup}")
    if args.at_once < 1:
        raise UserError(f"--at-once must be at least 1, got {args.at_once}")
    asked = read_options(args)
    if args.kernels:
        return _count(args, asked)
    device, precision = device_name(asked.device), asked.settings.precision
    timings = time_parts(asked, args.steps, args.warmup, args.at_once)
    hours = projected_hours(asked.settings, timings) if args.batch is None else {}
    if args.json:
        rows = [asdict(timing) for timing in timings]
        machine = {"device": device, "precision": precision, "at_once": args.at_once}
        print(json.dumps({**machine, "timings": rows, "hours_of_a_run": hours}, indent=1))
        return 0
    together = f", {args.at_once} runs at once" if args.at_once > 1 else ""
    shapes = SHAPES[asked.settings.environment.family]
    print(f"{args.benchmark} {args.variant} ({shapes}) on {device}, {precision}{together}")
    print(
        f"{'part':<12} {'batch':>6} {'median ms':>10} {'min':>9} {'max':>9} {'steps/s':>9} {'GFLOP/s':>9} {'GB':>6}"
        f" {'hours/run':>9}"
    )
    for timing in timings:
        print(_line(timing, hours, args.at_once))
    if args.component == "all" and hours:
        print(f"a whole run{together}: {sum(hours.values()):.1f} hours, without the simulator's and the evaluations'")
    return 0


def _count(args: argparse.Namespace, planned: "BenchOptions") -> int:
    import json
    from dataclasses import asdict

    from m3.bench.kernels import count_kernels

    counted = [part for part in planned.parts if part not in ("replay", "checkpoint")]
    counts = count_kernels(planned.settings, counted, planned.stored_steps, planned.recompute)
    if args.json:
        rows = [{**asdict(count), "total": count.total} for count in counts]
        print(json.dumps({"precision": planned.settings.precision, "counts": rows}, indent=1))
        return 0
    print(f"{args.benchmark} {args.variant}, {planned.settings.precision}: kernels of a step on a GPU")
    for count in counts:
        moved, held = f"uploads {count.uploaded_bytes / 1e6:.1f} MB", f"holds {count.peak_bytes / 1e9:.2f} GB"
        print(f"{count.part:<12} {count.total:>6}  {moved}, {held}")
        for phase, kernels in count.kernels.items():
            print(f"{'':<12} {kernels:>6}  {phase}")
    return 0


def _line(timing: "Timing", hours: dict[str, float], at_once: int) -> str:
    speed = f"{at_once * timing.gflop / timing.seconds:.1f}" if timing.gflop else "-"
    line = (
        f"{timing.part:<12} {timing.batch_size or '-':>6} {timing.seconds * 1e3:>10.2f} {timing.fastest * 1e3:>9.2f}"
        f" {timing.slowest * 1e3:>9.2f} {at_once / timing.seconds:>9.1f} {speed:>9} {timing.peak_memory_gb:>6.2f}"
        f" {f'{hours[timing.part]:.2f}' if timing.part in hours else '-':>9}"
    )
    if timing.imagined_steps_per_second:
        line += f"\n{'':<12} {timing.imagined_steps_per_second:,.0f} imagined steps per second"
    return line
