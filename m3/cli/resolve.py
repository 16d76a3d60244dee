"""Write a run's settings, checked and complete, into its folder."""

import argparse
from pathlib import Path

from m3.cli import add_run, default_folder, named_run

HELP = "check a run's settings and write all of them into the run's folder"

EXAMPLES = """\
m3 resolve atari100k/Breakout --seed 3 controller.discount=0.98
m3 resolve --experiment config/quickstart.yaml --benchmark atari100k --variant tiny --task Breakout --seed 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--experiment", type=Path, metavar="FILE", help="also apply this experiment's overrides (default: none)"
    )
    parser.add_argument("--benchmark", help="with --task, another way to give the task; for example atari100k")
    parser.add_argument("--task", help="for example Breakout")
    parser.add_argument(
        "--run", type=Path, metavar="FOLDER", help="the run's folder (default: its folder below results/runs)"
    )


def run(args: argparse.Namespace) -> int:
    from m3.files.run_folder import write_settings

    settings = named_run(args)
    print(write_settings(args.run or default_folder(settings), settings))
    return 0
