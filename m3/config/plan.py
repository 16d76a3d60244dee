"""An experiment with all its names checked and every run's settings resolved."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from m3.config.experiment import Benchmark, BenchmarkResources, Experiment, Run, RunGroup, Variant, unchanged_variant
from m3.config.layers import Layer, Location, validate
from m3.config.loading import (
    CONFIG_FOLDER,
    check_stem,
    experiment_file,
    load_benchmark,
    load_variant,
    names,
    run_settings,
)
from m3.config.one_run import changed_variant, read_changes
from m3.config.schema import RunSettings
from m3.config.yaml_files import parse_yaml, read_yaml
from m3.errors import UserError, unknown_name

PUBLISHED_BENCHMARKS = ("atari100k", "dmc500k", "craftax1m")
"""Those whose published scores stand in results/published."""
MOST_RUNS = 100_000
COMMAND_LINE_KEYS = ("scores", "partial")
"""Keys of an experiment that Snakemake's ``--config`` may set, beside ``set``: no run depends on them."""


@dataclass(frozen=True)
class Plan:
    """What an experiment comes to."""

    experiment: Experiment
    benchmarks: Mapping[str, Benchmark]
    """Those of the runs, and those with published scores where the config folder has them."""
    variants: Mapping[str, Variant]
    """The variants of the runs."""
    runs: Mapping[Run, RunSettings]
    resources: Mapping[str, BenchmarkResources]
    """By benchmark, with the experiment's changes."""

    def final_episodes(self, benchmark: str) -> int:
        """Return the number of episodes of the evaluation after training."""
        return self.experiment.final_episodes or self.benchmarks[benchmark].final_episodes


def load_experiment(
    path: Path,
    folder: Path = CONFIG_FOLDER,
    command_line: Mapping[str, Any] | None = None,
    more: Sequence[Run] = (),
) -> Plan:
    """Read an experiment and everything it names.

    Args:
        path: the experiment's file; what is not there, the package may carry.
        folder: the config folder, with its benchmarks and variants.
        command_line: values of ``COMMAND_LINE_KEYS`` that win over the file's, where text is read as YAML; and under
            ``set`` words KEY=VALUE that change the settings of all runs, and the names of variants and experiment.
        more: runs to add. They differ from some run of the experiment by the seed alone.

    Raises:
        UserError: one line with file, key and nearest valid name.
    """
    check_stem(path)
    given = dict(command_line or {})
    words = words_of(given.pop("set", ()))
    file = Layer(str(path), read_yaml(experiment_file(path)))
    experiment = validate(Experiment, [file, Layer("--config", _command_line_settings(given, path))])
    known = names("benchmark", folder)
    if experiment.name in known:
        raise UserError(f"{file.name(('name',))}: {experiment.name!r} is taken, it names a benchmark")
    for position, group in enumerate(experiment.runs):
        _check("benchmark", group.benchmark, known, file, ("runs", position, "benchmark"))
    needed = {*PUBLISHED_BENCHMARKS, *(group.benchmark for group in experiment.runs)}
    benchmarks = {name: load_benchmark(name, folder) for name in known if name in needed}
    own = list(_runs(experiment, benchmarks, names("variant", folder), file))
    runs = _with_more(experiment, own, more)
    overrides, changes = _overrides(experiment, runs, file), read_changes(words)
    variants = {name: load_variant(name, folder) for name in dict.fromkeys(run.variant for run in runs)}
    settings: dict[Run, RunSettings] = {}
    alike: dict[tuple[str, str, tuple[int, ...]], RunSettings] = {}  # by what they come from
    for number, run in enumerate(runs):
        changed = run._replace(variant=changed_variant(run.variant, words))
        origin = (run.benchmark, run.variant, tuple(map(id, overrides[run])))
        if origin not in alike or number >= len(own):  # nothing has checked the seeds of others yet
            layers = [*overrides[run], changes]
            alike[origin] = run_settings(changed, benchmarks[run.benchmark], variants[run.variant], layers, folder)
        settings[changed] = alike[origin].model_copy(update={"task": run.task, "seed": run.seed})
    return Plan(
        experiment=experiment.model_copy(update={"name": changed_variant(experiment.name, words)}),
        benchmarks=benchmarks,
        variants={changed_variant(name, words): _labelled(variant, words) for name, variant in variants.items()},
        runs=settings,
        resources=_resources(experiment, benchmarks, known, file, folder),
    )


