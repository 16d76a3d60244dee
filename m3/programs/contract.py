"""Whether a run's folder contains what a variant's program must leave, fault by fault."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from m3.config.identity import config_hash
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files import hdf5
from m3.files.names import METRICS, METRICS_FORMAT, SCORES, SCORES_FORMAT
from m3.files.provenance import ATTRIBUTES
from m3.files.run_folder import identifying


def faults(run: Path, settings: RunSettings, episodes: int | None = None) -> Iterator[str]:
    """Find what is wrong with the results in a run's folder, one line for each fault.

    Args:
        run: the run's folder.
        settings: of the run.
        episodes: how many the final evaluation has to have; none: any number.
    """
    for name, format, check in ((SCORES, SCORES_FORMAT, _of_scores), (METRICS, METRICS_FORMAT, _of_metrics)):
        path = run / name
        try:
            content, attributes = hdf5.read(path, format)
        except UserError as error:
            yield str(error)
            continue
        found = [*_of_origin(content, attributes, settings), *check(content, settings)]
        if name == SCORES and episodes is not None and _shape(content.get("returns")) != (episodes,):
            found.append(f"returns must be of the {episodes} episodes asked for")
        yield from (f"{path}: {fault}" for fault in found)


def _of_origin(content: Mapping[str, Any], attributes: Mapping[str, Any], settings: RunSettings) -> Iterator[str]:
    """Faults in what the file says of the run that it is of."""
    missing = sorted(ATTRIBUTES - set(attributes))
    if missing:
        yield f"the attribute {missing[0]} is missing"
    if attributes.get("config_hash") != config_hash(settings):
        yield f"config_hash is not that of the run's settings, {config_hash(settings)}"
    for name, expected in identifying(settings).items():
        if content.get(name) != expected:
            yield f"{name} is {content.get(name)!r}, the run's is {expected!r}"
    if not _is_count(content.get("frames_per_step"), least=1):
        yield f"frames_per_step must be a whole number from 1 on, got {content.get('frames_per_step')!r}"


def _of_scores(content: Mapping[str, Any], settings: RunSettings) -> Iterator[str]:
    yield from _of_episodes(content, "", dimensions=1)
    if not np.size(content.get("returns", [0])):
        yield "returns holds no episode"
    steps, allowed = content.get("agent_steps"), settings.agent_steps
    if not _is_count(steps, least=0):
        yield f"agent_steps must be a whole number, got {steps!r}"
    elif steps > allowed:
        yield f"agent_steps is {steps}: the run may train on {allowed}"


def _of_metrics(content: Mapping[str, Any], settings: RunSettings) -> Iterator[str]:
    seconds = content.get("wall_seconds")
    if not isinstance(seconds, float) or not np.isfinite(seconds) or seconds < 0:
        yield f"wall_seconds must be a number of seconds, got {seconds!r}"
    packages = _group(content, "processes").get("packages")
    if not isinstance(packages, list) or not packages or not all(isinstance(text, str) for text in packages):
        yield "processes/packages must be a list of texts, one for each process that trained"
    evaluations = content.get("evaluations")
    if not isinstance(evaluations, Mapping):
        yield "the group evaluations is missing"
        return
    yield from _of_episodes(evaluations, "evaluations/", dimensions=2)
    steps = evaluations.get("agent_steps")
    if not isinstance(steps, np.ndarray) or steps.ndim != 1 or steps.dtype.kind != "i":
        yield "evaluations/agent_steps must be int64 (evaluations,)"
        return
    if len(steps) != len(np.atleast_1d(evaluations.get("returns", steps))):
        yield "evaluations/agent_steps and evaluations/returns are not equally long"
    if (np.diff(steps, prepend=0) < 0).any() or (steps > settings.agent_steps).any():
        yield f"evaluations/agent_steps must ascend from 0 to at most {settings.agent_steps}"


def _of_episodes(content: Mapping[str, Any], prefix: str, dimensions: int) -> Iterator[str]:
    """Faults of a pair of returns and lengths."""
    shape = "(episodes,)" if dimensions == 1 else "(evaluations, episodes)"
    returns, lengths = content.get("returns"), content.get("lengths")
    if not isinstance(returns, np.ndarray) or returns.ndim != dimensions or returns.dtype.kind != "f":
        yield f"{prefix}returns must be float64 {shape}"
    elif not np.isfinite(returns).all():
        yield f"{prefix}returns must be finite"
    if not isinstance(lengths, np.ndarray) or lengths.ndim != dimensions or lengths.dtype.kind != "i":
        yield f"{prefix}lengths must be int64 {shape}"
    elif _shape(returns) != lengths.shape:
        yield f"{prefix}returns and {prefix}lengths differ in shape"
    elif (lengths < 1).any():
        yield f"{prefix}lengths must be at least 1"


def _group(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    group = content.get(name)
    return group if isinstance(group, Mapping) else {}


def _shape(value: object) -> tuple[int, ...] | None:
    return value.shape if isinstance(value, np.ndarray) else None


def _is_count(value: object, least: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
