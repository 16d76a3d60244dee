"""Share a run."""

import argparse
from pathlib import Path

HELP = "put a finished run on the Hugging Face Hub or into a folder, with a card that shows its settings and scores"

EXAMPLES = """\
m3 push $RUN hf://owner/m3-breakout
m3 push $RUN hf://owner/m3-agents/breakout/seed-0 --license cc-by-4.0 --private
m3 push $RUN agents/breakout
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{HELP}\n\nTo identify yourself to the Hub, set HF_TOKEN or call `hf auth login` once."
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's folder, trained and evaluated")
    parser.add_argument(
        "to",
        metavar="hf://OWNER/NAME[/FOLDER]",
        help="where to put it: on the Hub, where a missing repository is created, or in a folder of this machine",
    )
    parser.add_argument("--license", default="mit", help="licence of the weights, as the Hub calls it (default: mit)")
    parser.add_argument("--private", action="store_true", help="if the repository is created, make it private")


def run(args: argparse.Namespace) -> int:
    from m3.hub.sharing import push

    print(f"the run is at {push(args.run, args.to, args.license, args.private)}")
    return 0
