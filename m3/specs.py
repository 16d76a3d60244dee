"""What an environment shows and what it accepts: modalities and action spaces with their shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from m3.errors import UserError

Observation = dict[str, np.ndarray]
"""One raw observation: modality name -> array of the modality's shape and dtype."""


class Modality(StrEnum):
    """The kinds of observation, in the order in which their tokens enter a block."""

    IMAGE = "image"
    VECTOR = "vector"
    TOKEN = "token"
    TOKEN_2D = "token_2d"


@dataclass(frozen=True)
class ModalitySpec:
    """Raw form of one modality.

    image: uint8 (3n, H, W), n images stacked along the channels. vector: float32 (D,).
    token: integers (N,) below the one vocabulary. token_2d: integers (N, C), column c below
    ``vocabularies[c]``. Image and vector have no vocabulary of their own; a tokenizer gives them one.
    """

    shape: tuple[int, ...]
    dtype: str
    vocabularies: tuple[int, ...] = ()


@dataclass(frozen=True)
class ObservationSpec:
    """All modalities of an observation, kept in the order of :class:`Modality`."""

    modalities: Mapping[str, ModalitySpec]

    def __post_init__(self) -> None:
        unknown = set(self.modalities) - set(Modality)
        if unknown or not self.modalities:
            raise UserError(f"modalities must be some of {list(Modality)}, got {sorted(self.modalities)}")
        ordered = {str(m): self.modalities[m] for m in Modality if m in self.modalities}
        object.__setattr__(self, "modalities", ordered)

    def __hash__(self) -> int:
        return hash(tuple(self.modalities.items()))


@dataclass(frozen=True)
class DiscreteActions:
    """Integer actions (A,): dimension a takes values below ``sizes[a]``. A plain discrete space has A = 1."""

    sizes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.sizes),)

    @property
    def dtype(self) -> str:
        return "int64"


@dataclass(frozen=True)
class ContinuousActions:
    """Float32 actions (A,) in [-1, 1]."""

    dimensions: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.dimensions,)

    @property
    def dtype(self) -> str:
        return "float32"


ActionSpec = DiscreteActions | ContinuousActions
