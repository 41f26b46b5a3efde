"""`stoker explain`: what a field means, what it may be, its default, and why that is the default."""

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from stoker.errors import InputError, Problem, nearest
from stoker.platform.base import Section
from stoker.platform.document import Platform
from stoker.platform.fields import fields_of, is_duration, is_quantity, sections_in, variants_by_kind

__all__ = ["Child", "Explanation", "explain", "fields"]

_REQUIRED: Final = "none: it must be given"


@dataclass(frozen=True, slots=True)
class Child:
    """A field of a section, in one line."""

    name: str
    what: str
    required: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """What there is to say about a field.

    Attributes:
        path: dotted path without list indices.
        type: in plain words.
        allowed: allowed values, empty where the type says it.
        default: as the file would have it, or that there is none.
        required: whether the file must hold it.
        what: its meaning.
        why: why the default is what it is.
        example: a value, as the file would have it; empty where the default shows it.
        children: fields of a section.
    """

    path: str
    type: str
    allowed: tuple[str, ...]
    default: str
    required: bool
    what: str
    why: str
    example: str
    children: tuple[Child, ...]

    def __str__(self) -> str:
        rows = [("type", self.type)]
        if self.allowed:
            rows.append(("allowed", ", ".join(self.allowed)))
        rows.append(("default", self.default))
        if self.why:
            rows.append(("why", self.why))
        if self.example:
            rows.append(("example", self.example))
        text = f"{self.path or 'platform.yaml'}\n    {self.what}\n\n"
        text += "\n".join(f"{name + ':':9}{value}" for name, value in rows)
        if self.children:
            width = max(len(child.name) for child in self.children)
            lines = (
                f"    {child.name:{width}}  {child.what}{' (required)' if child.required else ''}"
                for child in self.children
            )
            text += "\n\nfields:\n" + "\n".join(lines)
        return text


def explain(field_path: str) -> Explanation:
    """Explain a field or a section.

    Args:
        field_path: such as ``models.autoscaling.scaleDownAfter`` or ``pools[0].sharing``; indices mean nothing. Empty
            for the whole document. Fields of one kind of storage are found by that kind (``storage.nfs.server``) or
            without it (``storage.server``).

    Raises:
        InputError: no field has that path.
    """
    parts = [part for part in _without_indices(field_path).split(".") if part]
    if not parts:
        return _of_document()
    sections: tuple[type[Section], ...] = (Platform,)
    owner: type[Section] | None = Platform
    info: FieldInfo | None = None
    for index, part in enumerate(parts):
        kinds = variants_by_kind(sections)
        if part in kinds:
            sections, info = (kinds[part],), None
            continue
        owner = next((item for item in sections if part in fields_of(item)), None)
        if owner is None:
            raise _unknown(parts, index, sections)
        info = fields_of(owner)[part]
        sections = sections_in(info.annotation)
    path = ".".join(parts)
    if info is None or owner is None:
        return _of_kind(path, sections[0])
    return _of_field(path, info, owner, sections)


def fields() -> Iterator[str]:
    """Every dotted path, in the order of the document; sections come before their fields."""
    yield from _paths((Platform,), ())


def _paths(sections: tuple[type[Section], ...], prefix: tuple[str, ...]) -> Iterator[str]:
    kinds = variants_by_kind(sections)
    if kinds:
        for kind, variant in kinds.items():
            yield ".".join((*prefix, kind))
            yield from _paths((variant,), (*prefix, kind))
        return
    for section in sections:
        for name, info in fields_of(section).items():
            yield ".".join((*prefix, name))
            yield from _paths(sections_in(info.annotation), (*prefix, name))


def _without_indices(path: str) -> str:
    text, depth = "", 0
    for character in path[:1000]:
        depth += character == "["
        if depth == 0:
            text += character
        depth -= character == "]" and depth > 0
    return text.removeprefix("$.")


def _unknown(parts: list[str], index: int, sections: tuple[type[Section], ...]) -> InputError:
    known = list(dict.fromkeys(name for section in sections for name in fields_of(section)))
    known = [*variants_by_kind(sections), *known]
    part, above = parts[index][:64], ".".join(parts[:index])
    near = nearest(part, known, limit=1)
    if not near:
        # A name alone is enough where one field of the document has it.
        by_name = {path.rpartition(".")[2]: path for path in fields()}
        near = [by_name[name] for name in nearest(parts[-1][:64], by_name, limit=1)]
        above = "" if near else above
        fix = f"did you mean `{near[0]}`?" if near else "`stoker explain` lists the sections"
    else:
        fix = f"did you mean `{'.'.join([*parts[:index], near[0]])}`?"
    what = f"{above} has no field {part!r}" if above else f"no field {part!r}"
    if not known:
        what = f"{'.'.join(parts[:index])} is a value and has no fields"
    return InputError([Problem(what, wanted=", ".join(known), fix=fix)])


