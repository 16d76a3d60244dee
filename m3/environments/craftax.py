"""Craftax-Symbolic-v1 on JAX's CPU backend."""

import os
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from craftax import craftax_env

from m3.config.simulators import CraftaxEnvironment, EnvironmentSettings
from m3.environments import craftax_drawing, craftax_encoding
from m3.environments.base import Environment, Mode, Step
from m3.errors import UserError, unknown_name
from m3.specs import DiscreteActions, Observation

_TASK = "Craftax-Symbolic-v1"

_BLOCK_PIXELS = 16
"""Pixels of a map cell in rendered images."""


class Game(NamedTuple):
    """The compiled game, shared by all environments of a process."""

    reset: Callable[[jax.Array], Any]
    """key -> key, state, observation"""
    step: Callable[[jax.Array, Any, int], Any]
    """key, state, action -> key, state, observation, reward, terminated, ended"""
    step_some: Callable[..., Any]
    """keys, states, actions, mask (n,) -> the same of n games, on the first axis; elsewhere, key and state stay"""
    actions: int
    action_names: tuple[str, ...]
    device: jax.Device
    state_leaves: dict[str, jax.ShapeDtypeStruct]
    """Path in the state -> form of the array there, in the order of the state's leaves."""
    state_structure: Any


def tasks() -> list[str]:
    """List the one task."""
    return [_TASK]


def make(settings: EnvironmentSettings, task: str, mode: Mode) -> Environment:
    """Make the game; training and test are alike. Raises UserError for an unknown task."""
    return Craftax(checked(settings, task))


def checked(settings: EnvironmentSettings, task: str) -> CraftaxEnvironment:
    """Return the settings of the game. Raises UserError for an unknown task."""
    assert isinstance(settings, CraftaxEnvironment)
    if task not in tasks():
        raise unknown_name("Craftax task", task, tasks())
    return settings


class Craftax(Environment):
    """The full game: modalities vector (47,), token (1,) and token_2d (99, 4), 43 actions, reward by achievements.

    Death and victory terminate an episode; the game's own limit of steps truncates it.

    See Matthews et al., "Craftax", ICML 2024, arXiv 2402.16801.
    """

    def __init__(self, settings: CraftaxEnvironment) -> None:
        self._mob_encoding = settings.mob_encoding
        self._game = compiled_game()
        self._key = self._array(key_of(seed=None))
        self._state: Any = None
        self.observation_spec = craftax_encoding.observation_spec(settings.mob_encoding)
        self.action_spec = DiscreteActions((self._game.actions,))
        self.action_names = self._game.action_names

    def reset(self, seed: int | None = None) -> Observation:
        if seed is not None:
            self._key = self._array(key_of(seed))
        self._key, self._state, numbers = self._game.reset(self._key)
        return craftax_encoding.encode(np.asarray(numbers), self._mob_encoding)

    def step(self, action: np.ndarray) -> Step:
        self._key, self._state, numbers, reward, terminated, ended = self._game.step(
            self._key, self._state, int(action[0])
        )
        observation = craftax_encoding.encode(np.asarray(numbers), self._mob_encoding)
        return Step(observation, float(reward), bool(terminated), bool(ended) and not bool(terminated))

    def get_state(self) -> dict[str, Any]:
        """Return the game's state, or none before the first reset, and the key of its random choices."""
        key = np.asarray(self._key)
        if self._state is None:
            return {"key": key, "game": None}
        leaves = zip(self._game.state_leaves, jax.tree.leaves(self._state), strict=True)
        return {"key": key, "game": {name: np.asarray(leaf) for name, leaf in leaves}}

    def set_state(self, state: dict[str, Any]) -> None:
        self._key = self._array(np.asarray(state["key"], np.uint32))
        if state["game"] is None:
            self._state = None
            return
        forms = self._game.state_leaves
        leaves = [self._array(np.asarray(state["game"][name], form.dtype)) for name, form in forms.items()]
        self._state = jax.tree.unflatten(self._game.state_structure, leaves)

    def render(self) -> np.ndarray:
        """Draw the game's own picture, uint8 (208, 176, 3): map and inventory."""
        return np.asarray(_pixel_renderer()(self._state)).astype(np.uint8)

    def draw(self, observation: Observation) -> np.ndarray:
        """Draw the symbols as the game does, uint8 (208, 176, 3): map and inventory."""
        return craftax_drawing.draw(observation, self._mob_encoding, _textures())

    def _array(self, value: np.ndarray) -> jax.Array:
        return jax.device_put(value, self._game.device)


