"""An environment of one's own: walk to the lamp at the end of a corridor. Nothing in here knows of M3."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

LENGTH = 6


class Corridor(gymnasium.Env[int, int]):
    """Observed is where the walker is; a step that ends at the lamp brings 1, any other nothing."""

    observation_space = spaces.Discrete(LENGTH)
    action_space = spaces.Discrete(3)  # left, stay, right
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (as in Gymnasium)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict]:
        super().reset(seed=seed)
        self._walker = int(self.np_random.integers(LENGTH - 1))
        return self._walker, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        self._walker = min(max(self._walker + int(action) - 1, 0), LENGTH - 1)
        return self._walker, float(self._walker == LENGTH - 1), False, False, {}

    def render(self) -> np.ndarray:
        picture = np.full((3, LENGTH, 3), 40, np.uint8)
        picture[1] = 90
        picture[1, LENGTH - 1] = (255, 200, 60)
        picture[1, self._walker] = (90, 170, 255)
        return picture.repeat(20, axis=0).repeat(20, axis=1)


gymnasium.register("Corridor-v0", Corridor, max_episode_steps=12)
