"""The statistics, figures and tables that an experiment comes to: which there are, and the names of their files."""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

from snakemake.io import report
from suite import run_folder, settings_file

from m3.analysis import catalog
from m3.analysis.score_files import tasks_in
from m3.config.experiment import Experiment, Run, Statistics
from m3.config.plan import PUBLISHED_BENCHMARKS, Plan
from m3.errors import UserError, unknown_name
from m3.files.names import DIAGNOSIS, SCORES, WEIGHTS

REPORTED_SUFFIXES = ("png", "html")


class Analysis(NamedTuple):
    """The statistics, figures and tables of one benchmark."""

    scope: str
    """Folder above the benchmark's: none for published scores alone, else that of the experiment, with a slash."""
    benchmark: str
    label: str
    scores: Literal["published", "own", "both"]
    runs: Sequence[Run] = ()
    """The own runs that take part."""
    methods: Sequence[str] = ()
    """The published methods; empty: the benchmark's short list."""
    score_files: Sequence[str] = ()
    """Files of other methods' scores."""

    @property
    def name(self) -> str:
        """For the names of rules."""
        return f"{scope_name(self.scope)}_{self.benchmark}"

    @property
    def variants(self) -> list[str]:
        return list(dict.fromkeys(run.variant for run in self.runs))


def scope_name(scope: str) -> str:
    return scope.rstrip("/") or "published"


def experiment_scope(plan: Plan) -> str:
    """Where the experiment's figures go. Those of published scores alone are the same for all experiments."""
    return "" if _is_published_alone(plan.experiment) else f"{plan.experiment.name}/"


def _is_published_alone(experiment: Experiment) -> bool:
    chosen = experiment.published is not None or experiment.score_files
    return experiment.scores == "published" and not chosen


def draws(plan: Plan, scope: str) -> str:
    """Arguments of aggregate: an experiment's choice leaves the published scores' alone."""
    how = plan.experiment.statistics if scope == experiment_scope(plan) else Statistics()
    return f"--repetitions {how.repetitions} --band-repetitions {how.band_repetitions} --seed {how.seed}"


def published_analyses(plan: Plan) -> list[Analysis]:
    """Those of the published scores alone."""
    return [Analysis("", name, plan.benchmarks[name].label, "published") for name in PUBLISHED_BENCHMARKS]


def own_analyses(plan: Plan) -> list[Analysis]:
    """Those of the experiment: of its runs and score files, unless it shows published scores alone.

    Raises:
        UserError: the experiment is to be shown as far as it is finished, and nothing is; or a score file is faulty.
    """
    experiment = plan.experiment
    if _is_published_alone(experiment):
        return published_analyses(plan)
    runs = [run for run in plan.runs if not experiment.partial or _has(plan, run, SCORES)]
    if not (runs or experiment.score_files or experiment.scores == "published"):
        raise UserError(f"partial: no run of experiment {experiment.name!r} is finished yet")
    if experiment.scores == "published":
        runs = []
    files = _score_files(plan, list(dict.fromkeys(run.benchmark for run in plan.runs)) or PUBLISHED_BENCHMARKS)
    shown = dict.fromkeys([*(run.benchmark for run in runs), *files])
    return [
        Analysis(
            scope=experiment_scope(plan),
            benchmark=name,
            label=plan.benchmarks[name].label,
            scores=experiment.scores,
            runs=tuple(run for run in runs if run.benchmark == name),
            methods=("all",) if experiment.published == "all" else experiment.published or (),
            score_files=files.get(name, ()),
        )
        for name in shown or PUBLISHED_BENCHMARKS
    ]


