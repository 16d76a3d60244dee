"""A command that stops itself (SIGSTOP) directly before the so-manieth file operation on its checkpoints."""

import itertools
import os
import signal
import sys

from m3.cli import main

counted = itertools.count(1)
wanted = int(sys.argv[1])


def hook(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith(("open", "os.")) and arguments and "/checkpoints/" in str(arguments[0]):  # noqa: SIM102
        if next(counted) == wanted:
            os.kill(os.getpid(), signal.SIGSTOP)


sys.addaudithook(hook)
sys.exit(main(sys.argv[2:]))
