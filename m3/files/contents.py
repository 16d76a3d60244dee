"""What the files of a run must contain: one description per format, which every reader checks.

Names beyond those described here are nobody's concern.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from m3.errors import UserError, shown
from m3.files import hdf5
from m3.files.names import DATASET_FORMAT, DATASET_VERSION, DIAGNOSIS_FORMAT, METRICS_FORMAT, SCORES_FORMAT
from m3.reading import MOST_NUMBER


class _Number(NamedTuple):
    """A scalar."""

    kind: type
    least: float


class _Numbers(NamedTuple):
    """An array of finite numbers; axes of one name are equally long in the whole file."""

    dtype: str
    axes: tuple[str, ...]
    least: float = -MOST_NUMBER
    may_be_empty: bool = False
    may_be_nan: bool = False

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join(self.axes)}{',' * (len(self.axes) == 1)})"


_IDENTITY: dict[str, Any] = {"benchmark": str, "variant": str, "task": str, "seed": _Number(int, 0)}
_ATTRIBUTES: dict[str, Any] = {
    **dict.fromkeys(("config", "config_hash", "device", "host", "created_by", "git_revision"), str),
    "git_dirty": bool,
    "packages": list,
}
_RETURNS = _Numbers("float64", ("episodes",))
_EVALUATIONS = ("evaluations", "episodes")
_STEPS = _Numbers("float32", ("steps",))
_CONTENTS: dict[str, dict[str, Any]] = {
    SCORES_FORMAT: {
        **_IDENTITY,
        "agent_steps": _Number(int, 0),
        "frames_per_step": _Number(int, 1),
        "returns": _RETURNS,
        "lengths": _Numbers("int64", ("episodes",), least=1),
    },
    METRICS_FORMAT: {
        **_IDENTITY,
        "frames_per_step": _Number(int, 1),
        "wall_seconds": _Number(float, 0),
        "evaluations": {
            "agent_steps": _Numbers("int64", ("evaluations",), least=0, may_be_empty=True),
            "returns": _Numbers("float64", _EVALUATIONS, may_be_empty=True),
            "lengths": _Numbers("int64", _EVALUATIONS, least=1, may_be_empty=True),
        },
    },
    DIAGNOSIS_FORMAT: {
        **_IDENTITY,
        "agent_steps": _Number(int, 0),
        "extent": dict.fromkeys(("episodes", "steps", "dreams"), _Number(int, 0)),
        "predictions": {
            **dict.fromkeys(("reward", "predicted_reward"), _STEPS),
            **dict.fromkeys(("end_probability", "observation_loss", "observation_entropy"), _STEPS._replace(least=0)),
            "ended": _STEPS._replace(dtype="bool"),
        },
        "dreams": dict.fromkeys(
            ("wrong", "unchanged"),
            _Numbers("float32", ("dreams", "dreamt steps"), least=0, may_be_empty=True, may_be_nan=True),
        ),
    },
}


def faults(content: Mapping[str, Any], attributes: Mapping[str, Any], format: str) -> Iterator[str]:
    """Find what is missing in a file's content, as ``hdf5.read`` returns it, or is of another kind."""
    yield from _faults(content, _CONTENTS[format], "", {})
    yield from _faults(attributes, _ATTRIBUTES, "", {})