def _score_files(plan: Plan, candidates: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """By benchmark, the score files that concern it.

    They are the benchmarks that the files name. A file without such a column is of all candidates that have one of its
    tasks; if none has, of the first, so that ``collect`` says what is wrong with it.
    """
    found: dict[str, tuple[str, ...]] = {}
    for file in plan.experiment.score_files:
        rows = tasks_in(Path(file))
        named = sorted({benchmark for benchmark, _ in rows if benchmark})
        for benchmark in named:
            if benchmark not in plan.benchmarks:
                raise UserError(f"{file}: {unknown_name('benchmark', benchmark, plan.benchmarks)}")
        tasks = {task for benchmark, task in rows if not benchmark}
        having = [name for name in candidates if tasks & set(plan.benchmarks[name].tasks)]
        for name in dict.fromkeys([*named, *(having if named or having else candidates[:1])]):
            found[name] = (*found.get(name, ()), file)
    return found


def shown_runs(analyses: Iterable[Analysis]) -> list[Run]:
    """The own runs that take part in any of the given analyses."""
    return [run for analysis in analyses for run in analysis.runs]


def statistics_file(name: str, scope: str = "{scope}") -> str:
    """Return where a file of any benchmark stands, with the benchmark and by default the scope as wildcards."""
    return f"results/{scope}{{benchmark}}/{name}"


def statistics_files(analyses: Iterable[Analysis], *names: str) -> list[str]:
    """Files below results/ of the given analyses."""
    return [f"results/{analysis.scope}{analysis.benchmark}/{name}" for analysis in analyses for name in names]


def figure_files(analysis: Analysis) -> dict[str, str]:
    """Name -> file of every figure of an analysis, with {benchmark} as a wildcard."""
    entries = catalog.figures(analysis.benchmark, len(analysis.variants), analysis.scores != "own")
    return _product_files(analysis, entries, catalog.FIGURE_SUFFIXES, "{benchmark}/")


def table_files(analysis: Analysis) -> dict[str, str]:
    """Name -> file of every table of an analysis, with {benchmark} as a wildcard."""
    return _product_files(analysis, catalog.tables(len(analysis.variants)), catalog.TABLE_SUFFIXES, "{benchmark}/")


def diagnosed_runs(plan: Plan, analysis: Analysis) -> list[Run]:
    """The own runs of an analysis that train a world model; in partial figures, those that have one."""
    trained = [
        run
        for run in analysis.runs
        if plan.runs[run].command is None
        and plan.runs[run].world_model.schedule.start_after_epoch < plan.runs[run].epochs
    ]
    if not plan.experiment.partial:
        return trained
    return [run for run in trained if _has(plan, run, WEIGHTS) or _has(plan, run, DIAGNOSIS)]


def _has(plan: Plan, run: Run, name: str) -> bool:
    """Whether a run has a file that came from its present settings."""
    return Path(run_folder(run), name).exists() and Path(settings_file(plan, run)).exists()


def diagnosis_files(analysis: Analysis) -> dict[str, str]:
    """Name -> file of the figure and the table of an analysis's world models, with {benchmark} as a wildcard."""
    figure, table = ([entry] for entry in catalog.DIAGNOSIS)
    files = _product_files(analysis, figure, catalog.FIGURE_SUFFIXES, "{benchmark}/")
    return files | _product_files(analysis, table, catalog.TABLE_SUFFIXES, "{benchmark}/")


def overview_files(scope: str) -> dict[str, str]:
    """Name -> file of the figures and the page that show all benchmarks of a scope."""
    everything = Analysis(scope, "", "All benchmarks", "both")
    figures = _product_files(everything, catalog.JOINT_FIGURES, catalog.FIGURE_SUFFIXES, "")
    return figures | _product_files(everything, [catalog.EXPLORE], ["html"], "")


def all_figures(analyses: Iterable[Analysis]) -> list[str]:
    """The files of all figures of the given analyses, with those that show all benchmarks."""
    analyses = list(analyses)
    overviews = [file for scope in dict.fromkeys(a.scope for a in analyses) for file in overview_files(scope).values()]
    return _of_every(analyses, figure_files) + [str(file) for file in overviews]


def all_tables(analyses: Iterable[Analysis]) -> list[str]:
    """The files of all tables of the given analyses."""
    return _of_every(analyses, table_files)


def all_diagnoses(plan: Plan, analyses: Iterable[Analysis]) -> list[str]:
    """The files of ``diagnosis_files`` of the given analyses that have runs to diagnose."""
    return _of_every((a for a in analyses if diagnosed_runs(plan, a)), diagnosis_files)


def _of_every(analyses: Iterable[Analysis], files: Callable[[Analysis], dict[str, str]]) -> list[str]:
    # str drops what makes a file part of the report: here it is an input
    return [str(pattern).format(benchmark=a.benchmark) for a in analyses for pattern in files(a).values()]


def _product_files(
    analysis: Analysis, entries: Iterable[catalog.Entry], suffixes: Iterable[str], folder: str
) -> dict[str, str]:
    """Those already made go into the report, also while others are missing."""
    files = {}
    for entry, suffix in product(entries, suffixes):
        file = f"figures/{analysis.scope}{folder}{entry.name}.{suffix}"
        if suffix in REPORTED_SUFFIXES and Path(file.format(benchmark=analysis.benchmark)).exists():
            labels = {"shows": entry.title, "scores": scope_name(analysis.scope)}
            caption = Path(file.format(benchmark=analysis.benchmark)).with_name(f"{entry.name}.md").resolve()
            if suffix == "html" or not caption.exists():
                caption = Path(__file__).with_name("report") / f"{entry.name}.rst"
            file = report(file, caption=str(caption), category=analysis.label, labels=labels)
        files[f"{entry.name}_{suffix}"] = file
    return files
