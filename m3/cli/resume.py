"""Go on with a run."""

import argparse

from m3.cli import check_range
from m3.cli.evaluate import MOST_EPISODES, add_run_folder, final_episodes, run_folder
from m3.cli.train import add_training_options, train_and_report

HELP = "continue the run in a folder until it is finished, and evaluate it"

EXAMPLES = """\
m3 resume $RUN
m3 resume $RUN --device cuda --budget-minutes 60
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_folder(parser)
    parser.add_argument(
        "--episodes", type=int, metavar="N", help="episodes of the evaluation (default: the benchmark's number)"
    )
    add_training_options(parser)


def run(args: argparse.Namespace) -> int:
    from m3.files.run_folder import read_settings

    folder = run_folder(args)
    settings = read_settings(folder)
    check_range(args, "episodes", 1, MOST_EPISODES)
    return train_and_report(args, settings, folder, args.episodes or final_episodes(settings))
