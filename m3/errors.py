"""Errors a user can act on."""

import contextlib
import re
from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, requires
from reprlib import Repr

MAX_NAMES = 50
"""How many valid names an error lists at most."""
MAX_SHOWN = 200
"""Characters of what a user gave: of more, the rest is left out."""
MAX_MESSAGE = 1_500
"""Characters of an error: of a longer one, the middle is left out."""


_shown = Repr()
_shown.maxlevel, _shown.maxdict, _shown.maxlist, _shown.maxtuple = 3, 4, 6, 6
_shown.maxstring, _shown.maxlong, _shown.maxother = 120, 40, 120


def shown(value: object) -> str:
    """Return what a user gave as an error quotes it: its ``repr``, shortened, in one line."""
    text = _shown.repr(value)
    return escaped(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}...")


def one_line(message: str) -> str:
    """Return a message as a terminal shows it: escaped, and without its middle where it is too long."""
    if len(message) > MAX_MESSAGE:
        message = f"{message[: MAX_MESSAGE // 2]} ... {message[-MAX_MESSAGE // 2 :]}"
    return escaped(message)


def escaped(text: str) -> str:
    r"""Return text for a terminal: control characters, which could move its cursor or end a line, as \x1b and the like.

    So are those that turn the direction of writing, and halves of characters, which cannot be printed.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class ExitStatus(IntEnum):
    """How a command ends, for scripts and schedulers."""

    FINISHED = 0
    DIFFERENT = 1
    """A comparison found differences."""
    ERROR = 2
    """The message says what to change. Of a run that trained: the next start continues from its newest checkpoint."""
    STOPPED = 3
    """The run was stopped by its time budget or a signal; the next start continues it."""
    OCCUPIED = 4
    """Another process trains the run."""
    FAILED = 5
    """The run is marked as failed: starting again changes nothing until somebody looks at it."""
    INTERRUPTED = 130
    """Ctrl-C, as shells count it."""


class UserError(ValueError):
    """A mistake in what the user gave: shown as one line, without a traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))

    exit_status = ExitStatus.ERROR


class DivergedError(UserError):
    """A loss is not finite: training again from the last checkpoint would come to the same."""


class OccupiedError(UserError):
    """Another process trains the run."""

    exit_status = ExitStatus.OCCUPIED


class RunFailedError(UserError):
    """The run is marked as failed."""

    exit_status = ExitStatus.FAILED


def unknown_name(kind: str, given: str, valid: Iterable[str]) -> UserError:
    """Make the error for a name that does not exist, with the nearest valid one.

    Args:
        kind: what is named, for example "task of atari100k".
        given: the name that was given.
        valid: all valid names.
    """
    names = sorted(str(name) for name in valid)
    nearest = get_close_matches(str(given)[:100], names, n=1, cutoff=0.5)
    more = f", ... ({len(names)} in all)" if len(names) > MAX_NAMES else ""
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"valid: {', '.join(names[:MAX_NAMES])}{more}"
    return UserError(f"unknown {kind} {shown(given)}: {hint}")


_DISTRIBUTIONS = {"PIL": "pillow", "dm_control": "dm-control", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Modules whose package has another name."""


def missing_package(error: ModuleNotFoundError) -> str:
    """Word what to install: the package that is missing, with those that this project uses together with it."""
    module = (error.name or "").partition(".")[0]
    name = _DISTRIBUTIONS.get(module, module.replace("_", "-"))
    extras: dict[str, list[str]] = {}
    with contextlib.suppress(PackageNotFoundError):
        for requirement in requires("m3") or []:
            package, _, extra = requirement.partition(";")
            extras.setdefault(extra.rpartition("==")[2].strip(" '\""), []).append(re.split(r"[ <>=\[]", package)[0])
    together = next((packages for packages in extras.values() if name in packages), [name])
    return f"the package {name} is not installed: pip install {' '.join(together)}"


_MEMORY_SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "resource_exhausted")


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether memory of the machine or of a GPU was used up; every library says so in its own way."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _MEMORY_SIGNS)
