"""Train as much of a real run as the time allows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m3.bench.report.records import LeftOut
from m3.config.schema import RunSettings

if TYPE_CHECKING:
    from m3.runs.train import AfterEpoch
    from m3.training.trainer import Trainer

_NEEDED = {"yaml": "pyyaml", "tqdm": "tqdm", "psutil": "psutil"}
"""Module -> package that training takes beside those of the measurements."""
_SIMULATORS = {
    "atari": {"ale_py": "ale-py", "gymnasium": "gymnasium", "PIL": "pillow"},
    "dmc": {"dm_control": "dm-control"},
}
_CURVE = "curve.jsonl"


def seconds_trained(folder: Path) -> float:
    """How long a run has trained so far, in all calls together."""
    return sum(line.get("seconds", 0.0) for line in _lines(folder / _CURVE))


def train_for(settings: RunSettings, folder: Path, device: str, graphs: bool, seconds: float) -> dict[str, Any]:
    """Train a run for some time, going on from its newest checkpoint.

    Returns:
        Whether the run is finished, epochs and agent steps done, the seconds of an epoch, and the evaluations so far.

    Raises:
        LeftOut: a package is missing.
    """
    needed = _NEEDED | _SIMULATORS.get(settings.environment.family, {})
    if missing := sorted(package for module, package in needed.items() if find_spec(module) is None):
        raise LeftOut(f"training needs {', '.join(missing)}: pip install {' '.join(missing)}")
    if settings.tokenizer is not None and not list(Path("pretrained").glob("*.pth")):
        settings = settings.model_copy(
            update={"tokenizer": settings.tokenizer.model_copy(update={"perceptual": "none"})}
        )  # its weights have to be downloaded
    finished = seconds > 0 and _trained(settings, folder, device, graphs, seconds)
    return {"task": settings.task, "of_epochs": settings.epochs, "finished": finished, **_summary(folder / _CURVE)}


def _trained(settings: RunSettings, folder: Path, device: str, graphs: bool, seconds: float) -> bool:
    """Train for some time; whether the run is finished then."""
    from m3.errors import UserError
    from m3.runs.stops import Stop, StopNow
    from m3.runs.train import train

    stop = Stop(seconds)
    try:
        with stop.handling_signals():
            return train(
                settings, folder, device=device, graphs=graphs, stop=stop, following=_writing_curve(folder / _CURVE)
            )
    except StopNow:
        return False
    except UserError as error:
        if "the time budget does not suffice" not in str(error):
            raise
        return False


@contextmanager
def _writing_curve(path: Path) -> Iterator["AfterEpoch"]:
    """Give what writes a line of metrics after each epoch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:

        def write(trainer: "Trainer") -> None:
            file.write(json.dumps({name: float(value) for name, value in trainer.log.newest.items()}) + "\n")
            file.flush()

        yield write


def _summary(path: Path) -> dict[str, Any]:
    """What a curve has come to; of an epoch that was trained twice, the later line counts."""
    epochs = list({line["epoch"]: line for line in _lines(path)}.values())
    evaluated = [line for line in epochs if "evaluation/return" in line]
    return {
        "epochs": len(epochs),
        "agent_steps": epochs[-1]["agent_steps"] if epochs else 0,
        "seconds_of_last_epoch": epochs[-1].get("seconds") if epochs else None,
        "evaluations": [[line["agent_steps"], line["evaluation/return"]] for line in evaluated],
    }


def _lines(path: Path) -> list[dict[str, float]]:
    """The lines of a curve, but for one that was cut off."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]
