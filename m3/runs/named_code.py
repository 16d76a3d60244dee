"""Code that settings ask for, and whether the user named it.

An environment of one's own comes from a Python file, or from a module that its id names; so may a tokenizer or a
sequence model. Settings travel: weights and the folders of runs hold them, and may come from anybody. What they ask for
is executed only where the user named it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from m3.config.loading import CONFIG_FOLDER, load_benchmark, load_variant, names
from m3.config.schema import Own, RunSettings
from m3.config.simulators import GymnasiumEnvironment
from m3.errors import UserError, shown


def refuse_unnamed_code(settings: RunSettings, named: Sequence[Path | str], origin: Path) -> None:
    """Make sure that the user named all code that settings from a file would execute.

    Args:
        settings: what the file holds.
        named: Python files and modules that the user named, beside what the user's own benchmark and variant of these
            names in ``config`` name.
        origin: the file or folder, for the error.

    Raises:
        UserError: they ask for more.
    """
    for code in asked_for(settings):
        if not _is_same(code, named) and not _own_files_name(settings, code):
            raise UserError(
                f"{origin} asks for the code in {shown(code)}, which is executed only where you name it: look at it, "
                f"then give --own-code {shown(code)} (in Python: own_code=[{shown(code)}])"
            )


def asked_for(settings: RunSettings) -> list[str]:
    """Return all files and modules that these settings execute."""
    models = [own.model.rpartition(":")[0] for own in _own_models(settings)]
    if not isinstance(settings.environment, GymnasiumEnvironment):
        return models
    module, colon, _ = settings.task.rpartition(":")
    file = settings.environment.file
    return [*([] if file is None else [file]), *([module] if colon else []), *models]


def _own_models(settings: BaseModel) -> Iterator[Own]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Own):
            yield value
        elif isinstance(value, BaseModel):
            yield from _own_models(value)


def _is_same(code: str, named: Sequence[Path | str]) -> bool:
    return any(str(own) == code or Path(own).resolve() == Path(code).resolve() for own in named)


def _own_files_name(settings: RunSettings, code: str) -> bool:
    """Tell whether the user's own benchmark or variant of these names asks for the code itself."""
    texts: set[str] = set()
    if settings.benchmark in names("benchmark", CONFIG_FOLDER):
        benchmark = load_benchmark(settings.benchmark, CONFIG_FOLDER)
        texts.update(_texts(benchmark.settings), (task.rpartition(":")[0] for task in benchmark.tasks))
    if settings.variant in names("variant", CONFIG_FOLDER):
        variant = load_variant(settings.variant, CONFIG_FOLDER)
        texts.update(_texts(variant.settings), _texts(variant.benchmarks))
    return code in texts or any(text.rpartition(":")[0] == code for text in texts)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _texts(value)
