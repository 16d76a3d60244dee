"""Whether own runs are what a table of scores says, and whether they were made in the same way."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from m3.analysis.own_runs import OwnRun, read_run
from m3.analysis.scores import ScoreTable
from m3.files.names import METRICS, SCORES
from m3.files.run_folder import settings_files, settings_name


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
        self._benchmark = table.benchmark
        folder = root / "results" / "runs" / table.benchmark
        self._known: dict[Path, OwnRun] = {}
        self._runs = [
            _Run(name, folder / name, row.config_hash)
            for row in table.runs.itertuples()
            for name in [f"{row.variant}/{row.task}/seed-{row.seed}"]
        ]

    @property
    def folders(self) -> list[Path]:
        """Of the runs that are there, in the order of the table."""
        return [run.folder for run in self._runs if run.complete]

    def read(self, folder: Path, benchmark: str) -> OwnRun:
        """Read a run, once. Raises UserError where one of its files is damaged, or of another run."""
        if folder not in self._known:
            self._known[folder] = read_run(folder, benchmark)
        return self._known[folder]

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
            found = self.read(run.folder, self._benchmark)
            yield from (f"run {run.name}: {problem}" for problem in _contradictions(run, found))
            for kind, value in _making(found).items():
                makings[kind][value].append(run.name)
        for kind, runs in makings.items():
            if len(runs) > 1:
                common = frozenset.intersection(*runs)
                parts = (f"{' '.join(sorted(value - common))} in {_some(names)}" for value, names in runs.items())
                yield f"mix of {kind}: {'; '.join(parts)}"

    def summary(self) -> Iterator[str]:
        """What made the runs, in a line."""
        rows = [self.read(folder, self._benchmark).row for folder in self.folders]
        if rows:
            revisions = {f"{row['git_revision'][:10]}{' (modified)' if row['git_dirty'] else ''}" for row in rows}
            devices = {row["device"] for row in rows}
            made = f"of revision {', '.join(sorted(revisions))} on {', '.join(sorted(devices))}"
            yield f"{len(rows)} own runs, {made}"


def _contradictions(run: _Run, found: OwnRun) -> Iterator[str]:
    """What in a run's files does not fit together."""
    for name, making in ((SCORES, found.scoring), (METRICS, found.training)):
        if not making.hash_fits:
            yield f"the settings in {name} are not those of their hash"
        if making.config_hash != run.config_hash:
            yield f"{name} is of the settings {making.config_hash[:8]}, the table of {run.config_hash[:8]}"
    if found.changed_software:
        yield f"it was trained by one software after another: {' '.join(sorted(found.changed_software))}"
    resolved = [path.name for path in settings_files(run.folder)]
    if resolved and settings_name(run.config_hash) not in resolved:
        yield f"its folder is now of the settings in {resolved[0]}"


def _making(run: OwnRun) -> dict[str, frozenset[str]]:
    """What must be the same for all runs of a table."""
    return {
        "training versions": frozenset([f"version {run.training_version or None}"]),
        "training software": run.training.software,
        "scoring software": run.scoring.software,
    }


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
