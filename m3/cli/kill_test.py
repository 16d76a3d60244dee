"""Kill a run at random moments, and see whether that leaves a trace."""

import argparse
from pathlib import Path

from m3.cli import check_range

HELP = "kill tiny runs at random moments, restart them, and compare them with a run that was never killed"

EXAMPLES = """\
m3 kill-test --kills 5
m3 kill-test --benchmark atari100k --variant fsq --task Breakout --folder killed
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--benchmark", default="toy", help="for example atari100k (default: toy)")
    parser.add_argument(
        "--variant", default="tiny", help="the agent's configuration, always at the size of tiny (default: tiny)"
    )
    parser.add_argument("--task", help="for example Breakout (default: the benchmark's first task)")
    parser.add_argument("--kills", type=int, default=50, metavar="N", help="how often to kill (default: 50)")
    parser.add_argument(
        "--episodes", type=int, default=4, metavar="N", help="episodes of the final evaluation (default: 4)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default: 0)")
    parser.add_argument(
        "--folder", type=Path, metavar="FOLDER", help="keep the runs there (default: a temporary folder)"
    )


def run(args: argparse.Namespace) -> int:
    import tempfile

    from m3.checks.killing import kill_test
    from m3.config.experiment import Run
    from m3.config.loading import load_benchmark, load_run
    from m3.errors import ExitStatus, UserError

    check_range(args, "kills", 0, 1_000_000)
    check_range(args, "episodes", 1, 1_000_000)
    check_range(args, "seed", 0, 2**31 - 1)
    if args.folder is not None and args.folder.exists() and any(args.folder.iterdir()):
        raise UserError(f"{args.folder} is not empty")
    task = args.task or load_benchmark(args.benchmark).tasks[0]
    settings = load_run(Run(args.benchmark, args.variant, task, seed=0), size="tiny")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        different = kill_test(settings, args.kills, args.episodes, args.device, args.seed, folder, _say)
    for name in different:
        print(f"differs: {name}")
    print(f"{len(different)} differences" if different else "every array and score is the same, bit for bit")
    return ExitStatus.DIFFERENT if different else ExitStatus.FINISHED


def _say(text: str) -> None:
    print(text, flush=True)
