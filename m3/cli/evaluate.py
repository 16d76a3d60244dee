"""Score a trained run."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from m3.cli import add_device, add_own_code, add_workers, check_range, run_or_address
from m3.errors import UserError
from m3.files.names import METRICS, SCORES, WEIGHTS

if TYPE_CHECKING:
    from m3.config.schema import RunSettings

MOST_EPISODES = 1_000_000
MOST_WORKERS = 1024
HELP = "play episodes with the weights of a trained run and write all scores"

EXAMPLES = """\
m3 evaluate $RUN
m3 evaluate --run $RUN --episodes 100 --device auto
m3 evaluate hf://owner/m3-breakout --output again.h5    # an agent on the Hugging Face Hub
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_folder(parser, help="the run's folder, or an agent on the Hub (hf://...)")
    parser.add_argument("--episodes", type=int, metavar="N", help="how many to play (default: the benchmark's number)")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where to write the scores (default: {SCORES} in the run's folder; here for an agent on the Hub)",
    )
    add_device(parser)
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits every time on a GPU too, but slower (the CPU is always deterministic)",
    )
    add_workers(parser)
    add_own_code(parser)


def add_run_folder(parser: argparse.ArgumentParser, help: str = "the run's folder") -> None:
    """Add a run, as RUN or as --run RUN; :func:`run_folder` and :func:`run_or_agent` read it."""
    parser.add_argument("folder", nargs="?", type=run_or_address, metavar="RUN", help=help)
    parser.add_argument("--run", type=run_or_address, metavar="FOLDER", help=f"{help}, given as an option")


def run_or_agent(args: argparse.Namespace) -> Path | str:
    """Return the folder of a run, or an agent's address on the Hub, that was given in one of the two forms.

    Raises:
        UserError: there is no such folder, or none or two were given.
    """
    from m3.files.run_folder import nearest_run

    given = [run for run in (args.folder, args.run) if run is not None]
    if len(given) != 1:
        raise UserError("which run? give one folder, such as results/runs/atari100k/m3/Breakout/seed-0")
    [run] = given
    if isinstance(run, Path) and not run.is_dir():
        raise nearest_run(run)
    return run


def run_folder(args: argparse.Namespace) -> Path:
    """Return the folder of a run, as :func:`run_or_agent`. Raises UserError also for an address."""
    run = run_or_agent(args)
    if isinstance(run, str):
        raise UserError(f"{run} is on the Hub: this needs a folder with a run's checkpoints")
    return run


def run(args: argparse.Namespace) -> int:
    from m3.hub.places import weights_file
    from m3.runs.weights import load_weights

    check_range(args, "episodes", 1, MOST_EPISODES)
    check_range(args, "workers", 1, MOST_WORKERS)
    run = run_or_agent(args)
    episodes = args.episodes or final_episodes(load_weights(weights_file(run)).settings)
    evaluate_and_report(run, episodes, args.device, args.deterministic, args.output, args.own_code, args.workers)
    return 0


def final_episodes(settings: "RunSettings") -> int:
    """Return how many episodes score a run of its benchmark."""
    from m3.config.loading import load_benchmark

    return load_benchmark(settings.benchmark).final_episodes


def evaluate_and_report(
    run: Path | str,
    episodes: int,
    device: str,
    deterministic: bool,
    output: Path | None = None,
    own_code: Sequence[str] = (),
    workers: int = 1,
) -> None:
    """Score a run, and say the score and where everything is."""
    from m3.runs.evaluate import evaluate

    evaluate(
        run,
        episodes,
        output=output,
        device=device,
        deterministic=deterministic,
        own_code=own_code,
        workers=workers,
    )
    report(run, output)


def is_scored(folder: Path, settings: "RunSettings", episodes: int) -> bool:
    """Tell whether a run with these settings is trained, and scored by so many episodes."""
    from m3.config.identity import config_hash
    from m3.files.contents import read_returns

    if not ((folder / WEIGHTS).exists() and (folder / SCORES).exists()):
        return False
    returns, attributes = read_returns(folder / SCORES)
    return attributes["config_hash"] == config_hash(settings) and len(returns) == episodes


def report(run: Path | str, scores: Path | None = None) -> None:
    """Say a run's score and where everything is."""
    from m3.files.contents import read_returns
    from m3.hub.places import beside

    scores = scores or beside(run, SCORES)
    returns, _ = read_returns(scores)
    print(f"score: {returns.mean():.4g}, the mean return of {len(returns)} episodes")
    print(f"results: {run} ({scores.name}, {WEIGHTS}, {METRICS})" if isinstance(run, Path) else f"results: {scores}")
    print(f"to see the agent: m3 watch {run} --dream")
