"""From the files in config/ to the typed settings of a run.

Settings come in layers: the defaults of ``RunSettings`` < config/benchmarks/{benchmark}.yaml
< config/variants/{variant}.yaml < the experiment's overrides.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from m3.config.experiment import Benchmark, Run, Variant
from m3.config.layers import Layer, validate
from m3.config.schema import TRAINING_VERSION, RunSettings
from m3.config.yaml_files import read_yaml
from m3.errors import UserError, unknown_name

CONFIG_FOLDER = Path("config")


def names(kind: str, folder: Path = CONFIG_FOLDER) -> list[str]:
    """The names of all benchmarks or variants: those of their files."""
    return sorted(path.stem for path in (folder / f"{kind}s").glob("*.yaml"))


def load_benchmark(name: str, folder: Path = CONFIG_FOLDER) -> Benchmark:
    """The benchmark of that name. Raises UserError for an unknown name or a faulty file."""
    return validate(Benchmark, [_read("benchmark", name, folder)])


def load_variant(name: str, folder: Path = CONFIG_FOLDER) -> Variant:
    """The variant of that name. Raises UserError for an unknown name or a faulty file."""
    layer = _read("variant", name, folder)
    variant = validate(Variant, [layer])
    known = names("benchmark", folder)
    for benchmark in variant.benchmarks:
        if benchmark not in known:
            raise UserError(f"{layer.name(('benchmarks',))}: {unknown_name('benchmark', benchmark, known)}")
    return variant


def load_run(run: Run, folder: Path = CONFIG_FOLDER) -> RunSettings:
    """The settings of one run outside of any experiment, that is, without overrides."""
    benchmark = load_benchmark(run.benchmark, folder)
    if run.task not in benchmark.tasks:
        raise unknown_name(f"task of {run.benchmark}", run.task, benchmark.tasks)
    return run_settings(run, benchmark, load_variant(run.variant, folder), folder=folder)


def run_settings(
    run: Run, benchmark: Benchmark, variant: Variant, overrides: Sequence[Layer] = (), folder: Path = CONFIG_FOLDER
) -> RunSettings:
    """The settings of one run from its layers.

    Args:
        run: the run's names.
        benchmark: the loaded benchmark.
        variant: the loaded variant.
        overrides: those of the experiment that apply to the run, the strongest last.
        folder: where ``benchmark`` and ``variant`` came from, for error messages.
    """
    variant_file = str(_file("variant", run.variant, folder))
    layers = [
        Layer(str(_file("benchmark", run.benchmark, folder)), benchmark.settings, "settings"),
        Layer(variant_file, variant.settings, "settings"),
        Layer(variant_file, variant.benchmarks.get(run.benchmark, {}), f"benchmarks.{run.benchmark}"),
        *overrides,
    ]
    given: dict[str, Any] = {**run._asdict(), "training_version": TRAINING_VERSION}
    for layer in layers:
        if "command" in layer.content:
            raise UserError(f"{layer.name(('command',))}: belongs at the top of a variant's file, beside its label")
        for key in layer.content.keys() & given.keys():
            raise UserError(f"{layer.name((key,))}: is part of what a run is and cannot be set")
    if variant.command is not None:
        given["command"] = variant.command
    elif reader_less := [layer for layer in layers if layer.content.get("options")]:
        raise UserError(f"{reader_less[-1].name(('options',))}: variant {run.variant!r} has no command to read them")
    return validate(RunSettings, layers, given)


def _file(kind: str, name: str, folder: Path) -> Path:
    return folder / f"{kind}s" / f"{name}.yaml"


def _read(kind: str, name: str, folder: Path) -> Layer:
    known = names(kind, folder)
    if name not in known:
        raise unknown_name(kind, name, known)
    path = _file(kind, name, folder)
    return Layer(str(path), read_yaml(path))