def read_scores(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a run's scores, as ``hdf5.read``. Raises UserError also where they are no finite returns of episodes."""
    return _read(path, SCORES_FORMAT)


def read_returns(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Read the returns alone of a run's scores, (episodes,), and the file's attributes. Raises as ``read_scores``."""
    content, attributes = hdf5.read(path, SCORES_FORMAT)
    _refuse(path, _faults(content, {"returns": _RETURNS}, "", {}))
    return content["returns"], attributes


def read_metrics(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a run's metrics, as ``hdf5.read``. Raises UserError also where something is missing or of another kind."""
    return _read(path, METRICS_FORMAT)


def read_diagnosis(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a run's diagnosis, as ``hdf5.read``. Raises UserError also where something is missing."""
    return _read(path, DIAGNOSIS_FORMAT)


def read_dataset(path: Path) -> dict[str, Any]:
    """Read a run's dataset.

    Returns:
        The content: "total_episodes", the episodes, which nobody has checked, and "spaces", with "actions" and
        "observations", a mapping by modality, each of them a mapping with arrays "low" and "high", if any.

    Raises:
        UserError: also where something is missing or of another kind.
    """
    content, _ = hdf5.read(path, DATASET_FORMAT, DATASET_VERSION)
    _refuse(path, _faults_of_spaces(content))
    return content


def episode_of(
    path: Path, content: Mapping[str, Any], index: int, action: np.ndarray, observation: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Return an episode of a dataset with T steps: actions, rewards and ends (T, ...), observations (T + 1, ...).

    Args:
        path: the dataset, for errors.
        content: what ``read_dataset`` returned.
        index: of the episode.
        action, observation: any of the task's own, for their types and numbers of dimensions.

    Raises:
        UserError: an array is missing, of another type or length, or not finite.
    """
    kinds = {name: _Numbers(str(value.dtype), _axes("rows", name, value)) for name, value in observation.items()}
    expected = {
        "actions": _Numbers(str(action.dtype), _axes("steps", "actions", action)),
        "rewards": _Numbers("float32", ("steps",)),
        **dict.fromkeys(("terminations", "truncations"), _Numbers("bool", ("steps",))),
        "observations": kinds,
    }
    name, sizes = f"episode_{index}", dict[str, int]()
    _refuse(path, _faults(content, {name: expected}, "", sizes))
    episode: dict[str, Any] = content[name]
    if sizes["rows"] != sizes["steps"] + 1:
        raise UserError(f"{path}: {name} has {sizes['steps']} steps and {sizes['rows']} observations")
    if (episode["terminations"] | episode["truncations"])[:-1].any():
        raise UserError(f"{path}: {name} goes on after its end")
    return episode


def _axes(first: str, name: str, one: np.ndarray) -> tuple[str, ...]:
    return (first, *(f"{name} {index}" for index in range(one.ndim)))


def _faults_of_spaces(content: Mapping[str, Any]) -> Iterator[str]:
    bounds = dict.fromkeys(("low", "high"), np.ndarray)
    spaces = {"total_episodes": _Number(int, 0), "spaces": {"actions": bounds, "observations": {}}}
    yield from _faults(content, spaces, "", {})
    for name, space in content["spaces"]["observations"].items():
        yield from _faults({name: space}, {name: {}}, "spaces/observations/", {})
        known = {key: kind for key, kind in bounds.items() if key in space}
        yield from _faults(space, known, f"spaces/observations/{name}/", {})


def refuse_not_finite(returns: np.ndarray, of: str) -> None:
    """Raise UserError where a return is NaN or infinite, or nearly so; ``of`` says of what it is."""
    bad = _not_finite(returns)
    if bad.size:
        raise UserError(
            f"{of}: {bad.size} of {returns.size} returns are not finite, the first is {bad.flat[0]}: look at the "
            "environment's rewards"
        )


def _read(path: Path, format: str) -> tuple[dict[str, Any], dict[str, Any]]:
    content, attributes = hdf5.read(path, format)
    _refuse(path, faults(content, attributes, format))
    return content, attributes


def _refuse(path: Path, found: Iterator[str]) -> None:
    for fault in found:
        raise UserError(f"{path}: {fault}; run the command that makes it again")


def _faults(
    content: Mapping[str, Any], expected: Mapping[str, Any], where: str, sizes: dict[str, int]
) -> Iterator[str]:
    """Compare content with its description. ``sizes`` collects how long the axes are."""
    for name, kind in expected.items():
        place, value = f"{where}{name}", content.get(name)
        if value is None:
            yield f"{place} is missing"
        elif isinstance(kind, _Numbers):
            yield from _faults_of_array(place, value, kind, sizes)
        elif isinstance(kind, Mapping):
            if isinstance(value, Mapping):
                yield from _faults(value, kind, f"{place}/", sizes)
            else:
                yield f"{place} must be a group, got {shown(value)}"
        elif isinstance(kind, _Number):
            if not (
                isinstance(value, (int, float)) and type(value) is kind.kind and kind.least <= value <= MOST_NUMBER
            ):
                word = "a whole number" if kind.kind is int else "a number"
                yield f"{place} must be {word} of at least {kind.least:g}, got {shown(value)}"
        elif kind is list:
            if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
                yield f"{place} must be a list of texts, got {shown(value)}"
        elif type(value) is not kind:
            yield f"{place} must be of type {kind.__name__}, got {shown(value)}"


def _faults_of_array(place: str, value: Any, kind: _Numbers, sizes: dict[str, int]) -> Iterator[str]:
    is_array = isinstance(value, np.ndarray)
    if not is_array or value.dtype.kind != kind.dtype[0] or value.ndim != len(kind.axes):
        yield f"{place} must be {kind}, got {f'{value.dtype} {value.shape}' if is_array else shown(value)}"
    elif not value.size and not kind.may_be_empty:
        yield f"{place} is empty"
    elif (odd := _not_finite(value[~np.isnan(value)] if kind.may_be_nan else value)).size:
        yield f"{place}: {odd.size} of {value.size} numbers are not finite"
    elif (value < kind.least).any():
        yield f"{place} must be at least {kind.least:g}, got {value[value < kind.least].min()}"
    elif any(sizes.setdefault(axis, size) != size for axis, size in zip(kind.axes, value.shape, strict=True)):
        yield f"{place} must be {kind}, got {value.shape} where others have {sizes}"


def _not_finite(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = values[~(np.abs(values) <= MOST_NUMBER)]
    return found