def words_of(given: str | Sequence[str]) -> list[str]:
    """Read the words KEY=VALUE of ``set``: a list, or a text with spaces between them."""
    return shlex.split(given) if isinstance(given, str) else list(given)


def _labelled(variant: Variant, words: Sequence[str]) -> Variant:
    return variant.model_copy(update={"label": ", ".join([variant.label, *words])})


def _with_more(experiment: Experiment, own: Sequence[Run], more: Iterable[Run]) -> list[Run]:
    """Add runs with other seeds. Raises UserError where more than the seed is not the experiment's."""
    known = {run._replace(seed=0) for run in own}
    added = [run._replace(variant=unchanged_variant(run.variant)) for run in more]
    for run in added:
        if run._replace(seed=0) not in known:
            raise unknown_name(f"run of experiment {experiment.name!r}", run.folder, (other.folder for other in own))
    return list(dict.fromkeys([*own, *added]))


def _command_line_settings(given: Mapping[str, Any], experiment: Path) -> dict[str, Any]:
    for key in given:
        if key not in COMMAND_LINE_KEYS:
            valid = f"{', '.join(COMMAND_LINE_KEYS)} and set can be given there; all else stands in {experiment}"
            raise UserError(f"--config {key}: only {valid}")
    return {
        key: parse_yaml(f"value: {value}", f"--config {key}")["value"] if isinstance(value, str) else value
        for key, value in given.items()
    }


def _check(kind: str, given: str, known: Iterable[str], file: Layer, location: Location) -> None:
    known = list(known)
    if given not in known:
        raise UserError(f"{file.name(location)}: {unknown_name(kind, given, known)}")


def _runs(
    experiment: Experiment, benchmarks: Mapping[str, Benchmark], variants: Iterable[str], file: Layer
) -> Iterable[Run]:
    """List every run once, in the order of the file."""
    runs: dict[Run, None] = {}
    for position, group in enumerate(experiment.runs):
        benchmark = benchmarks[group.benchmark]
        for index, variant in enumerate(group.variants):
            _check("variant", variant, variants, file, ("runs", position, "variants", index))
        for index, task in enumerate(group.tasks if group.tasks != "all" else ()):
            _check(f"task of {group.benchmark}", task, benchmark.tasks, file, ("runs", position, "tasks", index))
        runs.update(dict.fromkeys(islice(_group_runs(group, benchmark), MOST_RUNS + 1)))
        if len(runs) > MOST_RUNS:
            raise UserError(f"{file.name(('runs', position))}: makes more than {MOST_RUNS} runs")
    return runs


def _group_runs(group: RunGroup, benchmark: Benchmark) -> Iterable[Run]:
    tasks = benchmark.tasks if group.tasks == "all" else group.tasks
    seeds = benchmark.seeds if group.seeds is None else group.seeds
    for variant in group.variants:
        for task in tasks:
            for seed in range(seeds) if isinstance(seeds, int) else seeds:
                yield Run(group.benchmark, variant, task, seed)


def _overrides(experiment: Experiment, runs: Iterable[Run], file: Layer) -> dict[Run, list[Layer]]:
    """Collect the overrides that apply to each run, in the order of the file."""
    found: dict[Run, list[Layer]] = {run: [] for run in runs}
    for position, override in enumerate(experiment.overrides):
        for key, given in override.where.model_dump(exclude_none=True).items():
            known = {getattr(run, key) for run in found}
            _check(f"{key} of this experiment", given, known, file, ("overrides", position, "where", key))
        matching = [run for run in found if override.where.matches(run)]
        if not matching:
            raise UserError(f"{file.name(('overrides', position, 'where'))}: no run of this experiment matches")
        layer = Layer(file.file, override.set, f"overrides[{position}].set")
        for run in matching:
            found[run].append(layer)
    return found


def _resources(
    experiment: Experiment, benchmarks: Mapping[str, Benchmark], known: Iterable[str], file: Layer, folder: Path
) -> dict[str, BenchmarkResources]:
    for name in experiment.resources:
        _check("benchmark", name, known, file, ("resources", name))
    return {
        name: validate(
            BenchmarkResources,
            [
                Layer(str(folder / "benchmarks" / f"{name}.yaml"), benchmark.resources.model_dump(), "resources"),
                Layer(file.file, experiment.resources.get(name, {}), f"resources.{name}"),
            ],
        )
        for name, benchmark in benchmarks.items()
    }
