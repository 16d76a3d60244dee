"""What an experiment comes to as files: the names that the rules give to them."""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from m3.config import loading
from m3.config.experiment import Run, task_of_folder
from m3.config.plan import Plan, words_of
from m3.errors import UserError, unknown_name
from m3.files.names import LAST_EXPERIMENT, RESULTS, RUNS
from m3.files.run_folder import resolved_name
from m3.runs.named_code import asked_for

TARGETS = ("all", "runs", "aggregates", "figures", "tables", "diagnosis", "paper_figures", "perceptual_weights")
Wildcards = Any
"""Snakemake's: the values of a rule's wildcards as attributes."""


def experiment_file(given: Sequence[Path]) -> str:
    """Find the file of --configfile, else the paper's: that of the folder, or the one that M3 comes with.

    Raises:
        UserError: more than one is given, or its name has braces.
    """
    if len(given) > 1:
        raise UserError(f"--configfile takes one experiment, got {len(given)}")
    if given and set("{}") & set(str(given[0])):
        raise UserError(f"--configfile {given[0]}: Snakemake takes what stands in braces for a wildcard; rename it")
    return os.path.relpath(given[0]) if given else str(loading.experiment_file(Path("config/paper.yaml")))


def published_files() -> list[str]:
    """The files of the published scores: those of the folder, or those that M3 comes with."""
    return [str(loading.published_folder() / name) for name in ("methods.csv", "runs.csv", "curves.csv.gz")]


def benchmark_file(name: str) -> str:
    """A benchmark's file: the folder's, or the one that M3 comes with."""
    return str(loading.benchmark_file(name))


def run_of(wildcards: Wildcards) -> Run:
    """The run that a rule's wildcards name."""
    return Run(wildcards.benchmark, wildcards.variant, task_of_folder(wildcards.task), int(wildcards.seed))


def run_folder(run: Run) -> str:
    """Where a run's files stand."""
    return f"{RUNS}/{run.folder}"


def run_file(name: str) -> str:
    """Return where a file of any run stands, with the run's four names as wildcards."""
    return f"{RUNS}/{{benchmark}}/{{variant}}/{{task}}/seed-{{seed}}/{name}"


def run_files(name: str, runs: Iterable[Run]) -> list[str]:
    """A file of every given run."""
    return [f"{run_folder(run)}/{name}" for run in runs]


def settings_file(plan: Plan, run: Run) -> str:
    """The file of a run's settings. Its name holds their hash, so that other settings are a file that is missing."""
    return f"{run_folder(run)}/{resolved_name(plan.runs[run])}"


def is_outdated(settings: str) -> bool:
    """Whether the results beside a file of settings came from others, or from nobody knows which."""
    path = Path(settings)
    return not path.exists() and any((path.parent / name).exists() for name in RESULTS)


def asked_runs(arguments: Iterable[str]) -> list[Run]:
    """Find the runs whose files or jobs Snakemake is asked for: the experiment's, or of other seeds."""
    runs = []
    for argument in arguments:
        names = re.match(rf"{RUNS}/([^/]+)/([^/]+)/([^/]+)/seed-(\d+)/", argument)
        wildcards = dict(re.findall(r"(benchmark|variant|task|seed)=([^,\s]+)", argument))
        if names:
            runs.append(Run(names[1], names[2], task_of_folder(names[3]), int(names[4])))
        elif len(wildcards) == len(Run._fields) and wildcards["seed"].isdigit():
            runs.append(run_of(SimpleNamespace(**wildcards)))
    return runs


def check_targets(plan: Plan, targets: Iterable[str]) -> None:
    """Runs asked for by file name must exist; Snakemake itself would not say which of the names is wrong.

    Raises:
        UserError: with the nearest run of the experiment.
    """
    targets = list(targets)
    check_names(targets)
    wanted = ["/".join(target.split("/")[2:6]) for target in targets if target.startswith(f"{RUNS}/")]
    known = {run.folder: None for run in plan.runs} if wanted else {}
    for folder in wanted:
        if folder not in known:
            raise unknown_name(f"run of experiment {plan.experiment.name!r}", folder, known)


