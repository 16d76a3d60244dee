"""The diagnosis of one trained run, and its file."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from m3.config.identity import canonical, config_hash
from m3.data import hdf5
from m3.data.provenance import Provenance
from m3.diagnosis.dreams import Dreams, dream
from m3.diagnosis.episodes import play, to_tokens
from m3.diagnosis.predictions import Predictions, predict
from m3.loading import LoadedAgent
from m3.nn.host import download
from m3.seeding import derive, randomness
from m3.training.devices import device_name

FORMAT = "m3.diagnosis"


class Extent(NamedTuple):
    """How much is looked at."""

    episodes: int
    steps: int
    """Of an episode, at most; what follows is not played."""
    dreams: int
    """From an episode, at most."""


def diagnose(agent: LoadedAgent, extent: Extent) -> hdf5.Tree:
    """What a file of this format holds: groups ``extent``, ``predictions`` (one entry per step), ``dreams``."""
    settings, networks = agent.settings, agent.networks
    generator = randomness(agent.device, settings.seed, "diagnosis dreams").torch
    predictions, dreams = [], []
    for number in range(extent.episodes):
        played = play(agent, derive(settings.seed, "diagnosis", number), extent.steps)
        episode = to_tokens(agent, played)
        predictions.append(predict(networks, episode, settings.sequences))
        dreams.append(dream(networks, episode, settings.sequences, extent.dreams, generator))
    return {
        "benchmark": settings.benchmark,
        "variant": settings.variant,
        "task": settings.task,
        "seed": settings.seed,
        "agent_steps": agent.agent_steps,
        "temperature": settings.evaluation.temperature,
        "extent": extent._asdict(),
        "predictions": _together(Predictions._fields, predictions),
        "dreams": _together(Dreams._fields, dreams),
    }


def _together(names: tuple[str, ...], parts: list[Predictions] | list[Dreams]) -> dict[str, np.ndarray]:
    columns = (download(torch.cat(column)) for column in zip(*parts, strict=True))
    return dict(zip(names, columns, strict=True))


def write_diagnosis(path: Path, agent: LoadedAgent, content: hdf5.Tree) -> None:
    """Write what :func:`diagnose` found."""
    settings = agent.settings
    provenance = Provenance(canonical(settings), config_hash(settings), [settings.seed], device_name(agent.device))
    hdf5.write(path, FORMAT, content, provenance)
