"""Watch a trained agent."""

import argparse
from pathlib import Path

from m3.cli import add_device, add_own_code, check_range, run_or_address

HELP = "show an agent that plays or dreams, or the episodes it has collected, as a video or in a window"

EXAMPLES = """\
m3 watch $RUN                              # in a window; without a display, as $RUN/media/watch.mp4
m3 watch $RUN --output play.mp4            # one episode as a video
m3 watch $RUN --dream --output dream.mp4   # what the world model dreams, next to what really happens
m3 watch $RUN --replay                     # the latest episodes that training collected
m3 watch $RUN --play                       # play yourself, with the keyboard
m3 watch $RUN --play --dream               # play yourself inside the world model
m3 watch hf://owner/m3-breakout --dream    # an agent on the Hugging Face Hub
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run",
        type=run_or_address,
        metavar="RUN",
        help="a run's folder, of which the newest checkpoint is used while it trains, or an agent on the Hub (hf://...)",
    )
    parser.add_argument("--dream", action="store_true", help="let the world model predict on its own")
    parser.add_argument("--replay", action="store_true", help="show stored episodes, the latest first")
    parser.add_argument("--play", action="store_true", help="play yourself, with the keyboard")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="record a video (.mp4 or .gif) instead of opening a window"
    )
    parser.add_argument("--episodes", type=int, default=1, metavar="N", help="episodes in a video (default: 1)")
    parser.add_argument("--steps", type=int, default=1000, metavar="N", help="most steps in a video (default: 1000)")
    parser.add_argument("--horizon", type=int, metavar="N", help="steps per dream (default: as in training)")
    parser.add_argument("--fps", type=int, default=15, metavar="N", help="steps shown per second (default: 15)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the environment and the agent (default: 0)")
    parser.add_argument(
        "--temperature",
        type=float,
        help="temperature of the actions (default: as in evaluation; 0: always the likeliest action)",
    )
    add_device(parser)
    add_own_code(parser)


def run(args: argparse.Namespace) -> int:
    from m3.errors import UserError
    from m3.hub.places import is_address
    from m3.watch.show import WatchOptions, watch
    from m3.watch.video import FORMATS

    for option, least, most in (
        *(("episodes", 1, 1_000_000), ("steps", 1, 10_000_000), ("fps", 1, 1_000), ("horizon", 1, 100_000)),
        *(("seed", 0, 2**31 - 1), ("temperature", 0, 1_000_000)),
    ):
        check_range(args, option, least, most)
    if args.replay and (args.dream or args.play):
        raise UserError("--replay shows what was stored: leave out --dream and --play")
    if args.replay and is_address(args.run):
        raise UserError(f"--replay shows what a run's folder stores, and the Hub has only the agent of {args.run}")
    if args.output is not None and args.play:
        raise UserError("--play needs a window: leave out --output")
    if args.output is not None and args.output.suffix not in FORMATS:
        raise UserError(f"--output must end in {' or '.join(FORMATS)}, got {args.output}")
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
