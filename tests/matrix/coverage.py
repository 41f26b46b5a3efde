"""Which options of the platform document a set of documents uses.

An option is a field, one value of an enum or Literal field, or a boolean's value; a field counts as used where the file
writes it.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

Option = tuple[str, str, str]  # section, field, value or empty


def every_option(root: type[BaseModel]) -> set[Option]:
    """Every option that the document has."""
    found: set[Option] = set()
    seen: set[type[BaseModel]] = set()
    waiting = [root]
    while waiting:
        section = waiting.pop()
        if section in seen:
            continue
        seen.add(section)
        for name, field in section.model_fields.items():
            found.add((section.__name__, name, ""))
            for leaf in _leaves(field.annotation):
                if isinstance(leaf, type) and issubclass(leaf, BaseModel):
                    waiting.append(leaf)
                else:
                    found |= {(section.__name__, name, value) for value in _values(leaf)}
    return found


def used_options(section: BaseModel) -> Iterator[Option]:
    """Every option that one document uses."""
    kind = type(section).__name__
    for name in section.model_fields_set:
        value = getattr(section, name)
        yield kind, name, ""
        for item in _flat(value):
            if isinstance(item, BaseModel):
                yield from used_options(item)
            elif isinstance(item, bool):
                yield kind, name, str(item).lower()
            elif isinstance(item, Enum):
                yield kind, name, str(item.value)
            elif isinstance(item, str):
                yield kind, name, item


def _flat(value: Any) -> Iterable[Any]:
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, dict):
        return [
            item for each in value.values() for item in (_flat(each) if isinstance(each, dict) else (each,))
        ]
    return (value,)


def _leaves(annotation: Any) -> Iterator[Any]:
    """Types below unions, containers and Annotated."""
    origin = get_origin(annotation)
    if origin is Literal:
        yield annotation
    elif origin is Annotated:
        yield from _leaves(get_args(annotation)[0])
    elif origin in {Union, UnionType, tuple, list, dict}:
        for argument in get_args(annotation):
            if argument is not Ellipsis:
                yield from _leaves(argument)
    else:
        yield annotation


def _values(leaf: Any) -> set[str]:
    if get_origin(leaf) is Literal:
        return {str(value) for value in get_args(leaf)}
    if isinstance(leaf, type) and issubclass(leaf, Enum):
        return {str(item.value) for item in leaf}
    return {"true", "false"} if leaf is bool else set()
