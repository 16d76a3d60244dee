"""Whether own runs are what a table of scores says, and whether they were made in the same way."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from m3.analysis.scores import ScoreTable
from m3.config.yaml_files import parse_yaml
from m3.files import hdf5
from m3.files.contents import read_metrics
from m3.files.names import ANY_SETTINGS, METRICS, SCORES, SETTINGS


class _Run(NamedTuple):
    """A run of a table."""

    name: str
    folder: Path
    config_hash: str
    """That of its settings, as the table says."""

    @property
    def complete(self) -> bool:
        return all((self.folder / name).exists() for name in (SCORES, METRICS))


class RunOrigins:
    """The own runs of a table, in their folders.

    Args:
        root: the folder of results/.
        table: of scores, with or without own runs.
    """

    def __init__(self, root: Path, table: ScoreTable) -> None:
        folder = root / "results" / "runs" / table.benchmark
        self._runs = [
            _Run(name, folder / name, row.config_hash)
            for row in table.runs.itertuples()
            for name in [f"{row.variant}/{row.task}/seed-{row.seed}"]
        ]

    @property
    def folders(self) -> list[Path]:
        """Of the runs that are there, in the order of the table."""
        return [run.folder for run in self._runs if run.complete]

    def problems(self) -> Iterator[str]:
        """Missing runs, runs whose files do not belong together, and runs that were not made alike.

        Raises:
            UserError: a file is damaged.
        """
        makings: dict[str, dict[frozenset[str], list[str]]] = defaultdict(lambda: defaultdict(list))
        for run in self._runs:
            if not run.complete:
                yield f"run {run.name} is missing: {run.folder} has no {SCORES} or no {METRICS}"
                continue
            yield from (f"run {run.name}: {problem}" for problem in _contradictions(run))
            for kind, value in _making(run.folder).items():
                makings[kind][value].append(run.name)
        for kind, runs in makings.items():
            if len(runs) > 1:
                common = frozenset.intersection(*runs)
                parts = (f"{' '.join(sorted(value - common))} in {_some(names)}" for value, names in runs.items())
                yield f"mix of {kind}: {'; '.join(parts)}"

    def summary(self) -> Iterator[str]:
        """What made the runs, in a line."""
        attributes = [hdf5.describe(folder / METRICS).attributes for folder in self.folders]
        if attributes:
            revisions = {f"{a['git_revision'][:10]}{' (modified)' if a['git_dirty'] else ''}" for a in attributes}
            devices = {a["device"] for a in attributes}
            made = f"of revision {', '.join(sorted(revisions))} on {', '.join(sorted(devices))}"
            yield f"{len(attributes)} own runs, {made}"


def _contradictions(run: _Run) -> Iterator[str]:
    """What in a run's files does not fit together."""
    for name in (SCORES, METRICS):
        attributes = hdf5.describe(run.folder / name).attributes
        found = attributes["config_hash"]
        if hashlib.sha256(attributes["config"].encode()).hexdigest() != found:
            yield f"the settings in {name} are not those of their hash"
        if found != run.config_hash:
            yield f"{name} is of the settings {found[:8]}, the table of {run.config_hash[:8]}"
    metrics, _ = read_metrics(run.folder / METRICS)
    packages = [frozenset(text.split()) for text in metrics["processes"]["packages"]]
    changed = frozenset.union(*packages) - frozenset.intersection(*packages)
    if changed:
        yield f"it was trained by one software after another: {' '.join(sorted(changed))}"
    resolved = [path.name for path in run.folder.glob(ANY_SETTINGS)]
    if resolved and SETTINGS.format(hash=run.config_hash[:8]) not in resolved:
        yield f"its folder is now of the settings in {resolved[0]}"


def _making(folder: Path) -> dict[str, frozenset[str]]:
    """What must be the same for all runs of a table."""
    training = hdf5.describe(folder / METRICS).attributes
    scoring = hdf5.describe(folder / SCORES).attributes
    version = parse_yaml(training["config"], str(folder)).get("training_version")
    return {
        "training versions": frozenset([f"version {version}"]),
        "training software": frozenset([training["created_by"], *training["packages"]]),
        "scoring software": frozenset([scoring["created_by"], *scoring["packages"]]),
    }


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
