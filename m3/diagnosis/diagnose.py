"""The diagnosis of one trained run, and its file."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from m3.diagnosis.episodes import play, to_tokens
from m3.diagnosis.imagined import Imagined, imagine_beside
from m3.diagnosis.predictions import Predictions, predict
from m3.files import hdf5
from m3.files.names import DIAGNOSIS_FORMAT
from m3.files.run_folder import identifying, provenance_of
from m3.nn.host import download
from m3.runs.loading import LoadedAgent
from m3.seeding import derive, randomness
from m3.training.devices import device_name


class Extent(NamedTuple):
    """How much a diagnosis looks at."""

    episodes: int
    steps: int
    """The most steps of an episode; what follows is not played."""
    dreams: int
    """The most dreams from one episode."""


def diagnose(agent: LoadedAgent, extent: Extent) -> hdf5.Tree:
    """Diagnose an agent; return what its file holds: ``extent``, ``predictions`` (one entry per step), ``dreams``."""
    settings, networks = agent.settings, agent.networks
    generator = randomness(agent.device, settings.seed, "diagnosis dreams").torch
    predictions, imagined = [], []
    for number in range(extent.episodes):
        played = play(agent, derive(settings.seed, "diagnosis", number), extent.steps)
        episode = to_tokens(agent, played)
        predictions.append(predict(networks, episode, settings.sequences))
        imagined.append(imagine_beside(networks, episode, settings.sequences, extent.dreams, generator))
    return {
        **identifying(settings),
        "agent_steps": agent.agent_steps,
        "temperature": settings.evaluation.temperature,
        "extent": extent._asdict(),
        "predictions": _together(Predictions._fields, predictions),
        "dreams": _together(Imagined._fields, imagined),
    }


def _together(names: tuple[str, ...], parts: list[Predictions] | list[Imagined]) -> dict[str, np.ndarray]:
    columns = (download(torch.cat(column)) for column in zip(*parts, strict=True))
    return dict(zip(names, columns, strict=True))


def write_diagnosis(path: Path, agent: LoadedAgent, content: hdf5.Tree) -> None:
    """Write what :func:`diagnose` found."""
    settings = agent.settings
    hdf5.write(path, DIAGNOSIS_FORMAT, content, provenance_of(settings, device_name(agent.device)))
