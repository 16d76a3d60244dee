"""Share a run."""

import argparse
from pathlib import Path

HELP = "put a finished run on the Hugging Face Hub, with a card that tells its settings and scores"

EXAMPLES = """\
m3 push $RUN hf://owner/m3-breakout
m3 push $RUN hf://owner/m3-agents/breakout/seed-0 --license cc-by-4.0 --private
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{HELP}\n\nThe Hub wants to know who you are: set HF_TOKEN, or call `hf auth login` once."
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's folder, trained and evaluated")
    parser.add_argument("address", metavar="hf://OWNER/NAME[/FOLDER]", help="made where it is missing")
    parser.add_argument("--license", default="mit", help="of the weights, by the Hub's names (default: mit)")
    parser.add_argument("--private", action="store_true", help="of a repository that is made now")


def run(args: argparse.Namespace) -> int:
    from m3.hub.sharing import push

    print(f"the run is at {push(args.run, args.address, args.license, args.private)}")
    return 0
