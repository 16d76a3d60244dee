"""Write a run's settings, checked and complete, into its folder."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m3.config.schema import RunSettings

HELP = "check a run's settings and write all of them into the run's folder"

EXAMPLES = """\
python -m m3 resolve --experiment config/quickstart.yaml \\
    --benchmark atari100k --variant tiny --task Breakout --seed 0
"""

RESULTS = ("weights.safetensors", "metrics.h5", "dataset.h5", "scores.h5", "diagnosis.h5")
"""What training, evaluation and diagnosis leave beside the settings."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--experiment", type=Path, required=True, metavar="FILE", help="for example config/paper.yaml")
    parser.add_argument("--benchmark", required=True, help="for example atari100k")
    parser.add_argument("--variant", required=True, help="for example m3")
    parser.add_argument("--task", required=True, help="for example Breakout")
    parser.add_argument("--seed", type=int, required=True, help="for example 0")
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="the run's folder (default: the workflow's)")


def run(args: argparse.Namespace) -> int:
    from m3.config.experiment import Run
    from m3.config.plan import load_experiment

    run = Run(args.benchmark, args.variant, args.task, args.seed)
    folder = args.run or Path("results/runs", run.folder)
    path = write_resolved(load_experiment(args.experiment).settings(run), folder)
    print(path)
    return 0


def write_resolved(settings: "RunSettings", folder: Path) -> Path:
    """Make a folder the one of these settings.

    What other settings left there is removed before the new settings appear, so that no interruption can leave old
    results beside new settings. Checkpoints and logs stay: they carry the hash of their own settings.

    Returns:
        the file with the settings.
    """
    from m3.config.identity import canonical, resolved_name
    from m3.data.atomic import atomic_file

    path = folder / resolved_name(settings)
    outdated = [other for other in folder.glob("resolved-*.yaml") if other != path]
    if outdated:
        for name in RESULTS:
            (folder / name).unlink(missing_ok=True)
    for other in outdated:
        other.unlink()
    with atomic_file(path) as file:
        file.write(canonical(settings).encode())
    return path
