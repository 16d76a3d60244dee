"""Code that settings ask for, and whether it was the user who named it.

An environment of one's own comes from a Python file, or from a module that its id names. Settings travel: weights and
the folders of runs hold them, and may come from anybody. What they ask for is executed only where the user named it.
"""

from pathlib import Path

from m3.config.experiment import Benchmark
from m3.config.loading import CONFIG_FOLDER, load_benchmark, names
from m3.config.schema import GymnasiumEnvironment, RunSettings
from m3.errors import UserError, shown


def refuse_unnamed_code(settings: RunSettings, named: Path | str | None, origin: Path) -> None:
    """Make sure that the user named all code that settings from a file would execute.

    Args:
        settings: what the file holds.
        named: a Python file or module that the user named. None: only what the user's own benchmark of that name in
            ``config/benchmarks`` names.
        origin: the file or folder, for the error.

    Raises:
        UserError: they ask for more.
    """
    for code in _asked_for(settings):
        if not _is_same(code, named) and not _own_benchmark_names(settings, code):
            raise UserError(
                f"{origin} asks for the environment code {shown(code)}, which is executed only where you name it: look "
                f"at it, then give --environment-code {shown(code)} (in Python: environment_code={shown(code)})"
            )


def _asked_for(settings: RunSettings) -> list[str]:
    if not isinstance(settings.environment, GymnasiumEnvironment):
        return []
    module, colon, _ = settings.task.rpartition(":")
    file = settings.environment.file
    return [*([] if file is None else [file]), *([module] if colon else [])]


def _is_same(code: str, named: Path | str | None) -> bool:
    return named is not None and (str(named) == code or Path(named).resolve() == Path(code).resolve())


def _own_benchmark_names(settings: RunSettings, code: str) -> bool:
    if settings.benchmark not in names("benchmark", CONFIG_FOLDER):
        return False
    benchmark: Benchmark = load_benchmark(settings.benchmark, CONFIG_FOLDER)
    environment = benchmark.settings.get("environment")
    file = environment.get("file") if isinstance(environment, dict) else None
    return code == file or (settings.task in benchmark.tasks and settings.task.rpartition(":")[0] == code)
