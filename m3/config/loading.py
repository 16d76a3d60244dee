"""From the files in config/ to the typed settings of a run.

Settings come in layers: the defaults of ``RunSettings`` < config/benchmarks/{benchmark}.yaml
< config/variants/{variant}.yaml < the experiment's overrides.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from m3.config.experiment import Benchmark, Run, Variant, unchanged_variant
from m3.config.layers import Layer, validate
from m3.config.schema import TRAINING_VERSION, RunSettings
from m3.config.yaml_files import read_yaml
from m3.errors import UserError, unknown_name

CONFIG_FOLDER = Path("config")
SHIPPED = Path(__file__).parents[1] / "shipped"
"""The config folder and the published scores that the package carries, for folders that have none of their own."""


def names(kind: str, folder: Path = CONFIG_FOLDER) -> list[str]:
    """List the names of all benchmarks or variants: those of their files."""
    return sorted({path.stem for place in _places(folder) for path in (place / f"{kind}s").glob("*.yaml")})


def load_benchmark(name: str, folder: Path = CONFIG_FOLDER) -> Benchmark:
    """Load the benchmark of that name. Raises UserError for an unknown name or a faulty file."""
    return validate(Benchmark, [_read("benchmark", name, folder)])


def load_variant(name: str, folder: Path = CONFIG_FOLDER) -> Variant:
    """Load the variant of that name. Raises UserError for an unknown name or a faulty file."""
    layer = _read("variant", name, folder)
    variant = validate(Variant, [layer])
    known = names("benchmark", folder)
    for benchmark in variant.benchmarks:
        if benchmark not in known:
            raise UserError(f"{layer.name(('benchmarks',))}: {unknown_name('benchmark', benchmark, known)}")
    return variant


def load_run(
    run: Run, folder: Path = CONFIG_FOLDER, size: str | None = None, changes: Layer | None = None
) -> RunSettings:
    """Resolve the settings of one run outside of any experiment, that is, without overrides.

    Args:
        run: the run's names.
        folder: the config folder.
        size: a variant, such as ``tiny``, whose settings lie between the benchmark's and those of the run's variant.
        changes: settings above those of all files.
    """
    benchmark = load_benchmark(run.benchmark, folder)
    if run.task not in benchmark.tasks:
        raise unknown_name(f"task of {run.benchmark}", run.task, benchmark.tasks)
    beneath = [] if size is None else _variant_layers(size, load_variant(size, folder), run.benchmark, folder)
    overrides = [changes] if changes else []
    return run_settings(run, benchmark, load_variant(run.variant, folder), overrides, folder, beneath)


def run_settings(
    run: Run,
    benchmark: Benchmark,
    variant: Variant,
    overrides: Sequence[Layer] = (),
    folder: Path = CONFIG_FOLDER,
    beneath: Sequence[Layer] = (),
) -> RunSettings:
    """Resolve the settings of one run from its layers.

    Args:
        run: the run's names.
        benchmark: the loaded benchmark.
        variant: the loaded variant.
        overrides: those of the experiment that apply to the run, the strongest last.
        folder: where ``benchmark`` and ``variant`` came from, for error messages.
        beneath: above the benchmark, and below the variant.
    """
    layers = [
        Layer(str(_file("benchmark", run.benchmark, folder)), benchmark.settings, "settings"),
        *beneath,
        *_variant_layers(run.variant, variant, run.benchmark, folder),
        *overrides,
    ]
    given: dict[str, Any] = {**run._asdict(), "training_version": TRAINING_VERSION}
    for layer in layers:
        if layer.content.get("command") is not None:
            raise UserError(f"{layer.name(('command',))}: belongs at the top of a variant's file, beside its label")
        for key in layer.content.keys() & given.keys():
            raise UserError(f"{layer.name((key,))}: is part of what a run is and cannot be set")
    if variant.command is not None:
        given["command"] = variant.command
    elif reader_less := [layer for layer in layers if layer.content.get("options")]:
        raise UserError(f"{reader_less[-1].name(('options',))}: variant {run.variant!r} has no command to read them")
    _refuse_parts_of_a_missing_tokenizer(run, layers)
    return validate(RunSettings, layers, given)


def experiment_file(path: Path) -> Path:
    """Find an experiment's file, or the one of that name that the package carries.

    Raises:
        UserError: there is neither; the message has the nearest file.
    """
    for place in (path, SHIPPED / path):
        if place.exists():
            return place
    folders = [path.parent] if path.parent.is_dir() else [SHIPPED / path.parent]
    near = {other.stem: path.parent / other.name for folder in folders for other in folder.glob("*.yaml")}
    found = get_close_matches(path.stem, near, n=1, cutoff=0.6)
    hint = f"; did you mean {near[found[0]]}?" if found else ""
    raise UserError(f"{path}: No such file or directory{hint}")


def published_folder() -> Path:
    """Find the published scores: the repository's, else those that the package carries."""
    own = Path("results/published")
    return own if own.is_dir() else SHIPPED / "published"


def benchmark_file(name: str) -> Path:
    """Find a benchmark's file: the folder's, else the one that the package carries."""
    return _file("benchmark", name, CONFIG_FOLDER)


def _places(folder: Path) -> list[Path]:
    """Where the files of a config folder are, first the one that wins: what one's own lacks, the package carries."""
    return [folder, SHIPPED / "config"] if folder == CONFIG_FOLDER else [folder]


def _variant_layers(name: str, variant: Variant, benchmark: str, folder: Path) -> list[Layer]:
    file = str(_file("variant", name, folder))
    return [
        Layer(file, variant.settings, "settings"),
        Layer(file, variant.benchmarks.get(benchmark, {}), f"benchmarks.{benchmark}"),
    ]


def _refuse_parts_of_a_missing_tokenizer(run: Run, layers: Sequence[Layer]) -> None:
    """Say which layer changes an image tokenizer where the benchmark has none."""
    benchmark, *others = layers
    if benchmark.content.get("tokenizer") is not None:
        return
    for layer in others:
        part = layer.content.get("tokenizer")
        if isinstance(part, dict) and "schedule" not in part:
            raise UserError(
                f"{layer.name(('tokenizer',))}: does not apply to {run.benchmark}, which has no images to tokenize"
            )


def _file(kind: str, name: str, folder: Path) -> Path:
    """Find the file of a benchmark or variant. Of a changed variant ("m3+..."), it is that of the variant."""
    stems = dict.fromkeys((name, unchanged_variant(name)))
    places = [place / f"{kind}s" / f"{stem}.yaml" for stem in stems for place in _places(folder)]
    return next((place for place in places if place.exists()), places[0])


def check_stem(path: Path) -> None:
    """Raise UserError where a file's name cannot become part of a path and of a command, as a task's name can."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", path.stem):
        raise UserError(
            f"{path}: the file's name must begin with a letter or digit and have only those, '.', '_' and '-'"
        )


def _read(kind: str, name: str, folder: Path) -> Layer:
    known = set(names(kind, folder))
    if known.isdisjoint((name, unchanged_variant(name))):
        raise unknown_name(kind, name, known)
    path = _file(kind, name, folder)
    check_stem(path)
    return Layer(str(path), read_yaml(path))
