"""Craftax's symbolic observation as modalities: the 8268-vector to tokens and back, on NumPy arrays."""

from typing import Literal

import numpy as np

from m3.specs import ModalitySpec, Observation, ObservationSpec

MobEncoding = Literal["explicit_none", "reference"]

CELLS = 9 * 11
BLOCKS, ITEMS, MOBS = 37, 5, 40
"""One-hot widths in a cell; mobs are 5 classes (melee, passive, ranged, two of projectiles) of 8 types."""
CELL_SIZE = BLOCKS + ITEMS + MOBS + 1
LIGHT_STEPS = 20
NO_MOB = MOBS
"""The token of a cell without a mob, after those of all mobs."""
REST_SIZE = 51
SIZE = CELLS * CELL_SIZE + REST_SIZE
DIRECTION = slice(31, 35)
"""Where the player's direction, one-hot, stands among the numbers that follow the map."""


def observation_spec(mob_encoding: MobEncoding) -> ObservationSpec:
    """vector float32 (47,), token uint8 (1,), token_2d uint8 (99, 4) with columns block, item, mob, light."""
    mobs = MOBS + 1 if mob_encoding == "explicit_none" else MOBS
    vocabularies = (BLOCKS, ITEMS, mobs, LIGHT_STEPS + 1)
    return ObservationSpec(
        {
            "vector": ModalitySpec((REST_SIZE - 4,), "float32"),
            "token": ModalitySpec((1,), "uint8", (4,)),
            "token_2d": ModalitySpec((CELLS, 4), "uint8", vocabularies),
        }
    )


def encode(numbers: np.ndarray, mob_encoding: MobEncoding) -> Observation:
    """Turn Craftax's own observations into modalities.

    A dark cell, all zeros in Craftax, becomes block 0, item 0, no mob, light 0. Where several mobs share a cell, the
    first of their classes is kept. The ``reference`` encoding shows a cell without a mob as mob 0.

    Args:
        numbers: float32 (..., 8268).

    Returns:
        Arrays of the shapes of ``observation_spec`` behind the leading dimensions of ``numbers``.
    """
    leading = numbers.shape[:-1]
    cells = numbers[..., :-REST_SIZE].reshape(*leading, CELLS, CELL_SIZE)
    block, item, mob, light = np.split(cells, np.cumsum([BLOCKS, ITEMS, MOBS]), axis=-1)
    mob_token = mob.argmax(-1)
    if mob_encoding == "explicit_none":
        mob_token = np.where(mob.any(-1), mob_token, NO_MOB)
    light_token = np.rint(light[..., 0] * LIGHT_STEPS)
    rest = numbers[..., -REST_SIZE:]
    return {
        "vector": np.delete(rest, DIRECTION, axis=-1).astype(np.float32),
        "token": rest[..., DIRECTION].argmax(-1)[..., None].astype(np.uint8),
        "token_2d": np.stack([block.argmax(-1), item.argmax(-1), mob_token, light_token], -1).astype(np.uint8),
    }


def decode(observation: Observation, mob_encoding: MobEncoding) -> np.ndarray:
    """Rebuild Craftax's own observations, float32 (..., 8268): the inverse of ``encode``.

    With the ``reference`` encoding mob 0 is taken for none. A cell with light 0 is dark: all its numbers are zero.
    """
    block, item, mob, light = np.moveaxis(observation["token_2d"].astype(np.int64), -1, 0)
    mobs = np.eye(MOBS + 1, MOBS, dtype=np.float32)
    if mob_encoding == "reference":
        mobs[0] = 0
    one_hots = [np.eye(BLOCKS, dtype=np.float32)[block], np.eye(ITEMS, dtype=np.float32)[item], mobs[mob]]
    lit = (light > 0)[..., None]
    cells = np.concatenate([*one_hots, light[..., None] / np.float32(LIGHT_STEPS)], -1, dtype=np.float32) * lit
    direction = np.eye(4, dtype=np.float32)[observation["token"][..., 0]]
    vector = observation["vector"]
    before, after = vector[..., : DIRECTION.start], vector[..., DIRECTION.start :]
    return np.concatenate([cells.reshape(*vector.shape[:-1], -1), before, direction, after], -1, dtype=np.float32)
