"""The commands, one module each, imported only when theirs is called."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from textwrap import indent
from types import ModuleType

from m3.errors import ExitStatus, UserError, escaped, is_out_of_memory, shown, unknown_name
from m3.files.names import ANY_SETTINGS, RUNS

EXAMPLES = f"""\
python -m m3 resolve --experiment config/quickstart.yaml --benchmark atari100k --variant tiny --task Breakout --seed 0
python -m m3 train --config $RUN/{ANY_SETTINGS} --run $RUN
python -m m3 evaluate --run $RUN --episodes 4
python -m m3 watch $RUN --dream
"""
_RUN = f"RUN={RUNS}/atari100k/tiny/Breakout/seed-0"
"""Stands above examples that have ``$RUN``, so that they work as they are typed."""


def commands() -> list[str]:
    """Name all commands: the modules beside this one, with dashes for underscores."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is the command's or the error's: 2 for most of the user's mistakes.

    A command's module has ``HELP``, one line; ``EXAMPLES``, lines for a shell; ``add_arguments(parser)``; and
    ``run(args) -> int``.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not given or given[0] in ("-h", "--help"):
            print(_overview())
            return 0 if given else 2
        if given[0] not in commands():
            raise unknown_name("command", given[0], commands())
        return _module(given[0]).run(parser_of(given[0]).parse_args(given[1:]))
    except (UserError, OSError) as error:
        print(f"error: {escaped(str(error))}", file=sys.stderr)
        return error.exit_status if isinstance(error, UserError) else ExitStatus.ERROR
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"error: out of memory: {str(error).partition(chr(10))[0]}", file=sys.stderr)
        return ExitStatus.ERROR


def parser_of(name: str) -> argparse.ArgumentParser:
    """Make what reads a command's arguments."""
    command = _module(name)
    parser = argparse.ArgumentParser(
        prog=f"python -m m3 {name}",
        description=command.HELP,
        epilog=_examples(command.EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    return parser


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """Add the argument of the commands that look at a whole experiment."""
    parser.add_argument(
        "experiment",
        type=Path,
        nargs="?",
        default=Path("config/paper.yaml"),
        metavar="EXPERIMENT",
        help="its file (default: %(default)s)",
    )


def add_own_code(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets settings in files execute code."""
    parser.add_argument(
        "--own-code",
        action="append",
        default=[],
        metavar="FILE",
        help="Python file or module, executed where the run's settings name it too; needed where no benchmark or "
        "variant in config does (again for each)",
    )


def check_range(args: argparse.Namespace, option: str, least: float, most: float) -> None:
    """Raise UserError where an option's number is given and not from ``least`` to ``most``; NaN is not."""
    value = getattr(args, option.replace("-", "_"))
    if value is None:
        return
    if value > most:
        raise UserError(f"--{option} must be at most {most:,}, got {shown(value)}")
    if not value >= least:
        bound = "not be negative" if least == 0 and isinstance(value, float) else f"be at least {least}"
        raise UserError(f"--{option} must {bound}, got {shown(value)}")


def label(option: str, text: str) -> str:
    """Return a label that was given as an option, or a part of one. Raises UserError for what cannot stand in pages."""
    from m3.config.experiment import check_label

    try:
        return check_label(text)
    except ValueError as error:
        raise UserError(f"--{option}: {error}") from error


def variant_labels(pairs: Sequence[str]) -> dict[str, str]:
    """Read the option --labels: variant -> its name in figures, in order.

    Raises:
        UserError: one is not VARIANT=LABEL.
    """
    labels = {}
    for pair in pairs:
        variant, equals, name = pair.partition("=")
        if not (variant and equals and name):
            raise UserError(f"--labels takes VARIANT=LABEL, got {shown(pair)}")
        labels[variant] = label("labels", name)
    return labels


def _examples(lines: str) -> str:
    return "examples:\n" + indent(f"{_RUN}\n{lines}" if "$RUN" in lines else lines, "  ")


def _module(command: str) -> ModuleType:
    return import_module(f"{__name__}.{command.replace('-', '_')}")


def _overview() -> str:
    lines = [f"  {name:<15} {_module(name).HELP}" for name in commands()]
    more = "python -m m3 COMMAND --help tells a command's arguments and gives examples"
    return "\n".join(["usage: python -m m3 COMMAND ...", "", "commands:", *lines, "", _examples(EXAMPLES), more])
