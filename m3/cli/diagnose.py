"""Measure how well a trained run's world model predicts."""

import argparse
from pathlib import Path

from m3.cli import add_device, add_own_code, check_range, run_or_address
from m3.files.names import DIAGNOSIS

HELP = "measure how well the world model of a trained run predicts and dreams, on new episodes"

EXAMPLES = """\
m3 diagnose --run $RUN
m3 diagnose --run $RUN --episodes 2 --steps 200 --device auto
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    help = "the run's folder, of which the newest checkpoint is used while it trains, or an agent on the Hub (hf://...)"
    parser.add_argument("--run", type=run_or_address, required=True, metavar="FOLDER", help=help)
    parser.add_argument("--episodes", type=int, default=10, metavar="N", help="how many to play (default: 10)")
    parser.add_argument("--steps", type=int, default=500, metavar="N", help="most steps per episode (default: 500)")
    parser.add_argument("--dreams", type=int, default=50, metavar="N", help="most dreams per episode (default: 50)")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where to write the diagnosis (default: {DIAGNOSIS} in the run's folder; here for an agent on the Hub)",
    )
    add_device(parser)
    add_own_code(parser)


def run(args: argparse.Namespace) -> int:
    from m3.diagnosis.diagnose import Extent, diagnose, write_diagnosis
    from m3.files.atomic import refuse_other_kinds
    from m3.hub.places import beside
    from m3.runs.loading import load

    extent = Extent(args.episodes, args.steps, args.dreams)
    for name in extent._fields:
        check_range(args, name, 1, 1_000_000)
    output = args.output or beside(args.run, DIAGNOSIS)
    refuse_other_kinds(output)  # before the work, not after it
    agent = load(args.run, args.device, args.own_code)
    write_diagnosis(output, agent, diagnose(agent, extent))
    print(f"the diagnosis is in {output}")
    return 0
