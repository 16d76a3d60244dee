"""Options that all commands that time training share."""

import argparse
from typing import TYPE_CHECKING, NamedTuple, get_args

if TYPE_CHECKING:
    import torch

    from m3.config.schema import RunSettings


class BenchOptions(NamedTuple):
    """What to time: these parts of a run with these settings, and how many steps its replay holds."""

    settings: "RunSettings"
    device: "torch.device"
    stored_steps: int
    parts: list[str]
    graphs: bool = False
    recompute: bool = False


def add_options(parser: argparse.ArgumentParser, component: str | None) -> None:
    """Add the options of :func:`read_options`, and which part to time: required where ``component`` is none."""
    from m3.config.schema import Precision

    parser.add_argument("--benchmark", required=True, help="atari100k, dmc500k, craftax1m or another of these families")
    parser.add_argument("--variant", default="m3", help="the agent's configuration (default: m3, the paper's sizes)")
    parts = "tokenizer, world-model, controller, replay, collect, evaluate or checkpoint"
    parser.add_argument(
        "--component",
        default=component,
        required=component is None,
        help=f"{component}, {parts} (default: {component})" if component else parts,
    )
    parser.add_argument("--batch", type=int, metavar="N", help="batch size, instead of that in the settings")
    parser.add_argument(
        "--precision", choices=get_args(Precision), help="number format, instead of that in the settings"
    )
    parser.add_argument("--no-perceptual", action="store_true", help="leave out the tokenizer's perceptual distance")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument(
        "--compile",
        choices=("none", "default", "graphs"),
        default="none",
        help="default: compile imagination with torch's compiler; graphs: capture steps as CUDA graphs (default: none)",
    )
    parser.add_argument(
        "--recompute",
        action="store_true",
        help="compute the world model's layers again in the backward pass: less memory",
    )
    parser.add_argument(
        "--stored-steps", type=int, default=5000, metavar="N", help="steps in the replay (default: 5000)"
    )


def read_options(args: argparse.Namespace) -> BenchOptions:
    """Read what the options ask for.

    Raises:
        UserError: a name is not known, a number not possible.
    """
    from m3.bench.timing import bench_settings, timed_parts
    from m3.errors import UserError, unknown_name
    from m3.training.devices import select_device

    device = select_device(args.device)
    settings = bench_settings(
        args.benchmark,
        args.variant,
        args.batch,
        args.precision,
        not args.no_perceptual,
        "default" if args.compile == "default" else "none",
    )
    if args.stored_steps < settings.sequences.length:
        raise UserError(f"--stored-steps must be at least {settings.sequences.length}, got {args.stored_steps}")
    asked, parts = args.component.replace("-", "_"), timed_parts(settings)
    if asked != "all" and asked not in parts:
        raise unknown_name(f"component of {args.benchmark}", args.component, ["all", *parts])
    chosen = parts if asked == "all" else [asked]
    return BenchOptions(settings, device, args.stored_steps, chosen, args.compile == "graphs", args.recompute)
