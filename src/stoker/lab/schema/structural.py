"""Custom resources: defaults filled, values validated, in the words of the API server.

Validation follows kube-openapi's schema validator (pkg/validation/validate) and what apiextensions makes of its errors
(pkg/apiserver/validation/validation.go): properties before what is required, list keys after the schema, CEL rules only
when nothing that would mislead them is wrong. Properties are taken in the order of their names; the real server takes
them in any order.
"""

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import re2

from stoker.lab.schema.node import Node
from stoker.lab.schema.rules import broken_rules, has_rules
from stoker.lab.status import Cause, duplicate, invalid_value, printed, required, type_invalid, unsupported

__all__ = ["custom_node", "fill_defaults", "validate_custom"]

_UNCHECKED = Cause(
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing"
    " errors to complete validation",
    "<nil>",
)
_BLOCKING = frozenset(
    ("FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid")
)


def custom_node(schema: dict[str, Any]) -> Node:
    """The node of a CRD version's ``openAPIV3Schema``, with the fields that every object has."""
    from stoker.lab.schema.builtin import object_meta

    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        **schema.get("properties", {}),
    }
    node = Node({**schema, "type": "object", "properties": properties}, _no_references)
    # The schema of metadata is Kubernetes' own, whatever the CRD says of it.
    node.__dict__["properties"] = {**node.properties, "metadata": object_meta()}
    return node


def _no_references(reference: str) -> dict[str, Any]:
    raise KeyError(reference)


def fill_defaults(value: Any, node: Node) -> None:
    """Set absent fields to their defaults, in place; null becomes the default where the field may not be null."""
    if isinstance(value, dict):
        for key, child in _defaulting(node):
            if "default" in child.raw and (
                key not in value or (value[key] is None and not child.is_nullable)
            ):
                value[key] = copy.deepcopy(child.raw["default"])
            if key in value:
                fill_defaults(value[key], child)
        if node.additional is not None and _has_defaults(node.additional):
            for item in value.values():
                fill_defaults(item, node.additional)
    elif isinstance(value, list) and node.items is not None and _has_defaults(node.items):
        for item in value:
            fill_defaults(item, node.items)


def _defaulting(node: Node) -> list[tuple[str, Node]]:
    found = node.__dict__.get("defaulting")
    if found is None:
        found = node.__dict__["defaulting"] = [
            (key, child) for key, child in node.properties.items() if _has_defaults(child)
        ]
    return list(found)


def _has_defaults(node: Node) -> bool:
    found = node.__dict__.get("has_defaults")
    if found is None:
        node.__dict__["has_defaults"] = False  # ends the recursion of a schema that contains itself
        children: Iterable[Node] = (*node.properties.values(), *filter(None, (node.additional, node.items)))
        found = node.__dict__["has_defaults"] = "default" in node.raw or any(
            _has_defaults(child) for child in children
        )
    return bool(found)


def validate_custom(obj: dict[str, Any], node: Node, old: dict[str, Any] | None = None) -> list[Cause]:
    """Causes for which an object is refused; ``old`` is the stored object of an update, for transition rules."""
    causes = list(_schema_causes(obj, node, ""))
    causes += _list_causes(obj, node, "")
    if has_rules(node):
        if any(cause.reason in _BLOCKING for cause in causes):
            causes.append(_UNCHECKED)
        else:
            causes += broken_rules(obj, node, old)
    return causes


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _schema_causes(value: Any, node: Node, path: str) -> Iterator[Cause]:
    raw = node.raw
    if value is None and node.is_nullable:
        return
    wrong = _type_cause(value, node, path)
    if wrong is not None:
        yield wrong
        return
    yield from _combination_causes(value, raw, path)
    if isinstance(value, str):
        yield from _string_causes(value, raw, path)
    elif isinstance(value, bool):
        pass
    elif isinstance(value, int | float):
        yield from _number_causes(value, raw, path)
    elif isinstance(value, list):
        yield from _array_causes(value, node, path)
    if "enum" in raw and value not in raw["enum"]:
        yield unsupported(path, value, [str(one) for one in raw["enum"]])
    if isinstance(value, dict):
        yield from _object_causes(value, node, path)


def _type_cause(value: Any, node: Node, path: str) -> Cause | None:
    found = _type_name(value)
    wanted = node.type
    if node.is_int_or_string:
        wanted_types: tuple[str, ...] = ("integer", "string")
    elif wanted:
        wanted_types = (wanted,)
    else:
        return None
    if found in wanted_types or (found == "integer" and "number" in wanted_types):
        return None
    if found == "number" and "integer" in wanted_types and float(value).is_integer():
        return None
    text = ",".join(wanted_types)
    return type_invalid(path, found, f'{path} in body must be of type {text}: "{found}"')


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    return {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}[
        type(value)
    ]


def _string_causes(value: str, raw: dict[str, Any], path: str) -> Iterator[Cause]:
    if "maxLength" in raw and len(value) > raw["maxLength"]:
        yield Cause("FieldValueTooLong", f"Too long: may not be more than {raw['maxLength']} bytes", path)
    if "minLength" in raw and len(value) < raw["minLength"]:
        yield invalid_value(path, value, f"{path} in body should be at least {raw['minLength']} chars long")
    pattern = raw.get("pattern")
    if pattern is not None and _compiled(pattern).search(value) is None:
        yield invalid_value(path, value, f"{path} in body should match '{pattern}'")
    check = _FORMATS.get(raw.get("format", ""))
    if check is not None and not check(value):
        yield invalid_value(path, value, f"{path} in body must be of type {raw['format']}: {printed(value)}")


