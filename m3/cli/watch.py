"""Watch a trained agent."""

import argparse
from pathlib import Path

from m3.cli import add_own_code, check_range

HELP = "show an agent playing, dreaming, or what it has experienced, as a video or in a window"

EXAMPLES = """\
m3 watch $RUN                              # in a window; without a display, as $RUN/media/watch.mp4
m3 watch $RUN --output play.mp4            # one episode as a video
m3 watch $RUN --dream --output dream.mp4   # what the world model dreams, beside what really happens
m3 watch $RUN --replay                     # the latest episodes that training has collected
m3 watch $RUN --play                       # act yourself, with the keyboard
m3 watch $RUN --play --dream               # act yourself inside the world model
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="a run's folder; while it trains, its newest checkpoint is used"
    )
    parser.add_argument("--dream", action="store_true", help="let the world model go on by itself")
    parser.add_argument("--replay", action="store_true", help="show stored episodes, the latest first")
    parser.add_argument("--play", action="store_true", help="act yourself")
    parser.add_argument("--output", type=Path, metavar="FILE.mp4", help="record a video instead of opening a window")
    parser.add_argument("--episodes", type=int, default=1, metavar="N", help="of a video (default: 1)")
    parser.add_argument("--steps", type=int, default=1000, metavar="N", help="of a video at most (default: 1000)")
    parser.add_argument("--horizon", type=int, metavar="N", help="steps of a dream (default: as in training)")
    parser.add_argument("--fps", type=int, default=15, metavar="N", help="steps shown per second (default: 15)")
    parser.add_argument("--seed", type=int, default=0, help="of environment and agent (default: 0)")
    parser.add_argument(
        "--temperature", type=float, help="of the actions (default: the evaluation's; 0: the likeliest)"
    )
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N or mps (default: cpu)")
    add_own_code(parser)


def run(args: argparse.Namespace) -> int:
    from m3.errors import UserError
    from m3.watch.show import WatchOptions, watch

    for option, least, most in (
        *(("episodes", 1, 1_000_000), ("steps", 1, 10_000_000), ("fps", 1, 1_000), ("horizon", 1, 100_000)),
        *(("seed", 0, 2**31 - 1), ("temperature", 0, 1_000_000)),
    ):
        check_range(args, option, least, most)
    if args.replay and (args.dream or args.play):
        raise UserError("--replay shows what was stored: leave out --dream and --play")
    if args.output is not None and args.play:
        raise UserError("--play needs a window: leave out --output")
    if args.output is not None and args.output.suffix != ".mp4":
        raise UserError(f"--output must end in .mp4, got {args.output}")
    options = WatchOptions(
        dream=args.dream,
        replay=args.replay,
        play=args.play,
        output=args.output,
        episodes=args.episodes,
        steps=args.steps,
        horizon=args.horizon,
        fps=args.fps,
        seed=args.seed,
        temperature=args.temperature,
        own_code=args.own_code,
    )
    watch(args.run, options, args.device)
    return 0