def _of_document() -> Explanation:
    return Explanation(
        path="",
        type="object",
        allowed=(),
        default=_REQUIRED,
        required=True,
        what=_sentence(Platform),
        why="",
        example="",
        children=_children((Platform,)),
    )


def _of_kind(path: str, section: type[Section]) -> Explanation:
    return Explanation(path, "object", (), _REQUIRED, True, _sentence(section), "", "", _children((section,)))


def _of_field(
    path: str, info: FieldInfo, owner: type[Section], sections: tuple[type[Section], ...]
) -> Explanation:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    what = info.description or ""
    if len(sections) == 1 and len(what) < 24 and _sentence(sections[0]) != what:
        what = f"{what} {_sentence(sections[0])}".strip()
    return Explanation(
        path=path,
        type=_type(info, path.rpartition(".")[2], owner, sections),
        allowed=_allowed(info.annotation),
        default=_REQUIRED if info.is_required() else _default(info, sections),
        required=info.is_required(),
        what=what,
        why=str(extra.get("x-why", "")),
        example=_as_yaml(info.examples[0]) if info.examples else "",
        children=_children(sections),
    )


def _sentence(section: type[Section]) -> str:
    return " ".join((section.__doc__ or "").split("\n\n")[0].split())


def _children(sections: tuple[type[Section], ...]) -> tuple[Child, ...]:
    kinds = variants_by_kind(sections)
    if kinds:
        return tuple(Child(kind, _sentence(section), required=False) for kind, section in kinds.items())
    return tuple(
        Child(name, info.description or "", required=info.is_required())
        for section in sections
        for name, info in fields_of(section).items()
    )


def _type(info: FieldInfo, name: str, owner: type[Section], sections: tuple[type[Section], ...]) -> str:
    if is_duration(info):
        return "duration, such as 200ms, 2s, 15m, 4h or 1d"
    if is_quantity(info):
        return "Kubernetes quantity, such as 512Gi, 64, 500m or 1.5T"
    bounds = _bounds(info, name, owner)
    base = _words(info.annotation)
    # The short form that a validator in front of the section takes.
    if sections and sections[0].__name__ == "Engine":
        base = "name of an engine, or object"
    elif sections and sections[0].__name__ == "Replicas":
        base = "whole number, or object"
    return f"{base}, {bounds}" if bounds else base


_PLAIN: Final = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def _words(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Annotated:
        return _words(typing.get_args(annotation)[0])
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        options = dict.fromkeys(_words(item) for item in arguments if item is not type(None))
        return " or ".join(options)
    if origin is Literal:
        return "one of the allowed values" if len(arguments) > 1 else f"the word {arguments[0]}"
    if origin is tuple:
        return f"list of {_plural(_words(arguments[0]))}"
    if origin is dict:
        return f"object of names, each with a {_words(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return "one of the allowed values"
    return _PLAIN.get(annotation, "object")


def _plural(words: str) -> str:
    return {"text": "texts", "object": "objects", "one of the allowed values": "allowed values"}.get(
        words, words
    )


def _bounds(info: FieldInfo, name: str, owner: type[Section]) -> str:
    if _words(info.annotation) not in {"whole number", "number"}:
        return ""
    schema = owner.model_json_schema()["properties"][name]
    for option in (schema, *schema.get("anyOf", ())):
        low, high = option.get("minimum"), option.get("maximum")
        above, below = option.get("exclusiveMinimum"), option.get("exclusiveMaximum")
        start = f"from {low}" if low is not None else f"more than {above}" if above is not None else ""
        end = f"to {high}" if high is not None else f"to less than {below}" if below is not None else ""
        if start or end:
            return f"{start} {end}".strip()
    return ""


def _allowed(annotation: Any) -> tuple[str, ...]:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return tuple(str(item.value) for item in annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return tuple(str(item) for item in arguments)
    if origin in (typing.Union, types.UnionType, tuple, typing.Annotated):
        return tuple(dict.fromkeys(value for item in arguments for value in _allowed(item)))
    return ()


def _default(info: FieldInfo, sections: tuple[type[Section], ...]) -> str:
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return _REQUIRED
    if value is None:
        return "not set"
    if isinstance(value, Section):
        return "the defaults of its fields"
    return _as_yaml(value) if value not in ((), {}) else ("none" if sections else "empty")


def _as_yaml(value: Any) -> str:
    """One line as the file would have it."""
    match value:
        case bool():
            return "true" if value else "false"
        case StrEnum():
            return str(value.value)
        case str():
            return value or '""'
        case dict():
            return "{" + ", ".join(f"{key}: {_as_yaml(item)}" for key, item in value.items()) + "}"
        case tuple() | list():
            return "[" + ", ".join(_as_yaml(item) for item in value) + "]"
        case _:
            return str(value)
