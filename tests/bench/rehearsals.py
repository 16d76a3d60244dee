"""Rehearses on the fake device what the first argument names, one after the other; prints what came of it.

The argument and the output are JSON: name -> benchmark, variant, precision, and where a fault is planted a function and
what takes the place of its result; name -> lines of what was done, and the error.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from importlib import import_module
from io import StringIO
from traceback import format_exc
from unittest import mock

import torch

from m3.bench.fake import rehearsal


@contextmanager
def planted(target: str, result: str) -> Iterator[None]:
    """Within the block, a function of M3 returns what the expression makes of its ``result``."""
    module, name = import_module(f"m3.{target.rpartition('.')[0]}"), target.rpartition(".")[2]
    function, change = getattr(module, name), eval(f"lambda result: {result}", {"torch": torch})
    with mock.patch.object(module, name, lambda *given: change(function(*given))):
        yield


def rehearse(case: list[str]) -> tuple[list[str], str]:
    output, error = StringIO(), ""
    with redirect_stdout(output):
        try:
            with planted(*case[3:]) if case[3:] else nullcontext():
                rehearsal.main(*case[:3])
        except Exception:
            error = format_exc()
    return output.getvalue().splitlines(), error


print(json.dumps({name: rehearse(case) for name, case in json.loads(sys.argv[1]).items()}))
