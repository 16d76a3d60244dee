"""The settings of the environments, by family of simulators."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from m3.config.base import NonNegativeInt, Settings


class AtariEnvironment(Settings):
    """Arcade Learning Environment, no sticky actions, minimal action set."""

    family: Literal["atari"]
    image_size: PositiveInt = 64
    frame_skip: PositiveInt = 4
    max_noops: NonNegativeInt = 30
    """Upper bound of random no-ops at a training reset (tests: 1)."""
    train_frame_limit: PositiveInt = 20_000
    """Raw frames after which a training episode is truncated."""
    test_frame_limit: PositiveInt = 108_000


class DmcEnvironment(Settings):
    """DeepMind Control suite, proprioceptive observations."""

    family: Literal["dmc"]
    action_repeat: PositiveInt = 2
    train_step_limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    """Simulation steps after which a training episode is truncated; tests always have all 1000."""


class CraftaxEnvironment(Settings):
    """Craftax-Symbolic-v1."""

    family: Literal["craftax"]
    mob_encoding: Literal["explicit_none", "reference"] = "explicit_none"
    """``reference`` has no token for "no mob", as the published weights expect."""


class GymnasiumEnvironment(Settings):
    """Any Gymnasium environment; the task is its id."""

    family: Literal["gymnasium"]
    file: str | None = None
    """Python file, relative to where commands are called, that registers the environments; it is executed first."""
    image_size: PositiveInt = 64
    """Image observations are resized to this square."""
    outside: Literal["stop", "clip"] = "stop"
    """What follows an observation outside its space: the run stops, or each value is moved to the nearest valid one."""
    when_it_fails: Literal["stop", "truncate"] = "stop"
    """What follows an error that the environment raises in a step: the run stops, or the episode is truncated there."""


class ToyEnvironment(Settings):
    """Tiny deterministic environments for tests."""

    family: Literal["toy"]
    image_size: PositiveInt = 16


EnvironmentSettings = Annotated[
    AtariEnvironment | DmcEnvironment | CraftaxEnvironment | GymnasiumEnvironment | ToyEnvironment,
    Field(discriminator="family"),
]
