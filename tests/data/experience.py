"""A small replay to fill, and random experience to fill it with."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from m3.data.replay import Replay
from m3.files.provenance import Provenance
from m3.specs import ContinuousActions, ModalitySpec, ObservationSpec

SPEC = ObservationSpec(
    {
        "image": ModalitySpec((3, 2, 2), "uint8"),
        "vector": ModalitySpec((3,), "float32"),
        "token": ModalitySpec((2,), "int64", (200,)),
        "token_2d": ModalitySpec((4, 2), "int64", (7, 1000)),
    }
)
ROW_BYTES = 3 * 2 * 2 + 3 * 4 + 2 + 4 * 2 * 2 + 2 * 4 + 4 + 3


class Experience:
    """Endless random steps, in episodes of given lengths; every third one is terminated, the others truncated."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._episodes = 0
        self._observation = self._observe()

    def steps(self, count: int, ends: bool = True) -> Iterator[dict[str, Any]]:
        """Arguments of ``Replay.add`` for some steps; the last one ends the episode if ``ends``."""
        for step in range(count):
            last = ends and step == count - 1
            terminated = last and self._episodes % 3 == 0
            following = self._observe()
            yield {
                "observation": self._observation,
                "action": self._rng.uniform(-1, 1, 2).astype(np.float32),
                "reward": float(self._rng.integers(-9, 9)),
                "terminated": terminated,
                "truncated": last and not terminated,
                "next_observation": following,
            }
            self._episodes += last
            self._observation = self._observe() if last else following

    def _observe(self) -> dict[str, np.ndarray]:
        rng = self._rng
        return {
            "image": rng.integers(0, 256, (3, 2, 2), dtype=np.uint8),
            "vector": rng.normal(size=3).astype(np.float32),
            "token": rng.integers(0, 200, 2),
            "token_2d": np.stack([rng.integers(0, 7, 4), rng.integers(0, 1000, 4)], axis=1),
        }


def new_replay(context_length: int = 2, capacity_rows: int = 100_000) -> Replay:
    """An empty replay of random experience."""
    return Replay(SPEC, ContinuousActions(2), context_length, capacity_rows * ROW_BYTES)


def filled_replay(lengths: list[int], open_steps: int = 0, **settings: int) -> Replay:
    """A replay of whole episodes of these lengths and one that goes on."""
    replay, experience = new_replay(**settings), Experience()
    for length in lengths:
        for step in experience.steps(length):
            replay.add(**step)
    for step in experience.steps(open_steps, ends=False):
        replay.add(**step)
    return replay


def provenance() -> Provenance:
    """Any provenance."""
    return Provenance(config="epochs: 3\nname: é\n", config_hash="0123abcd", seeds=[1, 2])
