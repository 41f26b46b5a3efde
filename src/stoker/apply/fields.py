"""Fields of an object as the API server itself names them: the path elements of ``metadata.managedFields``.

A path is a tuple of elements in fieldsV1's own text: ``f:name`` a key, ``k:{"name":"x"}`` an item of a list by its keys,
``v:"x"`` an item of a set, ``i:0`` an item by place. Source: sigs.k8s.io/structured-merge-diff fieldpath/serialize-pe.go.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

__all__ = [
    "ABSENT",
    "Absent",
    "Element",
    "FieldPath",
    "Manager",
    "applied_fields",
    "extract",
    "field",
    "leaves",
    "managers",
    "owners",
    "show",
    "value_at",
    "with_value",
]

Element = str
FieldPath = tuple[Element, ...]


class Absent(Enum):
    """A field that is not there: something else than null."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True, order=True)
class Manager:
    """Who owns fields: one entry of managedFields.

    Attributes:
        operation: Apply or Update.
        subresource: such as ``status`` or ``scale``; empty for the object itself.
    """

    name: str
    operation: str
    subresource: str = ""

    def __str__(self) -> str:
        return (
            f"{self.name} ({self.operation.lower()}{f' of {self.subresource}' if self.subresource else ''})"
        )


def field(name: str) -> Element:
    """The element of a key."""
    return f"f:{name}"


def managers(obj: Mapping[str, Any]) -> list[tuple[Manager, Mapping[str, Any]]]:
    """Every owner with its entry, in the object's order."""
    entries = (obj.get("metadata") or {}).get("managedFields") or []
    return [
        (
            Manager(
                str(e.get("manager") or ""), str(e.get("operation") or ""), str(e.get("subresource") or "")
            ),
            e,
        )
        for e in entries
    ]


def applied_fields(obj: Mapping[str, Any], manager: str) -> tuple[str, Mapping[str, Any]] | None:
    """ApiVersion and fieldsV1 of what ``manager`` applied; None where it applied nothing."""
    for found, entry in managers(obj):
        if found == Manager(manager, "Apply"):
            return str(entry.get("apiVersion") or ""), entry.get("fieldsV1") or {}
    return None


def leaves(fields: Mapping[str, Any], above: FieldPath = ()) -> Iterator[FieldPath]:
    """The fields that a fieldsV1 tree owns by themselves: scalars, atomic values, empty maps.

    A map or an item that is owned only as the place of others (``.``) is no leaf, unless nothing is below it.
    """
    for element, below in fields.items():
        if element == ".":
            continue
        path = (*above, element)
        if not below or set(below) == {"."}:
            yield path
        else:
            yield from leaves(below, path)


def _matches(item: Any, keys: Mapping[str, Any]) -> bool:
    return isinstance(item, Mapping) and all(item.get(name, ABSENT) == value for name, value in keys.items())


def _step(value: Any, element: Element) -> Any:
    kind, _, text = element.partition(":")
    if kind == "f":
        return value.get(text, ABSENT) if isinstance(value, Mapping) else ABSENT
    if not isinstance(value, list):
        return ABSENT
    if kind == "i":
        place = int(text)
        return value[place] if place < len(value) else ABSENT
    wanted = json.loads(text)
    if kind == "v":
        return wanted if wanted in value else ABSENT
    return next((item for item in value if _matches(item, wanted)), ABSENT)


def value_at(obj: Any, path: Sequence[Element]) -> Any:
    """What stands there, or `ABSENT`."""
    for element in path:
        obj = _step(obj, element)
        if obj is ABSENT:
            return ABSENT
    return obj


def with_value(obj: Any, path: Sequence[Element], value: Any) -> Any:
    """A copy of ``obj`` in which ``value`` stands at ``path``; maps and items on the way are made. `ABSENT` removes it."""
    if not path:
        return value
    element, rest = path[0], path[1:]
    kind, _, text = element.partition(":")
    if kind == "f":
        copy = dict(obj) if isinstance(obj, Mapping) else {}
        below = with_value(copy.get(text), rest, value)
        if below is ABSENT:
            copy.pop(text, None)
        else:
            copy[text] = below
        return copy
    items = list(obj) if isinstance(obj, list) else []
    place = _place(items, kind, text)
    before = items[place] if place < len(items) else (json.loads(text) if kind != "i" else None)
    below = with_value(before, rest, value)
    if below is ABSENT:
        return items[:place] + items[place + 1 :]
    return [*items[:place], below, *items[place + 1 :]]


def _place(items: list[Any], kind: str, text: str) -> int:
    if kind == "i":
        return min(int(text), len(items))
    wanted = json.loads(text)
    for place, item in enumerate(items):
        if item == wanted if kind == "v" else _matches(item, wanted):
            return place
    return len(items)


def extract(obj: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The object that its owner would have to apply to own exactly ``fields`` of ``obj``, names included."""
    metadata = obj["metadata"]
    found: dict[str, Any] = _extract(obj, fields) if set(fields) - {"."} else {}
    names = {key: metadata[key] for key in ("name", "namespace") if metadata.get(key)}
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        **found,
        "metadata": {**names, **(found.get("metadata") or {})},
    }


def _extract(value: Any, fields: Mapping[str, Any]) -> Any:
    elements = [element for element in fields if element != "."]
    if not elements:
        if "." in fields and isinstance(value, Mapping | list):
            return type(value)() if isinstance(value, list) else {}
        return value
    if isinstance(value, Mapping):
        return {
            element[2:]: _extract(value[element[2:]], fields[element])
            for element in elements
            if element.startswith("f:") and element[2:] in value
        }
    items: list[Any] = []
    # In the object's order: an applied list that is in another order would be a change.
    for place, item in enumerate(value if isinstance(value, list) else ()):
        for element in elements:
            kind, _, text = element.partition(":")
            if kind == "i" and int(text) == place:
                items.append(_extract(item, fields[element]))
            elif kind == "v" and json.loads(text) == item:
                items.append(item)
            elif kind == "k" and _matches(item, json.loads(text)):
                below = _extract(item, fields[element]) if set(fields[element]) - {"."} else {}
                items.append({**json.loads(text), **below})
    return items


def owners(obj: Mapping[str, Any], path: Sequence[Element]) -> list[Manager]:
    """Who owns the field."""
    return sorted(manager for manager, entry in managers(obj) if _owns(entry.get("fieldsV1") or {}, path))


def _owns(fields: Mapping[str, Any], path: Sequence[Element]) -> bool:
    for element in path:
        below = fields.get(element)
        if below is None:
            return False
        if not below:
            return True
        fields = below
    return True


def show(path: Sequence[Element]) -> str:
    """As the server prints it in conflicts: ``.spec.containers[name="x"].image``."""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "i":
            text += f"[{rest}]"
        elif kind == "v":
            text += f"[={rest}]"
        else:
            keys = json.loads(rest)
            text += "[" + ",".join(f"{name}={json.dumps(value)}" for name, value in keys.items()) + "]"
    return text
