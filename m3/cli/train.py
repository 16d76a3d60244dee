"""Train one run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from m3.cli import check_range
from m3.files.names import ANY_SETTINGS

if TYPE_CHECKING:
    from m3.runs.stops import Stop

HELP = "train a run to its end, continuing from its newest checkpoint"

EXAMPLES = f"""\
python -m m3 train --config $RUN/{ANY_SETTINGS} --run $RUN
python -m m3 train --config $RUN/{ANY_SETTINGS} --run $RUN --device cuda:1 --budget-minutes 60
"""

_MOST_TIME = 10_000_000
"""Minutes or seconds: nobody waits for longer, and the system's timers end somewhere."""
EXIT_STATUS = """\
exit status:
  0  the run is finished
  2  an error, whose message says what to change
  3  stopped by its budget or a signal; start again to continue
  4  another process trains the run
  5  the run is marked as failed"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{HELP}\n\n{EXIT_STATUS}"
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="resolved settings of the run")
    parser.add_argument("--run", type=Path, required=True, metavar="FOLDER", help="the run's folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument(
        "--compile",
        choices=("none", "graphs"),
        default="none",
        help="graphs: capture training steps as CUDA graphs, with the same results and less launching (default: none; "
        "`compile: default`, whose results are others, is a setting of the run)",
    )
    parser.add_argument(
        "--recompute",
        action="store_true",
        help="compute the world model's layers again in its backward pass: less memory, slower, the same results",
    )
    parser.add_argument(
        "--deterministic", action="store_true", help="same bits also on a GPU, slower (the CPU always is deterministic)"
    )
    parser.add_argument(
        "--checkpoint-minutes", type=float, default=5.0, metavar="M", help="between checkpoints (default: 5)"
    )
    parser.add_argument(
        "--checkpoint-epochs", type=int, metavar="N", help="also a checkpoint after every N epochs (default: none)"
    )
    parser.add_argument(
        "--budget-minutes",
        type=float,
        default=0.0,
        metavar="M",
        help="end with a checkpoint before so much time is over; 0: no limit (default)",
    )
    parser.add_argument(
        "--grace-seconds",
        type=float,
        default=25.0,
        metavar="S",
        help="after SIGTERM or SIGINT, how long the epoch in progress may take to its end and checkpoint (default: 25)",
    )
    parser.add_argument("--wait", action="store_true", help="wait while another process trains the run")
    parser.add_argument(
        "--pretrained",
        type=Path,
        default=Path("pretrained"),
        metavar="FOLDER",
        help="where the perceptual distance's weights are (default: pretrained)",
    )
    parser.add_argument(
        "--track",
        default="auto",
        metavar="NAME",
        help="where to follow the run: tensorboard (in RUN/tensorboard), wandb, none, or auto (default): tensorboard "
        "where that is installed",
    )
    parser.add_argument("--no-media", action="store_true", help="write no pictures and videos to RUN/media")


def run(args: argparse.Namespace) -> int:
    import math

    from m3.errors import ExitStatus, UserError
    from m3.runs.stops import Stop, StopNow

    check_range(args, "checkpoint-epochs", 1, 2**31)
    for option in ("checkpoint-minutes", "budget-minutes", "grace-seconds"):
        check_range(args, option, 0, _MOST_TIME)
    stop = Stop(60 * args.budget_minutes or math.inf, args.grace_seconds)
    try:
        with stop.handling_signals():  # from here on: the imports below take seconds
            return ExitStatus.FINISHED if _train(args, stop) else ExitStatus.STOPPED
    except StopNow as error:
        if stop.signalled:
            print(f"stopped before training went on: {stop.reason}; start again to continue")
            return ExitStatus.STOPPED
        raise UserError("the time budget does not even suffice for setting up: give it more minutes") from error


def _train(args: argparse.Namespace, stop: "Stop") -> bool:
    from m3.files.run_folder import read_resolved
    from m3.runs.train import CheckpointInterval, train
    from m3.watch.following import following

    settings = read_resolved(args.config)
    return train(
        settings,
        args.run,
        device=args.device,
        interval=CheckpointInterval(args.checkpoint_minutes, args.checkpoint_epochs),
        pretrained=args.pretrained,
        deterministic=args.deterministic,
        graphs=args.compile == "graphs",
        recompute=args.recompute,
        stop=stop,
        wait=args.wait,
        following=following(args.run, settings, args.track, not args.no_media),
    )