def key_of(seed: int | None) -> np.ndarray:
    """Return the key of a game's random choices, uint32 (2,)."""
    return np.random.SeedSequence(seed).generate_state(2)


@lru_cache(maxsize=1)
def compiled_game() -> Game:
    """Compile the game on first use; no setting of an environment has a part in it."""
    device = _cpu()
    # Craftax makes arrays while it is imported; without this they would go to an accelerator.
    with jax.default_device(device):
        from craftax.craftax.constants import Action

        game = craftax_env.make_craftax_env_from_name(_TASK, auto_reset=False)
        params = game.default_params
        # With no limit of steps, an episode only ends by the death of the player or of the last boss.
        endless = params.replace(max_timesteps=np.iinfo(np.int32).max)

    action_names = tuple(action.name.lower().replace("_", " ") for action in Action)

    @jax.jit
    def reset(key: jax.Array) -> tuple[Any, ...]:
        key, reset_key = jax.random.split(key)
        numbers, state = game.reset_env(reset_key, params)
        return key, state, numbers

    def step(key: jax.Array, state: Any, action: int | jax.Array) -> tuple[Any, ...]:
        key, step_key = jax.random.split(key)
        numbers, state, reward, ended, _ = game.step_env(step_key, state, action, params)
        return key, state, numbers, reward, game.is_terminal(state, endless), ended

    def step_if(stepped: jax.Array, key: jax.Array, state: Any, action: jax.Array) -> tuple[Any, ...]:
        after = step(key, state, action)
        kept = jax.tree.map(partial(jax.numpy.where, stepped), after[:2], (key, state))
        return *kept, *after[2:]

    @jax.jit
    def step_some(keys: jax.Array, states: Any, actions: jax.Array, stepped: jax.Array) -> tuple[Any, ...]:
        return jax.vmap(step_if)(stepped, keys, states, actions)

    _, state, _ = jax.eval_shape(reset, jax.ShapeDtypeStruct((2,), np.uint32))
    leaves, structure = jax.tree_util.tree_flatten_with_path(state)
    named_leaves = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
    return Game(reset, jax.jit(step), step_some, game.num_actions, action_names, device, named_leaves, structure)


def _cpu() -> jax.Device:
    """JAX's CPU device.

    Choices that the user made for JAX stay. Otherwise only the CPU backend is started, so that no accelerator's memory
    is taken, and what is compiled (half a minute) is kept for later runs.
    """
    config: Any = jax.config  # its options are defined while it is imported, out of a type checker's sight
    if config.jax_platforms is None:
        config.update("jax_platforms", "cpu")
    if config.jax_compilation_cache_dir is None:
        config.update("jax_compilation_cache_dir", str(_cache_folder()))
    try:
        return jax.devices("cpu")[0]
    except RuntimeError as error:
        raise UserError(
            f"Craftax needs JAX's CPU backend, which JAX_PLATFORMS={config.jax_platforms} leaves out"
        ) from error


def _cache_folder() -> Path:
    """Find the user's cache folder for compiled programs; JAX's own variable JAX_COMPILATION_CACHE_DIR comes first."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "m3" / "jax"


@lru_cache(maxsize=1)
def _textures() -> dict[str, Any]:
    """Load Craftax's textures at the size of rendered images, which takes seconds."""
    with jax.default_device(_cpu()):
        from craftax.craftax import constants

        return constants.load_all_textures_given_size(_BLOCK_PIXELS)


@lru_cache(maxsize=1)
def _pixel_renderer() -> Callable[[Any], jax.Array]:
    """Return Craftax's renderer: state -> float (208, 176, 3) in 0 to 255."""
    from craftax.craftax import renderer

    load_all_textures = renderer.load_all_textures
    # The original draws three sizes, which takes a minute, and writes them into the installed package.
    renderer.load_all_textures = lambda: {_BLOCK_PIXELS: _textures()}
    try:
        with jax.default_device(_cpu()):
            return jax.jit(renderer.make_craftax_pixel_renderer(_BLOCK_PIXELS))
    finally:
        renderer.load_all_textures = load_all_textures