def check_names(arguments: Iterable[str]) -> None:
    """Targets must be spelt right. Raises UserError with the nearest one for what is near to one."""
    for argument in arguments:
        if argument not in TARGETS and get_close_matches(argument, TARGETS, cutoff=0.75):
            raise unknown_name("target", argument, TARGETS)


def planning_notes(plan: Plan) -> list[str]:
    """One line for each benchmark with tasks whose scores nothing normalises."""
    notes = []
    for name, benchmark in plan.benchmarks.items():
        tasks = dict.fromkeys(run.task for run in plan.runs if run.benchmark == name)
        extra = [task for task in tasks if benchmark.lacks_reference(task)]
        if extra:
            advice = f"not in normalised aggregates (m3 benchmark-references {name}/{extra[0]} measures random play)"
            notes.append(f"note: {name}: {', '.join(extra)} have no reference scores: shown as they are, {advice}")
    return notes


def note_experiment(file: str) -> None:
    """Remember the experiment that was used last, for the command `status`."""
    path = Path(LAST_EXPERIMENT)
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{file}\n")


def job_resource(plan: Plan, job: Literal["train", "evaluate"], name: str) -> Callable[[Wildcards], int]:
    """A resource of a kind of job, as Snakemake wants it."""
    return lambda wildcards: getattr(getattr(plan.resources[wildcards.benchmark], job), name)


def job_device(plan: Plan, job: Literal["train", "evaluate"]) -> Callable[[Wildcards], str]:
    """The --device of a kind of job: without the resource "gpu", it leaves GPUs alone."""
    gpus = job_resource(plan, job, "gpu")
    return lambda wildcards: "auto" if gpus(wildcards) else "cpu"


def variant_pattern(plan: Plan, own_program: bool) -> str:
    """A regular expression of the variants that have a program of their own, or of those that M3 trains."""
    names = [name for name, variant in plan.variants.items() if (variant.command is not None) == own_program]
    return "|".join(map(re.escape, names)) or "(?!)"  # the last matches nothing


def change_words(config: Mapping[str, Any]) -> list[str]:
    """Return the words KEY=VALUE of --config set=..., for the command that resolves a run."""
    return words_of(config.get("set", ()))


def tracking_arguments(plan: Plan) -> list[str]:
    """Return arguments of train with what the experiment says of tracking; none where it says nothing."""
    tracking = plan.experiment.tracking
    if tracking is None:
        return []
    names = {"--track": tracking.tool, "--track-project": tracking.project, "--track-group": tracking.group}
    given = [word for option, value in names.items() if value for word in (option, value)]
    return given + ["--track-offline"] * tracking.offline


def left_out(targets: Iterable[Any]) -> str | None:
    """Tell of files that Snakemake was asked for and did not make, although it says that all is done.

    It starts no job whose only reason is a missing file, if a job before it makes an ancient input that is there again.
    """
    missing = [file for job in targets for file in (*job.input, *job.output) if not Path(file).exists()]
    if not missing:
        return None
    count = f"{len(missing)} files are" if len(missing) > 1 else "one file is"
    return f"{count} still missing, {missing[0]} for one: Snakemake left out its job; give the same command again"


def failure_causes(jobs: Iterable[Any], told: Mapping[Any, str]) -> list[str]:
    """One line for each of Snakemake's failed jobs: what is told of it, or the last words of the job's own log."""
    causes = []
    for job in sorted(jobs, key=lambda job: job.jobid):
        if job in told:
            causes.append(f"{job.rule.name} failed: {told[job]}")
            continue
        log = Path(job.log[0])
        lines = log.read_text(errors="replace").split("\n") if log.exists() else []
        words = [line for line in lines if line.strip()] or ["it left no message"]
        causes.append(f"{job.rule.name} failed: {words[-1]} (log: {log})")
    return causes


def own_code(plan: Plan, run: Run) -> list[str]:
    """Arguments that let a run's own code be executed: the experiment names it, not what is read later."""
    return [argument for code in asked_for(plan.runs[run]) for argument in ("--own-code", code)]
