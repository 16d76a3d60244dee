"""An environment's own actions and observations beside those of the agent, one mapping for both directions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from m3.specs import ActionSpec, ContinuousActions, DiscreteActions, ModalitySpec, ObservationSpec

_INTEGERS = (np.uint8, np.int8, np.int16, np.int32, np.int64)


@dataclass(frozen=True, eq=False)
class ShiftedActions:
    """Whole numbers from ``low`` to ``high``: the agent's classes, which count from 0, plus ``low``.

    ``low`` and ``high`` are integers of an own action's shape and dtype.
    """

    low: np.ndarray
    high: np.ndarray

    @property
    def spec(self) -> DiscreteActions:
        """What the agent chooses from."""
        sizes = self.high.astype(np.int64) - self.low.astype(np.int64) + 1
        return DiscreteActions(tuple(int(size) for size in sizes.flat))

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        """Turn the agent's actions, int64 (..., A), into the environment's, (..., *low.shape) of low's dtype."""
        low = self.low.astype(np.int64)
        return (_in_shape(actions, low) + low).astype(self.low.dtype)

    def inverse(self, own: np.ndarray, likely: np.ndarray) -> np.ndarray:
        """Return the agent's actions, int64 (..., A), that become these. They are always the very same."""
        return _flat(np.asarray(own, np.int64) - self.low.astype(np.int64), self.low)


@dataclass(frozen=True, eq=False)
class ScaledActions:
    """Numbers from ``low`` to ``high``, for the agent's from -1 to 1.

    ``low`` and ``high`` are floats of an own action's shape and dtype. The agent's action is moved to [0, 1] in
    ``precision``, and everything else is computed in float64.
    """

    low: np.ndarray
    high: np.ndarray
    precision: type[np.floating]

    @property
    def spec(self) -> ContinuousActions:
        """What the agent chooses from."""
        return ContinuousActions(self.low.size)

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        """Turn the agent's actions, float32 (..., A), into the environment's, (..., *low.shape) of low's dtype."""
        low, high = self.low.astype(np.float64), self.high.astype(np.float64)
        part = (_in_shape(np.asarray(actions, self.precision), low) + 1) / 2
        return (low + part * (high - low)).astype(self.low.dtype)

    def inverse(self, own: np.ndarray, likely: np.ndarray) -> np.ndarray:
        """Return the agent's actions, float32 (..., A), that become these; outside the range, the nearest inside.

        Several of the agent's numbers may round to one of the environment's. If the nearest of the ``likely`` ones
        does, it is taken, with its own bits. Others are exact up to the rounding of the environment's type.

        Args:
            own: (..., *low.shape).
            likely: float32 (n,), ascending: numbers that the agent is known to choose.
        """
        low, high = self.low.astype(np.float64), self.high.astype(np.float64)
        width = np.where(high > low, high - low, 1)  # one value alone has no width to divide by
        actions = _flat(((own - low) / width * 2 - 1).clip(-1, 1), low).astype(np.float32)
        nearest = likely[np.searchsorted((likely[:-1] + likely[1:]) / 2, actions)]
        return np.where(_flat(self(nearest) == own, low), nearest, actions)


OwnActions = ShiftedActions | ScaledActions


@dataclass(frozen=True, eq=False)
class OwnObservations:
    """Modalities with tokens as the environment itself counts them; other modalities are as the agent sees them.

    Args:
        spec: of what the agent sees.
        low, high: modality of tokens -> smallest and largest own values, integers of the modality's shape. Where one is
            missing, its own values are the agent's, which count from 0.
        parts: modality -> what it was joined from, in order: name, type and shape of each part.
    """

    spec: ObservationSpec
    low: Mapping[str, np.ndarray] = field(default_factory=dict)
    high: Mapping[str, np.ndarray] = field(default_factory=dict)
    parts: Mapping[str, list[str]] = field(default_factory=dict)

    @cached_property
    def bounds(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Modality of tokens -> smallest and largest own values, in the smallest type of integers that holds all."""
        return {
            name: _fitting(self.low.get(name, np.zeros(spec.shape, np.int64)), self.high.get(name, _last(spec)))
            for name, spec in self.spec.modalities.items()
            if spec.vocabularies
        }

    def example(self) -> dict[str, np.ndarray]:
        """Return an observation of own values, of every modality's shape and type."""
        return self({name: np.zeros(spec.shape, spec.dtype) for name, spec in self.spec.modalities.items()})

    def __call__(self, observations: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Turn what the agent saw, modality -> (..., *shape), into own values of the same shapes."""
        own = dict(observations)
        for name, (low, _) in self.bounds.items():
            own[name] = (own[name].astype(np.int64) + low).astype(low.dtype)
        return own

    def inverse(self, own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Turn own values back into what the agent saw, tokens in int64. The very same, always."""
        observations = dict(own)
        for name, (low, _) in self.bounds.items():
            observations[name] = own[name].astype(np.int64) - low
        return observations


class OwnValues(NamedTuple):
    """Both mappings of one environment."""

    actions: OwnActions
    observations: OwnObservations


def agents_values(actions: ActionSpec, observations: ObservationSpec) -> OwnValues:
    """Return the mappings of an environment that gives and takes the agent's own values; a single class is a scalar."""
    if isinstance(actions, ContinuousActions):
        one = np.ones(actions.shape, np.float32)
        return OwnValues(ScaledActions(-one, one, np.float64), OwnObservations(observations))
    sizes = np.array(actions.sizes if len(actions.sizes) > 1 else actions.sizes[0], np.int64)
    return OwnValues(ShiftedActions(np.zeros_like(sizes), np.asarray(sizes - 1)), OwnObservations(observations))


def _in_shape(actions: np.ndarray, one: np.ndarray) -> np.ndarray:
    """(..., A) -> (..., *shape of one action)."""
    return actions.reshape((*actions.shape[:-1], *one.shape))


def _flat(own: np.ndarray, one: np.ndarray) -> np.ndarray:
    """(..., *shape of one action) -> (..., A)."""
    return own.reshape(*own.shape[: own.ndim - one.ndim], one.size)


def _last(spec: ModalitySpec) -> np.ndarray:
    return np.broadcast_to(np.array(spec.vocabularies, np.int64) - 1, spec.shape)


def _fitting(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    limits = [(kind, np.iinfo(kind)) for kind in _INTEGERS]
    fits = next(kind for kind, limit in limits if limit.min <= low.min() and high.max() <= limit.max)
    return low.astype(fits), high.astype(fits)
