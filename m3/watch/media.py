"""A few pictures and videos of a run while it trains."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice, takewhile
from pathlib import Path

import numpy as np
from PIL import Image

from m3.environments import Environment, make_environment
from m3.runs.loading import LoadedAgent
from m3.training.trainer import Trainer
from m3.watch.online_agent import to_observation, to_tokens
from m3.watch.painter import CAPTIONS, IMAGINED_CAPTIONS, REPLAY_CAPTIONS, Captions, Painter
from m3.watch.streams import WatchedStep, imagine_beside, play, stored_episodes
from m3.watch.video import write_video

FRAMES_PER_SECOND = 15
_PICTURES = 8
_SCALE = 2


def write_if_due(folder: Path, trainer: Trainer, times: int = 3, steps: int = 100) -> None:
    """Write epoch-N-*: reconstructions (png), and a train, a test and an imagined episode (mp4), if it is time for it.

    Training goes on exactly as without: environment and random choices are not its own.

    Args:
        folder: of the media.
        trainer: the run, after an epoch.
        times: how often in a run, evenly, the last time at its end.
        steps: of each video at most.

    Raises:
        UserError: something that draws or encodes is missing here; training can go on without media.
    """
    settings = trainer.settings
    due = trainer.epoch * times // settings.epochs > (trainer.epoch - 1) * times // settings.epochs
    if not due or not len(trainer.replay.finished_episodes()):
        return
    name = f"epoch-{trainer.epoch:06d}"
    with closing(make_environment(settings.environment, settings.task, "test")) as environment:
        specs = environment.observation_spec, environment.action_spec
        loaded = LoadedAgent(settings, trainer.agent, *specs, trainer.collector.agent_steps)
        pictures = reconstructions(loaded, environment, trainer)
        if pictures is not None:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures).save(folder / f"{name}-reconstructions.png")
        for kind, (stream, captions) in _episodes(loaded, environment, trainer).items():
            painter = Painter(loaded, environment.action_names, environment.draw, captions)
            first = takewhile(lambda watched: watched.episode == 1, islice(stream, steps))
            frames = (painter.paint(watched) for watched in first)
            write_video(folder / f"{name}-{kind}.mp4", frames, FRAMES_PER_SECOND)


def _episodes(
    loaded: LoadedAgent, environment: Environment, trainer: Trainer
) -> dict[str, tuple[Iterator[WatchedStep], Captions]]:
    """Return what videos show, by name."""
    temperature, seed = loaded.settings.evaluation.temperature, trainer.epoch
    horizon = loaded.settings.sequences.length
    return {
        "train": (stored_episodes(loaded, environment, trainer.replay, temperature, seed), REPLAY_CAPTIONS),
        "test": (play(loaded, environment, temperature, seed), CAPTIONS),
        "imagined": (imagine_beside(loaded, environment, temperature, seed, horizon), IMAGINED_CAPTIONS),
    }


def reconstructions(loaded: LoadedAgent, environment: Environment, trainer: Trainer) -> np.ndarray | None:
    """Draw observations from all over the replay (above) and what tokens keep of them (below); uint8 (h, w, 3).

    None where observations are no pictures.
    """
    replay = trainer.replay
    rows = np.linspace(replay.first_row, replay.next_row - 1, _PICTURES).astype(np.int64)
    observations = replay.observations_at(rows)
    columns = []
    for index in range(_PICTURES):
        observation = {name: values[index] for name, values in observations.items()}
        kept = to_observation(loaded.networks, to_tokens(loaded.networks, observation))
        above, below = environment.draw(observation), environment.draw(kept)
        if above is None or below is None:
            return None
        columns.append(np.pad(np.concatenate((above, below)), ((1, 1), (1, 1), (0, 0))))
    return np.concatenate(columns, axis=1).repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)
