"""An environment of one's own: walk to a lamp in a corridor. Nothing in here knows of M3."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

LENGTH = 6


class Corridor(gymnasium.Env[np.ndarray, int]):
    """Observed are the positions of walker and lamp; a step that ends on the lamp brings 1, any other nothing."""

    observation_space = spaces.MultiDiscrete([LENGTH, LENGTH])
    action_space = spaces.Discrete(3)  # left, stay, right
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (as in Gymnasium)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._walker, self._lamp = self.np_random.choice(LENGTH, 2, replace=False).tolist()
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._walker = min(max(self._walker + int(action) - 1, 0), LENGTH - 1)
        return self._observe(), float(self._walker == self._lamp), False, False, {}

    def render(self) -> np.ndarray:
        picture = np.full((3, LENGTH, 3), 40, np.uint8)
        picture[1] = 90
        picture[1, self._lamp] = (255, 200, 60)
        picture[1, self._walker] = (90, 170, 255)
        return picture.repeat(20, axis=0).repeat(20, axis=1)

    def _observe(self) -> np.ndarray:
        return np.array([self._walker, self._lamp])


gymnasium.register("Corridor-v0", Corridor, max_episode_steps=12)
