"""A finished experiment of many runs with made-up scores, to measure and to test what grows with their number.

PYTHONPATH=. python tests/many_runs.py FOLDER --runs 5000
"""

import argparse
import shutil
from pathlib import Path

import numpy as np

from m3.config.loading import SHIPPED
from m3.config.plan import Plan, load_experiment
from m3.config.schema import RunSettings
from m3.files import atomic
from m3.files.names import RUNS, WEIGHTS
from m3.files.run_folder import write_settings
from m3.programs.results import Episodes, Results, write_results

BENCHMARK = "dmc500k"
TASKS = 10
VARIANTS = 10
RUNS_PER_SEED = TASKS * VARIANTS
_EVALUATIONS = 20


def make_experiment(folder: Path, seeds: int) -> Path:
    """Make a folder with an experiment of ``RUNS_PER_SEED`` runs per seed; return the experiment's file."""
    shutil.copytree(SHIPPED / "config", folder / "config", dirs_exist_ok=True)
    shutil.copytree(SHIPPED / "published", folder / "results/published", dirs_exist_ok=True)
    variants = [f"changed-{number}" for number in range(VARIANTS)]
    for number, variant in enumerate(variants):
        changes = f"settings: {{controller: {{discount: {0.9 + number / 1000}}}}}"
        (folder / f"config/variants/{variant}.yaml").write_text(f"label: Change {number}\n{changes}\n")
    tasks = load_experiment(SHIPPED / "config/paper.yaml").benchmarks[BENCHMARK].tasks[:TASKS]
    names = f"variants: [{', '.join(variants)}], tasks: [{', '.join(tasks)}], seeds: {seeds}"
    file = folder / "config/many.yaml"
    file.write_text(f"name: many\nscores: own\nruns: [{{benchmark: {BENCHMARK}, {names}}}]\n")
    return file


def finish(plan: Plan, folder: Path) -> None:
    """Leave what every run's training and evaluation would."""
    for number, (run, settings) in enumerate(plan.runs.items()):
        place = folder / RUNS / run.folder
        write_settings(place, settings)
        (place / WEIGHTS).touch()
        write_results(place, settings, _results(settings, np.random.default_rng(number)))


def _results(settings: RunSettings, rng: np.random.Generator) -> Results:
    """Scores that rise from 0 to the level of the variant."""
    level = 100.0 + 20 * int(settings.variant.rpartition("-")[2])
    steps = np.linspace(0, settings.agent_steps, _EVALUATIONS + 1, dtype=int)[1:].tolist()
    shares = np.linspace(0, 1, _EVALUATIONS)
    evaluations = [_episodes(level * share, 4, rng) for share in shares]
    return Results(_episodes(level, 20, rng), steps[-1], 3600.0, list(zip(steps, evaluations, strict=True)), 2)


def _episodes(level: float, count: int, rng: np.random.Generator) -> Episodes:
    return Episodes((level + 10 * rng.standard_normal(count)).tolist(), [500] * count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5000, help=f"a multiple of {RUNS_PER_SEED} (default: %(default)s)")
    args = parser.parse_args()
    experiment = make_experiment(args.folder, args.runs // RUNS_PER_SEED)
    atomic.os.fsync = lambda descriptor: None  # nothing of it has to survive
    finish(load_experiment(experiment, args.folder / "config"), args.folder)
    print(f"{args.folder}: {args.runs} finished runs of {experiment}")


if __name__ == "__main__":
    main()
