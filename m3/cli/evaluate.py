"""Score a trained run."""

import argparse
from pathlib import Path

from m3.cli import add_own_code, check_range
from m3.files.names import SCORES

HELP = "play episodes with a trained run's weights and write every score"

EXAMPLES = """\
python -m m3 evaluate --run $RUN --episodes 100
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, metavar="FOLDER", help="the run's folder")
    parser.add_argument("--episodes", type=int, required=True, metavar="N", help="how many to play")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"(default: {SCORES} in the run's folder)")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument(
        "--deterministic", action="store_true", help="same bits also on a GPU, slower (the CPU always is deterministic)"
    )
    add_own_code(parser)


def run(args: argparse.Namespace) -> int:
    from m3.runs.evaluate import evaluate

    check_range(args, "episodes", 1, 1_000_000)
    output = args.output or args.run / SCORES
    evaluate(
        args.run,
        args.episodes,
        output=output,
        device=args.device,
        deterministic=args.deterministic,
        own_code=args.own_code,
    )
    print(f"scores are in {output}")
    return 0
