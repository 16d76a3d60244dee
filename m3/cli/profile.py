"""See where a step's time goes."""

import argparse
from pathlib import Path

from m3.bench.options import add_options

HELP = "trace the training steps of a component on random data, operation by operation"

EXAMPLES = """\
m3 profile --benchmark cpu_dmc --component controller --output trace.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser, component=None)
    parser.add_argument("--steps", type=int, default=3, metavar="N", help="how many steps to trace (default: 3)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("trace.json"),
        metavar="FILE",
        help="where to write the trace, for chrome://tracing or ui.perfetto.dev (default: trace.json)",
    )


def run(args: argparse.Namespace) -> int:
    from m3.bench.options import read_options
    from m3.bench.timing import Bench
    from m3.errors import UserError
    from m3.training.devices import be_deterministic

    if args.steps < 1:
        raise UserError(f"--steps must be at least 1, got {args.steps}")
    settings, device, stored_steps, parts, graphs, recompute = read_options(args)
    if len(parts) > 1:
        raise UserError("--component all cannot be traced: name one")
    be_deterministic(device)
    print(Bench(settings, device, stored_steps, graphs, recompute).trace(parts[0], args.steps, args.output))
    print(f"trace: {args.output}")
    return 0
