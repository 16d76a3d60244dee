"""Import the authors' published weights."""

import argparse
from pathlib import Path

HELP = "convert a published checkpoint of the authors into the weights of a run"

EXAMPLES = """\
m3 import-weights Breakout.pt --benchmark atari100k --task Breakout \\
    --run results/runs/atari100k/published/Breakout/seed-0
m3 import-weights hf://owner/name/Breakout.pt --benchmark atari100k --task Breakout --run $RUN
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="PUBLISHED.pt", help="the authors' checkpoint, or its address hf://OWNER/NAME/FILE"
    )
    parser.add_argument("--benchmark", required=True, help="for example atari100k")
    parser.add_argument("--task", required=True, help="for example Breakout")
    parser.add_argument("--seed", type=int, default=0, help="seed of the run, used by its evaluation (default: 0)")
    parser.add_argument("--variant", default="published", help="the agent's configuration (default: published)")
    parser.add_argument("--run", type=Path, required=True, metavar="FOLDER", help="the run's folder")


def run(args: argparse.Namespace) -> int:
    from m3.config.experiment import Run
    from m3.config.loading import load_run
    from m3.files.names import WEIGHTS
    from m3.hub.places import fetch, is_address, parse
    from m3.reference.importing import import_weights

    settings = load_run(Run(args.benchmark, args.variant, args.task, args.seed))
    file = fetch(parse(args.file)) if is_address(args.file) else Path(args.file)
    imported = import_weights(file, settings, args.run / WEIGHTS)
    print(f"{imported.taken} tensors are now in {args.run / WEIGHTS}")
    if imported.unused:
        print(f"not used here: {', '.join(imported.unused)}")
    return 0
