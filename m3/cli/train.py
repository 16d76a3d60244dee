"""Train one run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from m3.cli import add_run, add_workers, check_range, default_folder, named_run
from m3.cli.evaluate import MOST_EPISODES, MOST_WORKERS, evaluate_and_report, final_episodes, is_scored, report
from m3.errors import ExitStatus, UserError, unknown_name
from m3.files.names import ANY_SETTINGS

if TYPE_CHECKING:
    from m3.config.schema import RunSettings
    from m3.runs.stops import Stop

HELP = "train a run until it is finished, continuing from its newest checkpoint if any, and evaluate it"

EXAMPLES = f"""\
m3 train atari100k/Breakout --seed 3 controller.discount=0.98 precision=bf16 --device cuda
m3 train dmc500k/walker-run --variant tiny --episodes 4 'world_model.optimizer={{learning_rate: 0.001}}'
m3 train --config $RUN/{ANY_SETTINGS} --run $RUN --budget-minutes 60    # only train, as the workflow does
"""

_MOST_TIME = 10_000_000
"""Minutes or seconds: nobody waits for longer, and the system's timers end somewhere."""
EXIT_STATUS = """\
exit status:
  0  the run is finished
  2  an error; the message says what to change
  3  stopped by its time budget or a signal; start again to continue
  4  another process is training the run
  5  the run is marked as failed"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{HELP}\n\n{EXIT_STATUS}"
    add_run(parser)
    parser.set_defaults(benchmark=None, task=None)
    parser.add_argument(
        "--experiment", type=Path, metavar="FILE", help="also apply this experiment's overrides (default: none)"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="resolved settings, instead of a task; the run is then not evaluated",
    )
    parser.add_argument(
        "--run", type=Path, metavar="FOLDER", help="the run's folder (default: its folder below results/runs)"
    )
    parser.add_argument(
        "--episodes", type=int, metavar="N", help="episodes of the evaluation (default: the benchmark's number)"
    )
    add_training_options(parser)


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that change how a run is trained, but not what comes out."""
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto, a GPU if there is one)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of this process (default: all cores)")
    add_workers(parser)
    parser.add_argument(
        "--compile",
        choices=("none", "graphs"),
        default="none",
        help="graphs: capture training steps as CUDA graphs, with the same results and fewer launches (default: none). "
        "The setting `compile: default` also compiles, but changes results, so it is a setting of the run",
    )
    parser.add_argument(
        "--recompute",
        action="store_true",
        help="compute the world model's layers again in the backward pass: less memory, slower, the same results",
    )
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits every time on a GPU too, but slower (the CPU is always deterministic)",
    )
    parser.add_argument(
        "--checkpoint-minutes", type=float, default=5.0, metavar="M", help="minutes between checkpoints (default: 5)"
    )
    parser.add_argument(
        "--checkpoint-epochs", type=int, metavar="N", help="also save a checkpoint after every N epochs (default: no)"
    )
    limit = "save a checkpoint and stop before this much time has passed; 0: no limit (default)"
    parser.add_argument("--budget-minutes", type=float, default=0.0, metavar="M", help=limit)
    grace = "after SIGTERM or SIGINT, time to finish the epoch in progress and save a checkpoint (default: 25)"
    parser.add_argument("--grace-seconds", type=float, default=25.0, metavar="S", help=grace)
    parser.add_argument("--wait", action="store_true", help="wait if another process is training the run")
    weights = "folder with the two files of LPIPS (default: pretrained)"
    parser.add_argument("--pretrained", type=Path, default=Path("pretrained"), metavar="FOLDER", help=weights)
    tracker = "tensorboard (in RUN/tensorboard), wandb, none, or auto (default): tensorboard if it is installed"
    parser.add_argument("--track", default="auto", metavar="NAME", help=tracker)
    parser.add_argument("--track-project", default="m3", metavar="NAME", help="wandb's project (default: m3)")
    parser.add_argument(
        "--track-group", default="", metavar="NAME", help="wandb's group (default: benchmark and variant)"
    )
    parser.add_argument(
        "--track-offline", action="store_true", help="wandb sends nothing now; `wandb sync` sends it later"
    )
    parser.add_argument("--no-media", action="store_true", help="do not write pictures and videos to RUN/media")


def run(args: argparse.Namespace) -> int:
    from m3.files.run_folder import claim_folder, read_resolved

    if args.config is not None:
        if args.words or args.run is None:
            raise UserError("--config takes --run and no task or KEY=VALUE: what it names is resolved already")
        return train_and_report(args, read_resolved(args.config), args.run, episodes=None)
    settings = named_run(args)
    folder = args.run or default_folder(settings)
    check_range(args, "episodes", 1, MOST_EPISODES)
    episodes = args.episodes or final_episodes(settings)
    claim_folder(folder, settings)
    return train_and_report(args, settings, folder, episodes)


def train_and_report(args: argparse.Namespace, settings: "RunSettings", folder: Path, episodes: int | None) -> int:
    """Train; then evaluate if there are episodes to play, and say where the results are. Return the exit status."""
    import math

    from m3.runs.stops import Stop, StopNow

    _check(args)
    if episodes is not None and is_scored(folder, settings, episodes):
        print("this run is finished already")
        report(folder)
        return ExitStatus.FINISHED
    stop = Stop(60 * args.budget_minutes or math.inf, args.grace_seconds)
    try:
        with stop.handling_signals():  # from here on: the imports below take seconds
            finished = _train(args, settings, folder, stop)
    except StopNow as error:
        if stop.signalled:
            print(f"stopped before training went on: {stop.reason}; start again to continue")
            return ExitStatus.STOPPED
        raise UserError("the time budget is over before training begins: give it more minutes") from error
    if not finished:
        return ExitStatus.STOPPED
    if episodes is not None:
        evaluate_and_report(folder, episodes, args.device, args.deterministic, workers=args.workers)
    return ExitStatus.FINISHED


def _check(args: argparse.Namespace) -> None:
    from typing import get_args

    from m3.config.experiment import Tracker

    if args.track not in get_args(Tracker):
        raise unknown_name("tracker", args.track, get_args(Tracker))
    check_range(args, "threads", 1, 1024)
    check_range(args, "workers", 1, MOST_WORKERS)
    check_range(args, "checkpoint-epochs", 1, 2**31)
    for option in ("checkpoint-minutes", "budget-minutes", "grace-seconds"):
        check_range(args, option, 0, _MOST_TIME)


def _train(args: argparse.Namespace, settings: "RunSettings", folder: Path, stop: "Stop") -> bool:
    import torch

    from m3.config.experiment import Tracking
    from m3.runs.train import CheckpointInterval, train
    from m3.watch.following import following

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    tracking = Tracking(tool=args.track, project=args.track_project, group=args.track_group, offline=args.track_offline)
    return train(
        settings,
        folder,
        device=args.device,
        interval=CheckpointInterval(args.checkpoint_minutes, args.checkpoint_epochs),
        pretrained=args.pretrained,
        deterministic=args.deterministic,
        graphs=args.compile == "graphs",
        recompute=args.recompute,
        workers=args.workers,
        stop=stop,
        wait=args.wait,
        following=following(folder, settings, tracking, not args.no_media),
    )
