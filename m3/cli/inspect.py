"""Say what files are and whether they are whole."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from m3.files.names import ANY_SETTINGS, WEIGHTS

HELP = "show what files are, what they contain, and whether they are complete"

EXAMPLES = f"""\
m3 inspect $RUN/*.h5 $RUN/{WEIGHTS} $RUN/{ANY_SETTINGS}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="HDF5 files, weights or settings of a run")


def run(args: argparse.Namespace) -> int:
    from m3.errors import UserError, escaped

    status = 0
    for path in args.files:
        try:
            print("\n  ".join(escaped(line) for line in _description(path)))
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 2
    return status


def _description(path: Path) -> Iterable[str]:
    """Describe a whole file in lines. Raises UserError for any other."""
    if path.suffix == ".yaml":
        return _settings(path)
    return _weights(path) if path.suffix == ".safetensors" else _hdf5(path)


def _hdf5(path: Path) -> Iterable[str]:
    from m3.files.hdf5 import describe

    file = describe(path)
    yield f"{path}: whole, {file.format} version {file.version}"
    for name, value in {**file.attributes, **file.scalars}.items():
        if name not in ("format", "format_version", "config", "packages"):
            yield f"{name}: {value}"
    for name, kind in file.datasets.items():
        yield f"{name}: {kind}"


def _weights(path: Path) -> Iterable[str]:
    from m3.config.identity import config_hash
    from m3.runs.weights import load_weights

    weights = load_weights(path)
    settings = weights.settings
    yield f"{path}: whole, weights of {settings.benchmark} {settings.variant} {settings.task} seed {settings.seed}"
    yield f"config_hash: {config_hash(settings)}"
    yield f"agent_steps: {weights.agent_steps}"
    yield f"parameters and buffers: {sum(tensor.numel() for tensor in weights.state.values()):,}"


def _settings(path: Path) -> Iterable[str]:
    from m3.config.identity import config_hash
    from m3.files.run_folder import read_resolved

    settings = read_resolved(path)
    yield f"{path}: whole, settings of {settings.benchmark} {settings.variant} {settings.task} seed {settings.seed}"
    yield f"config_hash: {config_hash(settings)}"
