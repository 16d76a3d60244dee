"""Rooms of MiniGrid, seen from above as a whole: as a grid of tokens (``Grid-...``) or as a picture (``Picture-...``).

Needs the package minigrid (``pip install --no-deps minigrid``). The walls around a room are left out, and so are the
actions that do nothing in these rooms: what remains is to turn left, to turn right, and to go on. Rewards, ends and
time limits are MiniGrid's.
"""

from functools import partial
from typing import Any, SupportsFloat

import gymnasium
import minigrid  # noqa: F401  registers the rooms
import numpy as np
from gymnasium import spaces
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX

ROOMS = ("LavaGapS5", "Dynamic-Obstacles-5x5", "Empty-6x6")
DIRECTIONS = 4
CELL = 8
"""Pixels of a cell's side in pictures."""


class Room(gymnasium.Wrapper):
    """A room with three actions; how it is seen is up to the subclass."""

    def __init__(self, room: str, render_mode: str | None = None) -> None:
        super().__init__(gymnasium.make(f"MiniGrid-{room}-v0", render_mode=render_mode, disable_env_checker=True))
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
