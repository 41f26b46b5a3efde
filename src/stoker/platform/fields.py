"""The document's own structure, read off its models: which fields a section has, and what section a field holds.

Both the loader (whose section is an unknown field in?) and `stoker explain` walk it.
"""

import types
import typing
from collections.abc import Mapping
from typing import Any, Final

from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from stoker.platform.base import Duration, Quantity, Section
from stoker.platform.document import Platform
from stoker.platform.positions import Path

__all__ = [
    "alias_of",
    "fields_of",
    "is_duration",
    "is_quantity",
    "section_at",
    "sections_in",
    "variants_by_kind",
]

_UNIONS: Final = (typing.Union, types.UnionType)


def alias_of(name: str, info: FieldInfo) -> str:
    """The field's name in the file."""
    return info.alias or name


def fields_of(section: type[Section]) -> dict[str, FieldInfo]:
    """Fields of a section by their names in the file, in the order of the model."""
    return {alias_of(name, info): info for name, info in section.model_fields.items()}


def sections_in(annotation: Any) -> tuple[type[Section], ...]:
    """Sections that a field may hold, in a list or not: none for a leaf, several for a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,) if issubclass(annotation, Section) else ()
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is typing.Annotated:
        return sections_in(arguments[0])
    if origin in _UNIONS or origin in (tuple, list):
        return tuple(found for argument in arguments for found in sections_in(argument))
    return ()


def is_duration(info: FieldInfo) -> bool:
    """Whether a field is a length of time."""
    return _is_made_of(info, Duration)


def is_quantity(info: FieldInfo) -> bool:
    """Whether a field is an amount of CPU, memory or storage."""
    return _is_made_of(info, Quantity)


def _is_made_of(info: FieldInfo, kind: Any) -> bool:
    # Both are texts with a validator of their own; the validator is what tells them apart, wherever pydantic put it.
    own = [item for item in typing.get_args(kind) if isinstance(item, AfterValidator)]
    return any(item in own for item in (*info.metadata, *_parts(info.annotation)))


def _parts(annotation: Any) -> tuple[Any, ...]:
    arguments = typing.get_args(annotation)
    return (*arguments, *(part for argument in arguments for part in _parts(argument)))


def variants_by_kind(variants: tuple[type[Section], ...]) -> dict[str, type[Section]]:
    """Variants of a union that a `kind` field tells apart, by that field's value; empty where it is no such union."""
    if len(variants) < 2 or not all("kind" in variant.model_fields for variant in variants):
        return {}
    return {typing.get_args(variant.model_fields["kind"].annotation)[0]: variant for variant in variants}


def section_at(path: Path, data: Any) -> type[Section] | None:
    """The section that the file has at a path, by the kind written there where several are possible."""
    section: type[Section] | None = Platform
    candidates: tuple[type[Section], ...] = ()
    for part in path:
        if not isinstance(data, Mapping | list):
            return None
        try:
            data = data[part]  # type: ignore[index]  # the path was read off this data
        except (KeyError, IndexError, TypeError):
            return None
        if isinstance(part, int):
            section = _variant(candidates, data)
            continue
        if section is None:
            return None
        info = fields_of(section).get(part)
        candidates = sections_in(info.annotation) if info else ()
        section = _variant(candidates, data)
    return section


def _variant(candidates: tuple[type[Section], ...], data: Any) -> type[Section] | None:
    kinds = variants_by_kind(candidates)
    if kinds and isinstance(data, Mapping):
        kind = data.get("kind")
        return kinds.get(kind) if isinstance(kind, str) else None
    return candidates[0] if len(candidates) == 1 else None
