"""Whether a run's folder contains what a variant's program must leave, fault by fault."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from m3.config.identity import config_hash
from m3.config.schema import RunSettings
from m3.errors import UserError
from m3.files import contents, hdf5
from m3.files.names import METRICS, METRICS_FORMAT, SCORES, SCORES_FORMAT
from m3.files.run_folder import identifying


def faults(run: Path, settings: RunSettings, episodes: int | None = None) -> Iterator[str]:
    """Find what is wrong with the results in a run's folder, one line for each fault.

    Args:
        run: the run's folder.
        settings: of the run.
        episodes: how many the final evaluation has to have; none: any number.
    """
    for name, format in ((SCORES, SCORES_FORMAT), (METRICS, METRICS_FORMAT)):
        path = run / name
        try:
            content, attributes = hdf5.read(path, format)
        except UserError as error:
            yield str(error)
            continue
        found = [*contents.faults(content, attributes, format)]
        if not found:
            found = [*_of_origin(content, attributes, settings), *_of_budget(content, settings)]
            if name == SCORES and episodes not in (None, len(content["returns"])):
                found.append(f"returns must be of the {episodes} episodes asked for")
        yield from (f"{path}: {fault}" for fault in found)


def _of_origin(content: Mapping[str, Any], attributes: Mapping[str, Any], settings: RunSettings) -> Iterator[str]:
    """Faults in what the file says of the run that it is of."""
    if attributes["config_hash"] != config_hash(settings):
        yield f"config_hash is not that of the run's settings, {config_hash(settings)}"
    for name, expected in identifying(settings).items():
        if content[name] != expected:
            yield f"{name} is {content[name]!r}, the run's is {expected!r}"


def _of_budget(content: Mapping[str, Any], settings: RunSettings) -> Iterator[str]:
    """Faults in when the agent was evaluated."""
    allowed = settings.agent_steps
    if "evaluations" not in content:
        if content["agent_steps"] > allowed:
            yield f"agent_steps is {content['agent_steps']}: the run may train on {allowed}"
        return
    if not content.get("processes", {}).get("packages"):
        yield "processes/packages must have a text for each process that trained"
    steps = content["evaluations"]["agent_steps"]
    if (np.diff(steps, prepend=0) < 0).any() or (steps > allowed).any():
        yield f"evaluations/agent_steps must ascend from 0 to at most {allowed}"
