"""Take a shared run."""

import argparse
from pathlib import Path

HELP = "copy a run from the Hugging Face Hub into a folder that all other commands accept"

EXAMPLES = """\
m3 pull hf://owner/m3-breakout $RUN
m3 pull hf://owner/m3-agents@v1/breakout/seed-0 $RUN
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="hf://OWNER/NAME[@REVISION][/FOLDER]", help="the run's address")
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder to copy it to")


def run(args: argparse.Namespace) -> int:
    from m3.hub.sharing import pull

    print(f"{args.run} has {', '.join(pull(args.address, args.run))}")
    return 0
