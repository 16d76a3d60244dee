"""The commands, one module each, imported only when theirs is called."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from m3.errors import ExitStatus, UserError, is_out_of_memory, unknown_name

EXAMPLES = """\
examples:
  python -m m3 resolve --experiment config/quickstart.yaml --benchmark atari100k --variant tiny --task Breakout --seed 0
  python -m m3 train --config RUN/resolved-1a2b3c4d.yaml --run RUN
  python -m m3 evaluate --run RUN --episodes 100 --output RUN/scores.h5
  python -m m3 validate RUN/scores.h5
where RUN is a run's folder, results/runs/{benchmark}/{variant}/{task}/seed-{seed}.
`python -m m3 COMMAND --help` tells a command's arguments.
"""


def commands() -> list[str]:
    """The names of all commands: the modules beside this one, with dashes for underscores."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is the command's or the error's: 2 for most of the user's mistakes.

    A command's module has ``HELP``, ``add_arguments(parser)`` and ``run(args) -> int``.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not given or given[0] in ("-h", "--help"):
            print(_overview())
            return 0 if given else 2
        name = given[0]
        if name not in commands():
            raise unknown_name("command", name, commands())
        command = _module(name)
        parser = argparse.ArgumentParser(prog=f"python -m m3 {name}", description=command.HELP)
        command.add_arguments(parser)
        return command.run(parser.parse_args(given[1:]))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status if isinstance(error, UserError) else ExitStatus.ERROR
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"error: out of memory: {str(error).partition(chr(10))[0]}", file=sys.stderr)
        return ExitStatus.ERROR


def _module(command: str) -> ModuleType:
    return import_module(f"{__name__}.{command.replace('-', '_')}")


def _overview() -> str:
    lines = [f"  {name:<15} {_module(name).HELP}" for name in commands()]
    return "\n".join(["usage: python -m m3 COMMAND ...", "", "commands:", *lines, "", EXAMPLES])
