"""A run named on the command line, such as atari100k/Breakout, and single settings given as KEY=VALUE."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel

from m3.config.experiment import Run
from m3.config.layers import Layer, merge, models_in
from m3.config.loading import CONFIG_FOLDER, load_benchmark, names
from m3.config.schema import RunSettings
from m3.config.yaml_files import parse_yaml
from m3.errors import UserError, unknown_name

_IDENTITY = (*Run._fields, "training_version")
_LONGEST_VARIANT = 100
"""Characters of a changed variant's name, which is a folder; a longer one is shortened to a hash."""


def read_changes(words: Iterable[str]) -> Layer:
    """Read KEY=VALUE words, keys with dots and values as in YAML, as the settings above all files.

    Raises:
        UserError: a word is not KEY=VALUE, or there is no such key; the message has the nearest valid one.
    """
    known, contents = sorted(set(_keys(RunSettings))), []
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not text:
            raise UserError(f"settings are given as KEY=VALUE, such as controller.discount=0.98; got {word!r}")
        if key in _IDENTITY:
            raise UserError(f"{key}: names the run and is no setting; use the command's --{key}")
        if key not in known:
            raise _unknown_key(key, known)
        content = parse_yaml(f"value: {text}", word)["value"]
        for part in reversed(key.split(".")):
            content = {part: content}
        contents.append(content)
    return Layer("command line", merge(contents))


def changed_variant(variant: str, words: Sequence[str]) -> str:
    """Name a variant with changed settings: its runs are other runs, in a folder of their own."""
    if not words:
        return variant
    text = "+".join(re.sub(r"[^\w.-]+", "_", word.replace("=", "-")).strip("_") for word in sorted(words))
    if len(text) > _LONGEST_VARIANT:
        text = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{variant}+{text}"


def find_task(name: str, folder: Path = CONFIG_FOLDER) -> tuple[str, str]:
    """Return the benchmark and the task that BENCHMARK/TASK names; a benchmark of one task needs no more than its name.

    Raises:
        UserError: there is no such benchmark or task, or a part is missing; the message has the nearest valid one.
    """
    benchmark, slash, task = name.partition("/")
    known = names("benchmark", folder)
    if not slash and benchmark not in known:
        homes = [other for other in known if name in load_benchmark(other, folder).tasks]
        if homes:
            raise UserError(f"{name!r} needs its benchmark in front: {' or '.join(f'{home}/{name}' for home in homes)}")
    tasks = load_benchmark(benchmark, folder).tasks
    if not slash and len(tasks) == 1:
        return benchmark, tasks[0]
    if not slash:
        raise UserError(f"which task of {benchmark}? for example {benchmark}/{tasks[0]}")
    if task not in tasks:
        raise unknown_name(f"task of {benchmark}", task, tasks)
    return benchmark, task


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if not prefix and name in _IDENTITY:
            continue
        yield prefix + name
        for nested in models_in(field.annotation):
            yield from _keys(nested, f"{prefix}{name}.")


def _unknown_key(given: str, known: Sequence[str]) -> UserError:
    """Make the error for a key that does not exist; a key without its section is near to the one in the section."""
    last = given.rpartition(".")[2]
    lasts = sorted({key.rpartition(".")[2] for key in known})
    [nearest] = get_close_matches(last, lasts, n=1, cutoff=0.7) or [""]
    candidates = [key for key in known if key.rpartition(".")[2] == nearest]
    number, cutoff = 1 if "." in given else 3, 0.0 if candidates else 0.5
    best = get_close_matches(given, candidates or known, number, cutoff)
    if not best:
        return UserError(f"unknown setting {given!r}: m3/config/schema.py lists them; the sections are {_sections()}")
    return UserError(f"unknown setting {given!r}: did you mean {' or '.join(map(repr, best))}?")


def _sections() -> str:
    return ", ".join(name for name, field in RunSettings.model_fields.items() if models_in(field.annotation))
