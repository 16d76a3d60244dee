# What the rules share: the experiment, checked before anything runs, and its files.

import atexit
import gc
import os
import logging
import re
import signal
import sys
from pathlib import Path

from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader

from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake.sourcecache import LocalSourceFile
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
from snakemake_interface_executor_plugins.settings import ExecMode


def prepend(variable, folder):
    """Put a folder first in a path of the environment, which jobs inherit."""
    os.environ[variable] = os.pathsep.join(filter(None, [folder, os.environ.get(variable)]))


def source(path):
    """A file of the workflow's own. One from a repository elsewhere, with `github(...)`, is in Snakemake's cache."""
    file = workflow.current_basedir.join(path)
    return os.path.relpath(file.path) if isinstance(file, LocalSourceFile) else workflow.source_path(path)


def load(name):
    """A module of the workflow's own."""
    loader = SourceFileLoader(name, source(f"../{name}.py"))
    sys.modules[name] = module_from_spec(spec_from_loader(name, loader))
    loader.exec_module(sys.modules[name])
    return sys.modules[name]


# jobs use the Python that runs Snakemake, also where its environment was not activated
prepend("PATH", os.path.dirname(sys.executable))
CLONE = os.path.dirname(os.path.dirname(os.path.abspath(source("../suite.py"))))
if os.path.isdir(os.path.join(CLONE, "m3")):  # then with the M3 beside the workflow, in whatever folder they run
    sys.path.insert(0, CLONE)
    prepend("PYTHONPATH", CLONE)
elif find_spec("m3") is None:
    sys.exit(
        "error: M3 is not installed beside Snakemake: pip install 'm3[all] @ git+URL' with the workflow's repository"
    )

from m3.config.plan import load_experiment
from m3.errors import UserError
from m3.files.names import AGGREGATES, AGGREGATES_CSV, DIAGNOSIS, LOGS, METRICS, SCORE_TABLE, SCORES, SETTINGS, WEIGHTS
from m3.files.pretrained import PRETRAINED


def stop(number, frame):
    """Ctrl-C: say in one line what Snakemake would in many, and let it end its jobs."""
    print("stopping, once the running jobs have ended; give the same command again to continue", file=sys.stderr)
    logging.disable()
    sys.excepthook = lambda *_: None
    raise KeyboardInterrupt


def is_news(record):
    """`--report` warns of every file that was not made yet, or that came without Snakemake's records."""
    return not record.getMessage().startswith("Missing metadata for file")


logger.addFilter(is_news)

if not workflow.remote_exec:
    signal.signal(signal.SIGINT, stop)

gc.freeze()  # what is imported stays: the collector need not look through it again and again

suite = load("suite")
analyses = load("analyses")
JOBS = load("job_commands").JobCommands(
    workflow.remote_exec and "SLURM_JOB_ID" in os.environ,
    own_gpu=source("../scripts/own_gpu.py"),
    slurm_slice=source("../scripts/slurm_slice.py"),
)

try:
    EXPERIMENT = suite.experiment_file(workflow.overwrite_configfiles or workflow.configfiles)
    GIVEN = workflow.config_settings.config
    PLAN = load_experiment(Path(EXPERIMENT), command_line=GIVEN, more=suite.asked_runs(sys.argv[1:]))
    suite.check_targets(PLAN, sys.argv[1:])
    PUBLISHED = analyses.published_analyses(PLAN)
    OWN = analyses.own_analyses(PLAN)
except UserError as error:
    sys.exit(f"error: {error}")  # one line, where Snakemake would show a traceback

EXECUTORS = ExecutorPluginRegistry()
SLURM_CAUSES = {}
if not workflow.remote_exec and EXECUTORS.is_installed("slurm"):
    slurm_driver = load("slurm_driver")
    EXECUTORS.get_plugin("slurm").executor = slurm_driver.Executor
    SLURM_CAUSES = slurm_driver.CAUSES

locks = load("driver_locks")
if not workflow.remote_exec:
    for note in suite.planning_notes(PLAN):
        print(note, file=sys.stderr)
if workflow.exec_mode == ExecMode.DEFAULT and "--unlock" not in sys.argv:
    for note in locks.unlock_after_dead_drivers():
        print(note, file=sys.stderr)

OUTPUT = workflow.output_settings
if OUTPUT.dryrun and OUTPUT.quiet == {Quietness.HOST, Quietness.RULES}:
    # the default profile's: a dry run of it says how many jobs of each kind there are, once
    OUTPUT.quiet = {Quietness.RULES, Quietness.PROGRESS}

# without repetition: an experiment may show published scores alone
ANALYSES = list(dict.fromkeys(PUBLISHED + OWN))
EVERYTHING = ANALYSES if PLAN.experiment.published_figures else OWN


def settings_file(wildcards):
    file = suite.settings_file(PLAN, suite.run_of(wildcards))
    if suite.is_outdated(file):
        # Snakemake does not make a missing file for the sake of results that exist, unless its records say that they
        # came from another file. Where results were copied without those records, it must be told to.
        workflow.dag.forcefiles.add(file)
    return file


def perceptual_files(wildcards):
    """The pretrained weights that a run's tokenizer trains with, if any."""
    tokenizer = PLAN.runs[suite.run_of(wildcards)].tokenizer
    wanted = tokenizer is not None and tokenizer.perceptual == "lpips"
    return [f"pretrained/{file}" for file in PRETRAINED] if wanted else []


def analysis_of(wildcards):
    return next(a for a in ANALYSES if (a.scope, a.benchmark) == (wildcards.scope, wildcards.benchmark))


def diagnosed_files(name, analysis):
    """Lists a file of every run of an analysis that is diagnosed, once a job needs them."""
    return lambda wildcards: suite.run_files(name, analyses.diagnosed_runs(PLAN, analysis))
