"""Gymnasium spaces as modalities and action spaces."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from PIL import Image

from m3.environments.own_values import OwnActions, OwnObservations, ScaledActions, ShiftedActions
from m3.errors import UserError, shown
from m3.reading import MOST_NUMBER
from m3.specs import Modality, ModalitySpec, Observation, ObservationSpec

MAX_VOCABULARY = 65_536
"""More values than this are no vocabulary that a model could learn."""
MAX_VECTOR = 4_096
"""Every number of a vector is a token of its own, in every step."""
MAX_ACTIONS = 65_536
"""Of all dimensions together: the policy has an output for each."""


class _Input(NamedTuple):
    """One leaf of an observation space and its part in a modality."""

    path: tuple[str | int, ...]
    modality: Modality
    spec: ModalitySpec
    convert: Callable[[Any], np.ndarray]
    space: spaces.Space[Any]
    low: np.ndarray
    high: np.ndarray
    """The smallest and largest values that the space allows, of its shape."""

    @property
    def text(self) -> str:
        """Its place, type and shape in words."""
        place = "/".join(map(str, self.path)) or "all"
        return f"{place}: {self.space.dtype} {self.space.shape}"


class ObservationMap:
    """Turns an environment's observations into modalities.

    A space becomes, by itself or as any entry of nested Dict and Tuple spaces:

    - image: uint8 Box (H, W, 3), (H, W, 1) or (3, H, W), resized; grey is repeated in three channels;
    - vector: float Box of any shape, flattened;
    - token: Discrete, MultiDiscrete (N,), MultiBinary (N,), bounded integer Box (N,); their smallest value becomes 0;
    - token_2d: MultiDiscrete (N, C) or MultiBinary (N, C).

    Inputs of one modality are joined along the first axis, in the space's order: images as more channels, the others as
    more entries. The vocabulary of joined tokens is the largest of theirs (token_2d: per column).
    """

    def __init__(self, space: spaces.Space[Any], image_size: int, clip: bool = False) -> None:
        """Raises UserError for a space that is none of the above, naming it.

        Args:
            space: of the environment.
            image_size: side of the squares to which images are resized.
            clip: move values outside the space to the nearest valid ones, instead of refusing them.
        """
        self._clip = clip
        self._inputs = [_input(path, leaf, image_size) for path, leaf in _leaves(space, ())]
        self.spec = ObservationSpec(
            {
                str(modality): _joined([part.spec for part in self._inputs if part.modality == modality])
                for modality in {part.modality for part in self._inputs}
            }
        )

    @property
    def own(self) -> OwnObservations:
        """What the tokens are in the space, and which parts of it each modality has."""
        low: dict[str, np.ndarray] = {}
        high: dict[str, np.ndarray] = {}
        parts: dict[str, list[str]] = {}
        for name, spec in self.spec.modalities.items():
            inputs = [source for source in self._inputs if source.modality == name]
            parts[name] = [source.text for source in inputs]
            if spec.vocabularies:
                low[name] = _together([(source.low, source.spec) for source in inputs])
                high[name] = _together([(source.high, source.spec) for source in inputs])
        return OwnObservations(self.spec, low, high, parts)

    def __call__(self, observation: Any) -> Observation:
        """Turn one observation into modalities.

        Raises:
            UserError: it is not of the space: a part is missing, has another shape, or holds a value outside; a number
                that is not finite is refused always.
        """
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self.spec.modalities}
        for source in self._inputs:
            parts[source.modality].append(source.convert(self._checked(source, observation)))
        return {name: np.concatenate(parts[name]).astype(spec.dtype) for name, spec in self.spec.modalities.items()}

    def _checked(self, source: _Input, observation: Any) -> np.ndarray:
        where = f"the {source.modality} observation" + "".join(f"[{key!r}]" for key in source.path)
        try:
            for key in source.path:
                observation = observation[key]
            value = np.asarray(observation)
        except (LookupError, TypeError, ValueError) as error:
            raise UserError(f"{where} is missing: {shown(observation)}") from error
        shape = source.space.shape
        if value.shape != shape or value.dtype.kind not in "biuf":
            raise UserError(f"{where} is {value.dtype} {value.shape}, where its space has the shape {shape}")
        if value.dtype.kind == "f" and not (np.abs(value) <= MOST_NUMBER).all():
            bad = value[~(np.abs(value) <= MOST_NUMBER)].flat[0]
            raise UserError(f"{where} has the value {bad}, which no network can read")
        if source.modality == Modality.VECTOR:
            return np.clip(value, source.low, source.high) if self._clip else value  # bounds of floats are often rough
        if value.dtype.kind == "f" and (value != np.round(value)).any():
            broken = value[value != np.round(value)].flat[0]
            raise UserError(f"{where} has the value {broken}, where its space has whole numbers")
        outside = (value < source.low) | (value > source.high)
        if not outside.any():
            return value
        if self._clip:
            return np.clip(value, source.low, source.high)
        raise UserError(
            f"{where} has the value {value[outside].flat[0]}, outside its space of {source.low[outside].flat[0]} to "
            f"{source.high[outside].flat[0]}: correct the environment, or set environment.outside to clip"
        )


def action_map(space: spaces.Space[Any]) -> OwnActions:
    """Return how actions become those of a Discrete, MultiDiscrete, MultiBinary or bounded float Box space.

    Raises:
        UserError: it is another space, which the message names.
    """
    actions: OwnActions
    if isinstance(space, spaces.Box) and space.dtype.kind == "f" and space.is_bounded():
        actions = ScaledActions(space.low, space.high, np.float32)
    elif isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        smallest, sizes = _integers(space)
        actions = ShiftedActions(*(np.asarray(bound, space.dtype) for bound in (smallest, smallest + sizes - 1)))
    else:
        raise UserError(
            f"unsupported action space {space}: it must be Discrete, MultiDiscrete, MultiBinary or a bounded Box of "
            "floats"
        )
    count = sum(actions.spec.sizes) if isinstance(actions, ShiftedActions) else actions.spec.dimensions
    if not 0 < count <= MAX_ACTIONS:
        raise UserError(f"unsupported action space {shown(space)}: {count} actions, of 1 to {MAX_ACTIONS} possible")
    return actions


def _leaves(space: spaces.Space[Any], path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            yield from _leaves(part, (*path, key))
    elif isinstance(space, spaces.Tuple):
        for index, part in enumerate(space.spaces):
            yield from _leaves(part, (*path, index))
    else:
        yield path, space


def _input(path: tuple[str | int, ...], space: spaces.Space[Any], image_size: int) -> _Input:
    if space.shape and not np.prod(space.shape):
        raise _unsupported(path, space, "it has no entries")
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3:
        return _image_input(path, space, image_size)
    if isinstance(space, spaces.Box) and space.dtype.kind == "f":
        size = int(np.prod(space.shape))
        if _looks_like_picture(space.shape):
            raise _unsupported(
                path, space, f"a picture of floats would be {size} tokens; {_CONVERT.format(shape=space.shape)}"
            )
        if size > MAX_VECTOR:
            raise _unsupported(path, space, f"{size} floats are as many tokens, at most {MAX_VECTOR}")
        spec = ModalitySpec((size,), "float32")
        convert = partial(np.ravel, order="C")
        return _Input(path, Modality.VECTOR, spec, convert, space, space.low, space.high)
    if isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        return _integer_input(path, space)
    raise _unsupported(path, space, "only Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple can be read")


_CONVERT = (
    "wrap the environment where you register it, for values from 0 to 1: gymnasium.wrappers.TransformObservation("
    "env, lambda x: np.uint8(255 * x), gymnasium.spaces.Box(0, 255, {shape}, np.uint8))"
)


def _looks_like_picture(shape: tuple[int, ...]) -> bool:
    """Tell whether a space of floats is a picture rather than a vector: height and width, and one or three channels."""
    channels = {1, 3} & {shape[0], shape[-1]} if len(shape) == 3 else set()
    return bool(channels) and sorted(shape)[1] >= 8


def _image_input(path: tuple[str | int, ...], space: spaces.Box, size: int) -> _Input:
    height, _, channels = space.shape
    if channels not in (1, 3) and height != 3:
        raise _unsupported(path, space, "an image is (H, W, 3), (H, W, 1) or (3, H, W)")

    def convert(value: np.ndarray) -> np.ndarray:
        value = value.astype(np.uint8)
        pixels = value if channels in (1, 3) else value.transpose(1, 2, 0)
        image = Image.fromarray(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
        return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)

    spec = ModalitySpec((3, size, size), "uint8")
    return _Input(path, Modality.IMAGE, spec, convert, space, space.low, space.high)


def _integer_input(path: tuple[str | int, ...], space: Any) -> _Input:
    grid = len(space.shape) == 2 and not isinstance(space, spaces.Box)
    if len(space.shape) > 1 and not grid:
        raise _unsupported(path, space, "tokens are (N,), and a grid of tokens is a MultiDiscrete (N cells, C columns)")
    smallest, sizes = _integers(space)
    if sizes.max() > MAX_VOCABULARY:
        raise _unsupported(path, space, f"its values are too many for tokens (at most {MAX_VOCABULARY})")
    shape = sizes.shape if grid else (sizes.size,)
    vocabularies = tuple(int(size) for size in sizes.max(axis=0)) if grid else (int(sizes.max()),)
    spec = ModalitySpec(shape, _token_dtype(vocabularies), vocabularies)
    modality = Modality.TOKEN_2D if grid else Modality.TOKEN
    bounds = smallest, smallest + sizes - 1

    def convert(value: np.ndarray) -> np.ndarray:
        return (value.astype(np.int64) - smallest).reshape(shape)

    return _Input(path, modality, spec, convert, space, *bounds)


def _integers(space: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest value and the number of values of every entry of a space of integers."""
    if isinstance(space, spaces.MultiBinary):
        return np.zeros(space.shape, np.int64), np.full(space.shape, 2)
    if isinstance(space, spaces.Box):
        smallest = space.low.astype(np.int64)
        return smallest, space.high.astype(np.float64) - smallest + 1
    if isinstance(space, spaces.Discrete):
        return np.asarray(space.start), np.asarray(space.n)
    return space.start, space.nvec


