# What the rules share: the experiment, checked before anything runs, and its files.

import atexit
import os
import re
import sys
from pathlib import Path

sys.path[:0] = [workflow.basedir, os.path.dirname(workflow.basedir)]
# jobs use the Python that runs Snakemake, also where its environment was not activated
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))

from snakemake.settings.enums import Quietness

import suite
from m3.config.plan import load_experiment
from m3.errors import UserError
from m3.files.names import DIAGNOSIS, LOGS, METRICS, SCORES, SETTINGS, WEIGHTS

try:
    EXPERIMENT = suite.experiment_file(workflow.configfiles)
    GIVEN = workflow.config_settings.config
    PLAN = load_experiment(Path(EXPERIMENT), command_line=GIVEN, more=suite.asked_runs(sys.argv[1:]))
    suite.check_targets(PLAN, sys.argv[1:])
    PUBLISHED = suite.published_analyses(PLAN)
    OWN = suite.own_analyses(PLAN)
except UserError as error:
    sys.exit(f"error: {error}")  # one line, where Snakemake would show a traceback

OUTPUT = workflow.output_settings
if OUTPUT.dryrun and OUTPUT.quiet == {Quietness.HOST, Quietness.RULES}:
    # the default profile's: a dry run of it says how many jobs of each kind there are, once
    OUTPUT.quiet = {Quietness.RULES, Quietness.PROGRESS}

IS_SLURM_JOB = workflow.remote_exec and "SLURM_JOB_ID" in os.environ

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
