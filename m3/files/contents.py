"""What a run's files must contain before anything computes with them: one check per format, made on reading."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from m3.errors import UserError, shown
from m3.files import hdf5
from m3.files.names import DIAGNOSIS_FORMAT, METRICS_FORMAT, SCORES_FORMAT

_IDENTITY: dict[str, Any] = {"benchmark": str, "variant": str, "task": str, "seed": int}
_ORIGIN: dict[str, Any] = {
    "config": str,
    "packages": list,
    "device": str,
    "host": str,
    "git_revision": str,
    "git_dirty": bool,
}


class _Array(NamedTuple):
    """Numbers of a kind ("f": floats, all finite; "i": integers) and of so many dimensions."""

    kind: str
    dimensions: int
    may_be_empty: bool = False


_SCORES = {**_IDENTITY, "agent_steps": int, "frames_per_step": int, "returns": _Array("f", 1)}
_METRICS = {
    **_IDENTITY,
    "wall_seconds": float,
    "evaluations": {"agent_steps": _Array("i", 1, may_be_empty=True), "returns": _Array("f", 2, may_be_empty=True)},
}
_DIAGNOSIS = {
    **_IDENTITY,
    "agent_steps": int,
    "extent": {"episodes": int, "steps": int, "dreams": int},
    "predictions": {},
    "dreams": {},
}


def read_scores(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a run's scores, as ``hdf5.read``. Raises UserError also where they are no finite returns of episodes."""
    return _read(path, SCORES_FORMAT, _SCORES)


def read_returns(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Read the returns alone of a run's scores, (episodes,), and the file's attributes. Raises as ``read_scores``."""
    content, attributes = _read(path, SCORES_FORMAT, {"returns": _SCORES["returns"]})
    return content["returns"], attributes


def read_metrics(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a run's metrics, as ``hdf5.read``. Raises UserError also where something is missing or of another kind."""
    content, attributes = _read(path, METRICS_FORMAT, _METRICS)
    evaluations = content["evaluations"]
    if len(evaluations["agent_steps"]) != len(evaluations["returns"]):
        raise UserError(f"{path}: evaluations has not as many agent_steps as returns; train the run again")
    return content, attributes


def read_diagnosis(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a run's diagnosis, as ``hdf5.read``. Raises UserError also where something is missing."""
    return _read(path, DIAGNOSIS_FORMAT, _DIAGNOSIS)


def refuse_not_finite(returns: np.ndarray, of: str) -> None:
    """Raise UserError where a return is NaN or infinite; ``of`` says of what it is."""
    bad = returns[~np.isfinite(returns)]
    if bad.size:
        raise UserError(
            f"{of}: {bad.size} of {returns.size} returns are not finite, the first is {bad.flat[0]}: look at the "
            "environment's rewards"
        )


def _read(path: Path, format: str, expected: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    content, attributes = hdf5.read(path, format)
    _check(path, content, expected, "")
    _check(path, attributes, _ORIGIN, "")
    return content, attributes


def _check(path: Path, content: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> None:
    """Raise UserError for what is missing or of another kind. Names beyond the expected are nobody's concern."""
    for name, kind in expected.items():
        place, value = f"{where}{name}", content.get(name)
        if value is None:
            raise UserError(f"{path}: {place} is missing; run the command that makes it again")
        if isinstance(kind, _Array):
            _check_array(path, place, value, kind)
        elif isinstance(kind, Mapping):
            if not isinstance(value, Mapping):
                raise UserError(f"{path}: {place} must be a group, got {shown(value)}")
            _check(path, value, kind, f"{place}/")
        elif type(value) is not kind:
            raise UserError(f"{path}: {place} must be of type {kind.__name__}, got {shown(value)}")


def _check_array(path: Path, place: str, value: Any, kind: _Array) -> None:
    if not isinstance(value, np.ndarray) or value.dtype.kind != kind.kind or value.ndim != kind.dimensions:
        found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else shown(value)
        numbers = "real numbers" if kind.kind == "f" else "integers"
        raise UserError(f"{path}: {place} must be {numbers} in {kind.dimensions} dimension(s), got {found}")
    if not value.size and not kind.may_be_empty:
        raise UserError(f"{path}: {place} is empty; run the command that makes it again")
    if kind.kind == "f":
        refuse_not_finite(value, f"{path}: {place}")
