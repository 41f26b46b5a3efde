"""What a round trip through Kubernetes' Go types does to an object of a built-in kind.

A real server decodes a body into structs and writes it out again: nulls go, empty values go where the field says
omitempty and stay where it does not, a struct that is no pointer is always written (``resources: {}``, ``status: {}``), a
missing list of a field without omitempty is ``null``, quantities and times are written in one way. The facts are in
``canonical_fields.txt``; fields come out in the order of the struct, in which messages print objects.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from stoker.lab.kinds.quantity_text import canonical_quantity, canonical_resource
from stoker.lab.schema.node import Node

__all__ = ["canonical"]

Walk = Callable[[Any], Any]
_PREFIXES = {
    "meta.v1": "io.k8s.apimachinery.pkg.apis.meta.v1",
    "apiextensions.v1": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
    "apiregistration.v1": "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
}
_ZERO = {"string": "", "integer": 0, "number": 0, "boolean": False}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


def canonical(obj: Any, node: Node) -> Any:
    """The object as Kubernetes would write it; a new one, nothing of the old is changed.

    Raises:
        QuantityError: a quantity that is none.
    """
    return _walk(node)(obj)


@cache
def _facts() -> dict[str, dict[str, str]]:
    """By OpenAPI name the fields in order, each with its marks."""
    found: dict[str, dict[str, str]] = {}
    text = (Path(__file__).parent / "canonical_fields.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, *fields = line.split()
        group, _, kind = name.rpartition(".")
        marks = {field.rstrip("*!~"): field[len(field.rstrip("*!~")) :] for field in fields}
        found[f"{_PREFIXES.get(group, f'io.k8s.api.{group}')}.{kind}"] = marks
    return found


_STRUCTS: dict[str, "_Struct"] = {}


def _walk(node: Node) -> Walk:
    """How a value of a schema is rewritten."""
    if node.name.endswith(".Time"):
        return _time
    if node.name.endswith(".MicroTime"):
        return _micro_time
    if node.is_quantity:
        return canonical_quantity
    if node.name in _facts():
        found = _STRUCTS.get(node.name)
        if found is None:
            found = _STRUCTS[node.name] = _Struct(node)
        return found
    if node.is_int_or_string or node.is_open or node.type in _ZERO:
        return _same
    if node.items is not None:
        return _list_of(_walk(node.items))
    if node.additional is not None:
        return _map_of(canonical_resource if node.additional.is_quantity else _walk(node.additional))
    return _without_nulls


def _same(value: Any) -> Any:
    return value


def _list_of(walk: Walk) -> Walk:
    if walk is _same:
        return list
    return lambda value: [walk(one) for one in value]


def _map_of(walk: Walk) -> Walk:
    if walk is _same:
        return lambda value: {key: "" if value[key] is None else value[key] for key in sorted(value)}
    return lambda value: {key: walk(value[key]) for key in sorted(value)}


def _without_nulls(value: Any) -> Any:
    """Types that no fact is known of: only nulls go."""
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (TypeError, ValueError):
        return None


def _time(value: Any) -> Any:
    """Times are whole seconds of UTC."""
    if value.__class__ is str and _TIME.fullmatch(value):
        return value
    moment = _moment(value)
    return value if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro_time(value: Any) -> Any:
    if value.__class__ is str and _MICRO_TIME.fullmatch(value):
        return value
    moment = _moment(value)
    return value if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class _Struct:
    """One Go struct. Fields are compiled when the first value comes, because a type may contain itself."""

    __slots__ = ("_fields", "_node", "_order", "_present")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._fields: dict[str, tuple[Walk | None, bool, bool]] | None = None
        self._present: list[tuple[str, Callable[[], Any]]] = []
        self._order: dict[str, int] = {}

    def _compile(self) -> dict[str, tuple[Walk | None, bool, bool]]:
        fields: dict[str, tuple[Walk | None, bool, bool]] = {}
        properties = self._node.properties
        for index, (key, marks) in enumerate(_facts()[self._node.name].items()):
            child = properties.get(key)
            if child is None:
                continue
            self._order[key] = index
            walk = _walk(child)
            fields[key] = (None if walk is _same else walk, *_emptiness(child, walk, marks))
            zero = _zero(child, walk, marks)
            if zero is not None:
                self._present.append((key, zero))
        self._fields = fields
        return fields

    def __call__(self, value: Any) -> Any:  # noqa: C901  the innermost loop of every request, written flat
        fields = self._fields
        if fields is None:
            fields = self._compile()
        if value.__class__ is not dict:
            return value  # decoding refuses it
        order = self._order
        last = -1
        is_sorted = True
        found: dict[str, Any] = {}
        for key, given in value.items():
            field = fields.get(key)
            if field is None or given is None:
                continue
            walk, drops_empty, nulls_empty = field
            one = given if walk is None else walk(given)
            if not one and drops_empty:
                continue
            found[key] = None if not one and nulls_empty else one
            index = order[key]
            if index < last:
                is_sorted = False
            last = index
        for key, zero in self._present:
            if key not in found:
                found[key] = zero()
                index = order[key]
                if index < last:
                    is_sorted = False
                last = index
        if is_sorted:
            return found
        return {key: found[key] for key in sorted(found, key=order.__getitem__)}


def _emptiness(node: Node, walk: Walk, marks: str) -> tuple[bool, bool]:
    """Whether an empty value is dropped, and whether it becomes null."""
    if "*" in marks:
        return False, False
    if isinstance(walk, _Struct):
        return "~" in marks, False
    is_collection = node.items is not None or node.additional is not None
    if "!" in marks:
        return False, is_collection
    return is_collection or (node.type in _ZERO and not node.is_int_or_string and not node.is_quantity), False


def _zero(node: Node, walk: Walk, marks: str) -> Callable[[], Any] | None:
    """What a missing field is written as; None where it is not written."""
    if "~" in marks or ("*" in marks and "!" not in marks):
        return None
    if "*" in marks:
        return lambda: None
    if isinstance(walk, _Struct):
        return lambda: walk({})
    if walk is _time or walk is _micro_time:
        return lambda: None
    if node.is_quantity:
        return lambda: "0"
    if node.is_int_or_string:
        return lambda: 0
    if node.items is not None or node.additional is not None or node.is_open:
        is_raw = node.is_open and node.name.endswith("RawExtension")
        return (lambda: None) if "!" in marks or is_raw else None
    if "!" in marks and node.type in _ZERO:
        zero = _ZERO[node.type]
        return lambda: zero
    return None
