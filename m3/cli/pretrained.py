"""Download the weights of the perceptual distance."""

import argparse
from pathlib import Path

HELP = "download the two weight files with which Atari's tokenizer compares images, and check them"

EXAMPLES = """\
m3 pretrained
m3 pretrained vgg16-397923af.pth --folder pretrained
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="FILE", help="one of the two files (default: those that are missing)"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("pretrained"),
        metavar="FOLDER",
        help="where to put them (default: pretrained)",
    )


def run(args: argparse.Namespace) -> int:
    from m3.errors import ExitStatus, unknown_name
    from m3.files.pretrained import PRETRAINED, download, refuse_other_weights

    for name in args.names:
        if name not in PRETRAINED:
            raise unknown_name("pretrained file", name, PRETRAINED)
    wanted = args.names or [name for name in PRETRAINED if not (args.folder / name).exists()]
    for name in wanted:
        download(name, args.folder)
        print(f"downloaded {args.folder / name}", flush=True)
    refuse_other_weights(args.folder, PRETRAINED.keys() - wanted)  # a download was compared on its way
    print(f"{' and '.join(PRETRAINED)}: what is in {args.folder} is right")
    return ExitStatus.FINISHED
