"""Train one run."""

import argparse
from pathlib import Path

HELP = "train a run to its end, continuing from its newest checkpoint"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="resolved settings of the run")
    parser.add_argument("--run", type=Path, required=True, metavar="FOLDER", help="the run's folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument(
        "--checkpoint-minutes", type=float, default=10.0, metavar="M", help="between checkpoints (default: 10)"
    )
    parser.add_argument(
        "--checkpoint-epochs", type=int, metavar="N", help="also a checkpoint after every N epochs (default: none)"
    )
    parser.add_argument(
        "--pretrained",
        type=Path,
        default=Path("pretrained"),
        metavar="FOLDER",
        help="where the perceptual distance's weights are (default: pretrained)",
    )


def run(args: argparse.Namespace) -> int:
    from m3.config.identity import read_resolved
    from m3.errors import UserError
    from m3.training.devices import select_device
    from m3.training.run import CheckpointInterval, train_run

    if args.checkpoint_epochs is not None and args.checkpoint_epochs < 1:
        raise UserError(f"--checkpoint-epochs must be at least 1, got {args.checkpoint_epochs}")
    settings = read_resolved(args.config)
    interval = CheckpointInterval(args.checkpoint_minutes, args.checkpoint_epochs)
    train_run(settings, args.run, select_device(args.device), interval, args.pretrained)
    return 0
