"""Layers of settings: partial mappings from files, merged in order and validated with errors that name their origin."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from m3.errors import UserError, shown, unknown_name

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]
"""Keys and list positions that lead to a value."""

_TAGS = ("kind", "family")
"""Keys that say which other keys a mapping has."""


@dataclass(frozen=True)
class Layer:
    """Settings of one origin: a file, and the key in it under which ``content`` stands."""

    file: str
    content: dict[str, Any]
    key: str = ""

    def name(self, location: Location) -> str:
        """Name the file and full key path of a value, as errors show them."""
        path = self.key
        for part in location:
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        return f"{self.file}: {path}" if path else self.file


def merge(contents: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Merge mappings key by key, later ones first; every other value, or a mapping of another kind, replaces."""

    def merge_two(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
        merged = dict(below)
        for key, value in above.items():
            merged[key] = merge_two(below[key], value) if _mergeable(below.get(key), value) else value
        return merged

    return reduce(merge_two, contents, {})


def _mergeable(below: Any, above: Any) -> bool:
    """Whether both are mappings, and of the same kind where both say which."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return False
    return all(below[tag] == above[tag] for tag in _TAGS if tag in below and tag in above)


def validate(model: type[Model], layers: Sequence[Layer], given: dict[str, Any] | None = None) -> Model:
    """Check merged layers and return the typed settings.

    Args:
        model: type of the result.
        layers: lowest first.
        given: values that come from no file, such as a run's seed; they win.

    Raises:
        UserError: one line that names the file, the key path and, for a misspelt name, the nearest valid one.
    """
    content = _above_defaults(model, merge([*(layer.content for layer in layers), given or {}]))
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _explain(model, layers, content, error.errors()[0]) from error


def _above_defaults(model: type[BaseModel], content: dict[str, Any]) -> dict[str, Any]:
    """Merge partial sections with their defaults, such as an optimiser of which only the learning rate is given."""
    filled = dict(content)
    for name, (section_model, default) in _sections(model).items():
        section = content.get(name)
        if isinstance(section, dict):
            filled[name] = _above_defaults(section_model, merge([default, section]))
    return filled


@cache
def _sections(model: type[BaseModel]) -> dict[str, tuple[type[BaseModel], dict[str, Any]]]:
    """Field -> the settings class that its section is of, where there is one, and the section's defaults."""
    sections = {}
    for name, field in model.model_fields.items():
        nested = models_in(field.annotation)
        if len(nested) == 1:
            default = field.default.model_dump() if isinstance(field.default, BaseModel) else {}
            sections[name] = nested[0], default
    return sections


def _explain(
    model: type[BaseModel], layers: Sequence[Layer], content: dict[str, Any], error: ErrorDetails
) -> UserError:
    """Say what is wrong, in one line; pydantic's own report has several."""
    location = _without_tags(content, error["loc"])
    if error["type"] == "missing":
        return UserError(f"{_origin(layers[::-1], location).name(location)}: missing")
    origin = _origin(layers, location)
    name = origin.name(location)
    match error["type"]:
        case "extra_forbidden":
            unknown = unknown_name("key", str(location[-1]), _siblings(model, error["loc"]))
            return UserError(f"{origin.name(location[:-1])}: {unknown}")
        case "union_tag_not_found":
            return UserError(f"{name}: {error['ctx']['discriminator']} is missing")
        case "union_tag_invalid":
            valid = [tag.strip("' ") for tag in error["ctx"]["expected_tags"].split(",")]
            kind = error["ctx"]["discriminator"].strip("'")
            return UserError(f"{name}: {unknown_name(kind, error['ctx']['tag'], valid)}")
        case "value_error":
            return UserError(f"{name}: {error['ctx']['error']}")
        case _:
            problem = error["msg"].replace("Input should be", "must be")
            return UserError(f"{name}: {problem}, got {shown(error['input'])}")


def _without_tags(content: Any, location: Location) -> Location:
    """Return the location as the user wrote it: pydantic inserts the chosen member of a union."""
    path: list[str | int] = []
    for index, part in enumerate(location):
        try:
            content = content[part]
            path.append(part)
        except (KeyError, IndexError, TypeError):
            if index == len(location) - 1 and isinstance(content, dict):
                path.append(part)  # a missing key
    return tuple(path)


def _origin(layers: Sequence[Layer], location: Location) -> Layer:
    """Find the last layer that says something at the location, or failing that, at the nearest part above it."""

    def depth(layer: Layer) -> int:
        content: Any = layer.content
        for position, part in enumerate(location):
            try:
                content = content[part]
            except (KeyError, IndexError, TypeError):
                return position
        return len(location)

    return max(reversed(layers), key=depth)


def _siblings(model: type[BaseModel], location: Location) -> list[str]:
    """List the valid keys beside the last part of a location."""
    models: list[type[BaseModel]] = [model]
    for part in location[:-1]:
        fields = [found.model_fields[part] for found in models if part in found.model_fields]
        if fields:
            models = [nested for field in fields for nested in models_in(field.annotation)]
        else:  # the tag of a union's member, or a position in a list
            models = [found for found in models if _has_tag(found, part)] or models
    return [name for found in models for name in found.model_fields]


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """List the settings classes that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Annotated:
        return models_in(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType, tuple, list, dict):
        return [model for argument in get_args(annotation) for model in models_in(argument)]
    return []


def _has_tag(model: type[BaseModel], tag: str | int) -> bool:
    return any(tag in get_args(field.annotation) for field in model.model_fields.values())
