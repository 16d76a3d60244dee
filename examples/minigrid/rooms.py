"""Rooms of MiniGrid, seen from above as a whole: as a grid of tokens (``Grid-...``) or as a picture (``Picture-...``).

Needs the package minigrid, which ``make setup`` installs. The walls around a room are left out, and so are the
actions that do nothing in these rooms: what remains is to turn left, to turn right, and to go on. Rewards, ends and
time limits are MiniGrid's.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces

try:
    import minigrid  # noqa: F401  registers the rooms
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("it needs the package minigrid: pip install --no-deps minigrid==3.2.0") from error
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX
from minigrid.core.grid import Grid
from minigrid.core.world_object import WorldObj

ROOMS = ("LavaGapS5", "Dynamic-Obstacles-5x5", "Empty-6x6")
DIRECTIONS = 4
CELL = 8
"""Pixels of a cell's side in pictures."""


class Room(gymnasium.Wrapper):
    """A room with three actions; how it is seen is up to the subclass."""

    action_names = ("turn left", "turn right", "forward")

    def __init__(self, room: str, render_mode: str | None = None) -> None:
        options = {"render_mode": render_mode, "highlight": False}  # the agent sees the whole room
        super().__init__(gymnasium.make(f"MiniGrid-{room}-v0", disable_env_checker=True, **options))
        self.action_space = spaces.Discrete(3)
        self.side: int = self.unwrapped.width - 2

    def see(self) -> np.ndarray:
        raise NotImplementedError

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        _, info = self.env.reset(seed=seed, options=options)
        return self.see(), info

    def step(self, action: int) -> tuple[np.ndarray, SupportsFloat, bool, bool, dict[str, Any]]:
        _, *outcome = self.env.step(action)
        return self.see(), *outcome


def draw_cell(kind: int, color: int, direction: int) -> np.ndarray:
    """Draw a cell with an object in it, uint8 (32, 32, 3); a dream may have any of them anywhere, also many agents."""
    if kind == OBJECT_TO_IDX["agent"]:
        return Grid.render_tile(None, agent_dir=direction).astype(np.uint8)
    return Grid.render_tile(WorldObj.decode(kind, color, 0)).astype(np.uint8)


class GridRoom(Room):
    """One row per cell: what is there, its colour, and of the agent, its direction."""

    def __init__(self, room: str, render_mode: str | None = None) -> None:
        super().__init__(room, render_mode)
        columns = (len(OBJECT_TO_IDX), len(COLOR_TO_IDX), DIRECTIONS)
        self.observation_space = spaces.MultiDiscrete(np.tile(columns, (self.side**2, 1)))

    def see(self) -> np.ndarray:
        room = self.unwrapped
        cells = room.grid.encode()
        cells[tuple(room.agent_pos)] = (OBJECT_TO_IDX["agent"], COLOR_TO_IDX["red"], room.agent_dir)
        return cells[1:-1, 1:-1].reshape(-1, 3).astype(np.int64)

    def draw_observation(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """Draw what the agent sees, or dreams: ``m3 watch`` calls it."""
        cells = observation["token_2d"].reshape(self.side, self.side, 3)
        return np.concatenate([np.concatenate([draw_cell(*cell) for cell in column]) for column in cells], axis=1)


class PictureRoom(Room):
    """In colour, 8 x 8 pixels per cell."""

    def __init__(self, room: str, render_mode: str | None = None) -> None:
        super().__init__(room, render_mode)
        self.observation_space = spaces.Box(0, 255, (CELL * self.side, CELL * self.side, 3), np.uint8)

    def see(self) -> np.ndarray:
        return self.unwrapped.get_frame(highlight=False, tile_size=CELL)[CELL:-CELL, CELL:-CELL]


for _room in ROOMS:
    gymnasium.register(f"Grid-{_room}-v0", partial(GridRoom, _room))
    gymnasium.register(f"Picture-{_room}-v0", partial(PictureRoom, _room))
