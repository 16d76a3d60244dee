"""Atari games of the Arcade Learning Environment, as `{Game}NoFrameskip-v4` with the usual preprocessing."""

from typing import Any

import ale_py
import numpy as np
from ale_py import roms
from PIL import Image

from m3.config.simulators import AtariEnvironment, EnvironmentSettings
from m3.environments.base import Environment, Mode, Step
from m3.errors import UserError, unknown_name
from m3.specs import DiscreteActions, ModalitySpec, Observation, ObservationSpec

_TWO_PLAYERS = {"combat", "joust", "maze_craze", "warlords"}
"""Games that cannot be played alone."""

_NOOP = ale_py.Action.NOOP


def tasks() -> list[str]:
    """List the names of all games, for example ``MsPacman``."""
    return sorted(_game_name(rom) for rom in roms.get_all_rom_ids() if rom not in _TWO_PLAYERS)


def make(settings: EnvironmentSettings, task: str, mode: Mode) -> Environment:
    """Make one game. Raises UserError for an unknown task."""
    assert isinstance(settings, AtariEnvironment)
    if task not in tasks():
        raise unknown_name("Atari game", task, tasks())
    return AtariGame(settings, task, mode)


def _game_name(rom: str) -> str:
    return rom.title().replace("_", "")


class AtariGame(Environment):
    """One game: minimal action set, no sticky actions, observation image uint8 (3, size, size).

    A step repeats its action for ``frame_skip`` raw frames, fewer where the game ends, sums their rewards and shows the
    pixelwise maximum of the last two frames, each resized before. In training the sign of every raw frame's reward
    counts, and losing a life terminates the episode; ``reset`` then continues the same game with one no-op step, and
    starts a new one only when the game is over. An episode is truncated when the game has lasted its limit of raw
    frames, no-ops at the start included.

    See Machado et al., "Revisiting the Arcade Learning Environment", JAIR 2018.
    """

    def __init__(self, settings: AtariEnvironment, game: str, mode: Mode) -> None:
        self._settings = settings
        self._training = mode == "train"
        self._frame_limit = settings.train_frame_limit if self._training else settings.test_frame_limit
        self._rom = next(rom for rom in roms.get_all_rom_ids() if _game_name(rom) == game)
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        self._ale = ale_py.ALEInterface()
        self._ale.setFloat("repeat_action_probability", 0.0)
        self._load(seed=None)
        self._actions = self._ale.getMinimalActionSet()
        self._screen = np.zeros((*self._ale.getScreenDims(), 3), np.uint8)
        self._previous_screen = np.zeros_like(self._screen)
        self._frames = 0
        self._lives = 0
        size = settings.image_size
        self.observation_spec = ObservationSpec({"image": ModalitySpec((3, size, size), "uint8")})
        self.action_spec = DiscreteActions((len(self._actions),))
        self.action_names = tuple(action.name.lower() for action in self._actions)
        self.frames_per_step = settings.frame_skip

    def reset(self, seed: int | None = None) -> Observation:
        if seed is not None:
            self._load(seed)
        if self._playing and self._training and not self._over:
            self._repeat(_NOOP)
            observation = self._observe(maximum=True)
            if not self._over:
                self._lives = self._ale.lives()
                return observation
        self._start_game()
        self._lives = self._ale.lives()
        return self._observe(maximum=False)

    def step(self, action: np.ndarray) -> Step:
        reward = self._repeat(self._actions[int(action[0])])
        lives = self._ale.lives()
        # Some games show 0 lives for a while before they are over, Q*bert for one: only the end counts there.
        life_lost = self._training and 0 < lives < self._lives
        self._lives = lives
        terminated = self._ale.game_over(with_truncation=False) or life_lost
        truncated = self._frames >= self._frame_limit and not terminated
        return Step(self._observe(maximum=True), reward, terminated, truncated)

    def get_state(self) -> dict[str, Any]:
        return {
            "emulator": np.frombuffer(self._ale.cloneState(include_rng=True).serialize(), np.uint8),
            "screen": self._screen.copy(),
            "frames": self._frames,
            "lives": self._lives,
            "playing": self._playing,
            "generator": self._generator.bit_generator.state,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._ale.restoreState(ale_py.ALEState(np.asarray(state["emulator"], np.uint8).tobytes()))
        self._screen[:] = state["screen"]
        self._frames = int(state["frames"])
        self._lives = int(state["lives"])
        self._playing = bool(state["playing"])
        self._generator.bit_generator.state = state["generator"]

    def render(self) -> np.ndarray:
        return self._screen.copy()

    @property
    def _over(self) -> bool:
        """Whether the game, not only the agent's episode, has ended."""
        return self._ale.game_over(with_truncation=False) or self._frames >= self._frame_limit

    def _load(self, seed: int | None) -> None:
        """Load the game with the emulator seed that Gymnasium's AtariEnv derives from ``seed``."""
        sequence = np.random.SeedSequence(seed)
        self._ale.setInt("random_seed", int(sequence.generate_state(2).astype(np.int32)[1]))
        try:
            path = roms.get_rom_path(self._rom)
        except OSError as error:
            raise UserError(
                f"the ROM of {_game_name(self._rom)} is missing or damaged in the package ale-py: "
                "pip install --force-reinstall --no-deps ale-py"
            ) from error
        assert path is not None, self._rom
        self._ale.loadROM(path)
        self._generator = np.random.default_rng(sequence)
        self._playing = False

    def _start_game(self) -> None:
        """Start a game with its no-ops; one that ends during them starts again and plays the remaining ones."""
        most = self._settings.max_noops
        noops = int(self._generator.integers(min(1, most), most + 1)) if self._training else 1
        self._power_on()
        for _ in range(noops):
            self._act(_NOOP)
            if self._over:
                self._power_on()

    def _power_on(self) -> None:
        self._ale.reset_game()
        self._ale.getScreenRGB(self._screen)
        self._frames = 0
        self._playing = True

    def _repeat(self, action: ale_py.Action) -> float:
        """Sum rewards over one step's raw frames; stop when the game is over."""
        total = self._act(action)
        # A step that ends with its first frame shows that frame alone.
        self._previous_screen[:] = self._screen
        for _ in range(self._settings.frame_skip - 1):
            if self._over:
                break
            total += self._act(action)
        return total

    def _act(self, action: ale_py.Action) -> float:
        """Play one raw frame; its reward, in training the reward's sign."""
        reward = float(self._ale.act(action))
        self._frames += 1
        self._screen, self._previous_screen = self._previous_screen, self._screen
        self._ale.getScreenRGB(self._screen)
        return float(np.sign(reward)) if self._training else reward

    def _observe(self, maximum: bool) -> Observation:
        """Return the last frame, or the pixelwise maximum of the last two, resized."""
        image = self._resize(self._screen)
        if maximum:
            image = np.maximum(image, self._resize(self._previous_screen))
        return {"image": np.ascontiguousarray(image.transpose(2, 0, 1))}

    def _resize(self, screen: np.ndarray) -> np.ndarray:
        size = self._settings.image_size
        return np.asarray(Image.fromarray(screen).resize((size, size), Image.Resampling.BILINEAR))