def _joined(specs: list[ModalitySpec]) -> ModalitySpec:
    """Join the specs of several inputs of one modality along the first axis."""
    if len({spec.shape[1:] for spec in specs}) > 1:
        raise UserError(
            f"unsupported observation space: grids of tokens must have the same number of columns to be joined, "
            f"got shapes {[spec.shape for spec in specs]}"
        )
    shape = (sum(spec.shape[0] for spec in specs), *specs[0].shape[1:])
    vocabularies = tuple(max(column) for column in zip(*(spec.vocabularies for spec in specs), strict=True))
    dtype = _token_dtype(vocabularies) if vocabularies else specs[0].dtype
    return ModalitySpec(shape, dtype, vocabularies)


def _together(bounds: list[tuple[np.ndarray, ModalitySpec]]) -> np.ndarray:
    """Join a bound of several inputs as their tokens are joined, in int64."""
    return np.concatenate([np.reshape(bound, spec.shape) for bound, spec in bounds]).astype(np.int64)


def _token_dtype(vocabularies: tuple[int, ...]) -> str:
    return "uint8" if max(vocabularies) <= 256 else "int32"


def _unsupported(path: tuple[str | int, ...], space: spaces.Space[Any], reason: str) -> UserError:
    where = f" at {'/'.join(str(key) for key in path)}" if path else ""
    return UserError(f"unsupported observation space {space}{where}: {reason}")
