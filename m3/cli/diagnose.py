"""Measure how well a trained run's world model predicts."""

import argparse
from pathlib import Path

from m3.files.names import DIAGNOSIS

HELP = "measure how well a trained run's world model predicts and dreams, on new episodes"

EXAMPLES = """\
m3 diagnose --run $RUN
m3 diagnose --run $RUN --episodes 2 --steps 200 --device auto
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    help = "the run's folder; of a run that is not finished, its newest checkpoint is taken"
    parser.add_argument("--run", type=Path, required=True, metavar="FOLDER", help=help)
    parser.add_argument("--episodes", type=int, default=10, metavar="N", help="how many to play (default: 10)")
    parser.add_argument("--steps", type=int, default=500, metavar="N", help="of an episode, at most (default: 500)")
    parser.add_argument("--dreams", type=int, default=50, metavar="N", help="from an episode, at most (default: 50)")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"(default: {DIAGNOSIS} in the run's folder)")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N or mps (default: cpu)")


def run(args: argparse.Namespace) -> int:
    from m3.diagnosis.diagnose import Extent, diagnose, write_diagnosis
    from m3.errors import UserError
    from m3.runs.loading import load

    extent = Extent(args.episodes, args.steps, args.dreams)
    for name, value in extent._asdict().items():
        if value < 1:
            raise UserError(f"--{name} must be at least 1, got {value}")
    agent = load(args.run, args.device)
    output = args.output or args.run / DIAGNOSIS
    write_diagnosis(output, agent, diagnose(agent, extent))
    print(f"the diagnosis is in {output}")
    return 0
