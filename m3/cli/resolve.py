"""Write a run's settings, checked and complete, into its folder."""

import argparse
from pathlib import Path

from m3.files.names import RUNS

HELP = "check a run's settings and write all of them into the run's folder"

EXAMPLES = """\
python -m m3 resolve --experiment config/quickstart.yaml \\
    --benchmark atari100k --variant tiny --task Breakout --seed 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--experiment", type=Path, required=True, metavar="FILE", help="for example config/paper.yaml")
    parser.add_argument("--benchmark", required=True, help="for example atari100k")
    parser.add_argument("--variant", required=True, help="for example m3")
    parser.add_argument("--task", required=True, help="for example Breakout")
    parser.add_argument("--seed", type=int, required=True, help="for example 0")
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="the run's folder (default: the workflow's)")


def run(args: argparse.Namespace) -> int:
    from m3.config.experiment import Run
    from m3.config.plan import load_experiment
    from m3.files.run_folder import write_settings

    run = Run(args.benchmark, args.variant, args.task, args.seed)
    folder = args.run or Path(RUNS, run.folder)
    print(write_settings(folder, load_experiment(args.experiment).settings(run)))
    return 0
