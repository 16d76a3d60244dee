"""Compare with the reference's golden values."""

import argparse
from pathlib import Path

HELP = "recompute every quantity in a folder of golden files, and show which ones differ"

EXAMPLES = """\
m3 verify-golden tests/golden
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder with .npz files, for example tests/golden")


def run(args: argparse.Namespace) -> int:
    from m3.errors import UserError
    from m3.reference.golden import verify_file

    files = sorted(args.folder.glob("*.npz"))
    if not files:
        raise UserError(f"no .npz files in {args.folder}")
    missed = 0
    for path in files:
        print(path.name)
        for comparison in verify_file(path):
            verdict = "ok  " if comparison.met else "MISS"
            print(f"  {verdict} {comparison.difference:9.2e} (<= {comparison.tolerance:.0e})  {comparison.quantity}")
            missed += not comparison.met
    print(f"{missed} quantities missed" if missed else "all quantities met")
    return 1 if missed else 0