@cache
def _compiled(pattern: str) -> Any:
    # The definition was checked when it was stored; one that came past the check matches anything rather than failing writes.
    try:
        return re2.compile(pattern)
    except re2.error:
        return re2.compile("")


def _is_date_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return "T" in text.upper()


_FORMATS: dict[str, Callable[[str], object]] = {
    "date-time": _is_date_time,
    "duration": re.compile(r"^-?(0|(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+)$").search,
}


def _number_causes(value: float, raw: dict[str, Any], path: str) -> Iterator[Cause]:
    if "maximum" in raw:
        limit, exclusive = raw["maximum"], raw.get("exclusiveMaximum")
        if value > limit or (exclusive and value == limit):
            text = "less than" if exclusive else "less than or equal to"
            yield invalid_value(path, value, f"{path} in body should be {text} {limit}")
    if "minimum" in raw:
        limit, exclusive = raw["minimum"], raw.get("exclusiveMinimum")
        if value < limit or (exclusive and value == limit):
            text = "greater than" if exclusive else "greater than or equal to"
            yield invalid_value(path, value, f"{path} in body should be {text} {limit}")
    if "multipleOf" in raw and value % raw["multipleOf"]:
        yield invalid_value(path, value, f"{path} in body should be a multiple of {raw['multipleOf']}")


def _array_causes(value: list[Any], node: Node, path: str) -> Iterator[Cause]:
    if node.items is not None:
        for index, item in enumerate(value):
            yield from _schema_causes(item, node.items, f"{path}[{index}]")
    raw, count = node.raw, len(value)
    if "minItems" in raw and count < raw["minItems"]:
        yield invalid_value(path, count, f"{path} in body should have at least {raw['minItems']} items")
    if "maxItems" in raw and count > raw["maxItems"]:
        yield Cause(
            "FieldValueTooMany", f"Too many: {count}: must have at most {raw['maxItems']} items", path
        )


def _object_causes(value: dict[str, Any], node: Node, path: str) -> Iterator[Cause]:
    raw, count = node.raw, len(value)
    if "minProperties" in raw and count < raw["minProperties"]:
        yield invalid_value(
            path, count, f"{path} in body should have at least {raw['minProperties']} properties"
        )
    if "maxProperties" in raw and count > raw["maxProperties"]:
        limit = raw["maxProperties"]
        yield Cause("FieldValueTooMany", f"Too many: {count}: must have at most {limit} items", path)
    properties = node.properties
    if node.additional is not None:
        for key in sorted(value.keys() - properties.keys()):
            yield from _schema_causes(value[key], node.additional, _at(path, key))
    for key in sorted(value.keys() & properties.keys()):
        if path or key != "metadata":
            yield from _schema_causes(value[key], properties[key], _at(path, key))
    for key in raw.get("required", ()):
        if key not in value:
            yield required(_at(path, key))


def _combination_causes(value: Any, raw: dict[str, Any], path: str) -> Iterator[Cause]:
    for kind in ("anyOf", "oneOf", "allOf"):
        branches: Sequence[dict[str, Any]] = raw.get(kind, ())
        if not branches:
            continue
        fitting = sum(
            not any(_schema_causes(value, Node(branch, _no_references), path)) for branch in branches
        )
        where = f'"{path}" ' if path else '"" '
        if kind == "anyOf" and not fitting:
            yield invalid_value(path, value, f"{where}must validate at least one schema (anyOf)")
        elif kind == "oneOf" and fitting != 1:
            detail = f"{where}must validate one and only one schema (oneOf)."
            detail += " Found none valid" if not fitting else f" Found {fitting} valid alternatives"
            yield invalid_value(path, value, detail)
        elif kind == "allOf" and fitting != len(branches):
            yield invalid_value(path, value, f"{where}must validate all the schemas (allOf)")
    if "not" in raw and not any(_schema_causes(value, Node(raw["not"], _no_references), path)):
        yield invalid_value(path, value, f'"{path}" must not validate the schema (not)')


def _list_causes(value: Any, node: Node, path: str) -> Iterator[Cause]:
    """Elements of sets and keys of associative lists that stand there twice."""
    if isinstance(value, dict):
        for key, item in value.items():
            child = node.child(key)
            if child is not None and isinstance(item, dict | list) and (path or key != "metadata"):
                yield from _list_causes(item, child, _at(path, key))
    elif isinstance(value, list) and node.items is not None:
        if node.list_type in {"set", "map"}:
            yield from _duplicates(value, node, path)
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from _list_causes(item, node.items, f"{path}[{index}]")


def _duplicates(value: list[Any], node: Node, path: str) -> Iterator[Cause]:
    seen: list[Any] = []
    for index, item in enumerate(value):
        mark = item
        if node.list_type == "map" and isinstance(item, dict):
            mark = {key: item[key] for key in node.list_keys if key in item}
        if mark in seen:
            yield duplicate(f"{path}[{index}]", mark)
        seen.append(mark)
