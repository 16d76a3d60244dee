"""Take a shared run."""

import argparse
from pathlib import Path

HELP = "copy a run from the Hugging Face Hub into a folder, where all other commands find it"

EXAMPLES = """\
m3 pull hf://owner/m3-breakout $RUN
m3 pull hf://owner/m3-agents@v1/breakout/seed-0 $RUN
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="hf://OWNER/NAME[@REVISION][/FOLDER]", help="of the run")
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder to make the run's")


def run(args: argparse.Namespace) -> int:
    from m3.hub.sharing import pull

    print(f"{args.run} has {', '.join(pull(args.address, args.run))}")
    return 0
