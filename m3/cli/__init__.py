"""The commands, one module each, which is imported only when its command is called."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from textwrap import indent
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from m3.errors import ExitStatus, UserError, is_out_of_memory, missing_package, one_line, shown, unknown_name
from m3.files.names import RUNS

if TYPE_CHECKING:
    from m3.config.schema import RunSettings

EXAMPLES = """\
m3 train atari100k/Breakout --variant tiny --episodes 4 controller.discount=0.98 precision=bf16
m3 status
m3 watch $RUN --dream
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
        return _module(given[0]).run(parse(given[0], given[1:]))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.FINISHED
    except ModuleNotFoundError as error:
        print(f"error: {missing_package(error)}", file=sys.stderr)
        return ExitStatus.ERROR
    except (UserError, OSError) as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return error.exit_status if isinstance(error, UserError) else ExitStatus.ERROR
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"error: out of memory: {one_line(str(error).partition(chr(10))[0])}", file=sys.stderr)
        return ExitStatus.ERROR


_MISTYPED = re.compile(r"argument (\S+): invalid (int|float) value: (.+)")


class _Parser(argparse.ArgumentParser):
    """Raises UserError, one line, where argparse would print how to use the command."""

    def error(self, message: str) -> NoReturn:
        if mistyped := _MISTYPED.fullmatch(message):
            kind = "a whole number" if mistyped[2] == "int" else "a number"
            raise UserError(f"{mistyped[1]} must be {kind}, got {mistyped[3]}")
        _, _, unknown = message.partition("unrecognized arguments: ")
        word = unknown.partition(" ")[0].partition("=")[0]
        nearest = get_close_matches(word, self._option_string_actions, n=1) if word.startswith("-") else []
        hint = f": did you mean {nearest[0]}?" if nearest else f"; `{self.prog} --help` shows the arguments"
        raise UserError(f"{message}{hint}")


def parser_of(name: str) -> argparse.ArgumentParser:
    """Make what reads a command's arguments."""
    command = _module(name)
    parser = _Parser(
        prog=f"m3 {name}",
        description=command.HELP,
        epilog=_examples(command.EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    return parser


def parse(name: str, words: Sequence[str]) -> argparse.Namespace:
    """Read a command's arguments; options may stand before, between and after the others."""
    asks_for_help = {"-h", "--help"} & set(words)
    return parser_of(name).parse_intermixed_args(words) if not asks_for_help else parser_of(name).parse_args(["--help"])


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """Add the argument of the commands that look at a whole experiment."""
    parser.add_argument(
        "experiment",
        type=Path,
        nargs="?",
        default=Path("config/paper.yaml"),
        metavar="EXPERIMENT",
        help="the experiment's file (default: config/paper.yaml)",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name one run; :func:`named_run` reads them."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="BENCHMARK/TASK KEY=VALUE",
        help="the task, for example atari100k/Breakout, and settings to change, for example controller.discount=0.98",
    )
    parser.add_argument("--variant", default="m3", help="the agent's configuration (default: %(default)s, the paper's)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the run's seed, a number from 0 (default: 0)")


def named_run(args: argparse.Namespace) -> "RunSettings":
    """Resolve the settings of the run that the arguments of :func:`add_run` name; an experiment's may join them.

    Raises:
        UserError: a name, a key or a value is wrong.
    """
    from m3.config.experiment import Run, unchanged_variant
    from m3.config.loading import load_run
    from m3.config.one_run import changed_variant, find_task, read_changes
    from m3.config.plan import load_experiment

    if args.seed < 0:
        raise UserError(f"--seed must be at least 0, got {args.seed}")
    benchmark, task, words = args.benchmark, args.task, list(args.words)
    if benchmark is None and task is None:
        if not words or "=" in words[0]:
            raise UserError("which task? for example atari100k/Breakout")
        benchmark, task = find_task(words.pop(0))
    if benchmark is None or task is None:
        raise UserError("--benchmark and --task need each other")
    variant = unchanged_variant(args.variant)
    run = Run(benchmark, changed_variant(variant, words), task, args.seed)
    if args.experiment is None:
        return load_run(run, changes=read_changes(words))
    return load_experiment(args.experiment, command_line={"set": words}, more=[run]).runs[run]


def default_folder(settings: "RunSettings") -> Path:
    """Return where a run stands unless told otherwise: where the workflow has it."""
    from m3.config.experiment import Run

    return Path(RUNS, Run(settings.benchmark, settings.variant, settings.task, settings.seed).folder)


def run_or_address(text: str) -> Path | str:
    """Read an argument that is a run's folder or an agent's address on the Hub."""
    from m3.hub.places import is_address

    return text if is_address(text) else Path(text)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option of the commands that use trained networks: where they compute."""
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N or mps (default: cpu)")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the option of the commands that evaluate: how many processes step the environments."""
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that step the environments of evaluations, with the same results (default: 1, this process)",
    )


def add_own_code(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets settings in files execute code."""
    parser.add_argument(
        "--own-code",
        action="append",
        default=[],
        metavar="FILE",
        help="Python file or module that M3 may execute if the run's settings name it; needed unless a benchmark or "
        "variant in config names it (repeat for each file)",
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
    lines = [f"  {name:<20} {_module(name).HELP}" for name in commands()]
    more = "m3 COMMAND --help shows the arguments of a command, with examples"
    return "\n".join(["usage: m3 COMMAND ...", "", "commands:", *lines, "", _examples(EXAMPLES), more])
