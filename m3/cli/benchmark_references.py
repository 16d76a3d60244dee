"""Measure random play."""

import argparse

from m3.errors import UserError

HELP = "measure the return of random play on a task: the score that counts as 0"

EXAMPLES = """\
m3 benchmark-references cpu_dmc/cartpole-swingup --episodes 10
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="BENCHMARK/TASK", help="for example atari100k/Breakout")
    parser.add_argument("--episodes", type=int, default=30, metavar="N", help="how many to play (default: 30)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the actions and the environment (default: 0)"
    )


def run(args: argparse.Namespace) -> int:
    from m3.config.experiment import Run
    from m3.config.loading import load_run
    from m3.config.one_run import find_task
    from m3.runs.random_play import random_returns

    if args.episodes < 1 or args.seed < 0:
        raise UserError(f"--episodes must be at least 1 and --seed at least 0, got {args.episodes} and {args.seed}")
    benchmark, task = find_task(args.task)
    settings = load_run(Run(benchmark, "m3", task, 0))
    returns = random_returns(settings.environment, task, args.episodes, args.seed)
    mean, error = returns.mean(), returns.std(ddof=1) / len(returns) ** 0.5 if len(returns) > 1 else float("nan")
    print(f"random play returns {mean:.4g} on {task} (standard error {error:.2g}, {len(returns)} episodes)")
    print(f"references.tasks in config/benchmarks/{benchmark}.yaml takes: {task}: {{low: {mean:.4g}, high: ...}}")
    return 0
