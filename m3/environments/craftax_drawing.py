"""Draw Craftax's symbolic observation, real or imagined, as a picture."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from m3.environments.craftax_encoding import LIGHT_STEPS, MOBS, MobEncoding
from m3.specs import Observation

ROWS, COLUMNS = 9, 11
INVENTORY_ROWS = 4
_TYPES = 8
"""Types of each class of mobs."""
_MOB_TEXTURES = ("melee_mob", "passive_mob", "ranged_mob", "projectile", "projectile")
"""Texture sets of the classes of mobs, in the order of the symbols."""
_LIGHT, _SLEEPING = 39, 40
"""Where daylight and sleep stand in the vector modality."""
_NIGHT = 0.4
"""Brightness of the darkest night."""


class _Item(NamedTuple):
    """A number of the vector modality, and how the game counts it."""

    position: int
    scale: float
    square: bool
    """Whether the symbols hold the root of the count."""
    texture: str
    which: int | None = None
    """Which of the textures of that name; none: the one whose number is the count."""


_BODY = (
    *(("health", 22), ("hunger", 23), ("thirst", 24), ("energy", 25), ("mana", 26)),
    *(("xp", 27), ("dex", 28), ("str", 29), ("int", 30)),
)
_BLOCK_ITEMS = (("wood", 0, 6), ("stone", 1, 4), ("coal", 2, 8), ("iron", 3, 9), ("diamond", 4, 10))
_GEMS = (("sapphire", 5, 21), ("ruby", 6, 22))
_ITEMS = (
    *(_Item(position, 10, False, f"{name}_texture", 0) for name, position in _BODY),
    *(_Item(position, 10, True, "smaller_block_textures", block) for _, position, block in (*_BLOCK_ITEMS, *_GEMS)),
    _Item(7, 10, True, "sapling_texture", 0),
    _Item(8, 10, True, "torch_inv_texture", 0),
    _Item(9, 10, True, "player_projectile_textures", 0),
    _Item(10, 2, False, "book_texture", 0),
    _Item(11, 4, False, "pickaxe_textures"),
    _Item(12, 4, False, "sword_textures"),
    _Item(15, 1, False, "bow_textures"),
    *(_Item(16 + color, 10, True, "potion_textures", color) for color in range(6)),
)


def draw(observation: Observation, mob_encoding: MobEncoding, textures: Mapping[str, Any]) -> np.ndarray:
    """Map and inventory.

    Args:
        observation: vector (47,), token (1,), token_2d (99, 4).
        mob_encoding: of the observation.
        textures: Craftax's own.

    Returns:
        uint8 (13 * size, 11 * size, 3), where size is that of the textures.
    """
    vector = observation["vector"]
    cells = _cells(observation, mob_encoding, textures)
    cells *= _NIGHT + (1 - _NIGHT) * float(np.clip(vector[_LIGHT], 0, 1))
    inventory = np.zeros((INVENTORY_ROWS * COLUMNS, *cells.shape[2:]))
    for place, icon in zip(inventory, _icons(vector, textures), strict=False):
        place[:] = icon
    grid = np.concatenate((cells, inventory.reshape(INVENTORY_ROWS, COLUMNS, *cells.shape[2:])))
    return np.concatenate(np.concatenate(grid.clip(0, 255).astype(np.uint8), axis=1), axis=1)


def _cells(observation: Observation, mob_encoding: MobEncoding, textures: Mapping[str, Any]) -> np.ndarray:
    """Draw the map: float (9, 11, size, size, 3)."""
    block, item, mob, light = observation["token_2d"].astype(np.int64).T.reshape(4, ROWS, COLUMNS)
    cells = np.asarray(textures["block_textures"], np.float64)[block]
    size = cells.shape[2]
    items = np.asarray(textures["full_map_item_textures"], np.float64)[:, :size, :size]
    for place in zip(*np.nonzero(item), strict=True):
        _overlay(cells[place], items[item[place]][..., :3], items[item[place]][..., 3:])
    asleep = observation["vector"][_SLEEPING] > 0.5
    figure = np.asarray(textures["player_textures"][4 if asleep else int(observation["token"][0])], np.float64)
    _overlay(cells[ROWS // 2, COLUMNS // 2], figure[..., :3], figure[..., 3:])
    none = 0 if mob_encoding == "reference" else MOBS
    for place in zip(*np.nonzero(mob != none), strict=True):
        kind, number = divmod(int(mob[place]), _TYPES)
        pictures = np.asarray(textures[f"{_MOB_TEXTURES[kind]}_textures"])
        opacity = np.asarray(textures[f"{_MOB_TEXTURES[kind]}_texture_alphas"])
        number = min(number, len(pictures) - 1)  # a world model may sample types that no class has
        _overlay(cells[place], pictures[number], opacity[number])
    return cells * (light / LIGHT_STEPS)[..., None, None, None]


def _icons(vector: np.ndarray, textures: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """Draw what the player has and is, each as float (size, size, 3) with its number."""
    size = np.asarray(textures["block_textures"]).shape[1]
    for item in _ITEMS:
        value = max(float(vector[item.position]), 0.0)
        count = round((value * item.scale) ** (2 if item.square else 1))
        if count == 0:
            continue
        pictures = np.asarray(textures[item.texture])
        pictures = pictures[None] if pictures.ndim == 3 else pictures
        picture = pictures[min(count, len(pictures) - 1) if item.which is None else item.which]
        icon = np.zeros((size, size, 3))
        margin = (size - len(picture)) // 2
        icon[margin : margin + len(picture), margin : margin + len(picture)] = picture
        if item.which is not None:
            _write(icon, min(count, 99), textures)
        yield icon


def _write(icon: np.ndarray, number: int, textures: Mapping[str, Any]) -> None:
    """Put a number of up to two digits into the lower right corner."""
    digits = np.asarray(textures["number_textures_with_zero"])
    opacity = np.asarray(textures["number_textures_alpha_with_zero"])
    width = digits.shape[1]
    for place, digit in enumerate(reversed(str(number))):
        right = icon.shape[1] - place * width
        corner = icon[-width:, right - width : right]
        corner[:] = corner * (1 - opacity[int(digit)]) + digits[int(digit)]


def _overlay(cell: np.ndarray, picture: np.ndarray, opacity: np.ndarray) -> None:
    cell[:] = cell * (1 - opacity) + picture * opacity
