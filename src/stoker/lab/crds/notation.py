"""Schemas in short: a line a field, where a CustomResourceDefinition needs eight.

A text is a scalar: ``s`` string, ``i`` integer (``i32``, ``i64``), ``n`` number, ``b`` boolean, ``q`` quantity, ``p`` port
(number or name), ``t`` time, ``any`` an object that nothing is said of, ``json`` any value. Words after it narrow it:
``1..63`` bounds or lengths, ``A|B`` values, ``=x`` a default, ``/…/`` a pattern, ``?`` null. A word with a capital is a named
schema. A list of one is an array, a second element narrows it, a third is its default. A mapping is an object: ``name!`` is required, ``name@set``,
``name@atomic`` and ``name@key,key`` say how ownership divides it, ``*`` is the value of a map; ``$open`` keeps unknown fields, ``$atomic`` is owned as a whole,
``$with`` takes in named schemas, ``$rules`` are CEL rules with their messages, ``$size`` counts fields, ``$default`` is one.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["schema"]

Schema = dict[str, Any]
Named = Mapping[str, Any]

# apimachinery pkg/api/resource: how controller-gen writes a Quantity.
_QUANTITY = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
_INT_OR_STRING: Schema = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
}
_SCALARS: dict[str, Schema] = {
    "s": {"type": "string"},
    "i": {"type": "integer"},
    "i32": {"type": "integer", "format": "int32"},
    "i64": {"type": "integer", "format": "int64"},
    "n": {"type": "number"},
    "b": {"type": "boolean"},
    "t": {"type": "string", "format": "date-time"},
    "q": {**_INT_OR_STRING, "pattern": _QUANTITY},
    "p": _INT_OR_STRING,
    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "json": {"x-kubernetes-preserve-unknown-fields": True},
}
_BOUNDS = {
    "string": ("minLength", "maxLength"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
_RANGE = re.compile(r"(-?\d*)\.\.(-?\d*)")


def schema(short: Any, named: Named) -> Schema:
    """The structural schema that a short one stands for.

    Raises:
        ValueError: a defect of the data: a word or a name that is none.
    """
    if isinstance(short, str):
        return _scalar(short, named)
    if isinstance(short, list):
        found: Schema = {"type": "array", "items": schema(short[0], named)}
        for word in short[1].split() if len(short) > 1 else ():
            _narrow(found, word)
        if len(short) > 2:
            found["default"] = copy.deepcopy(short[2])
        return found
    return _object(short, named)


def _scalar(text: str, named: Named) -> Schema:
    first, *words = text.split()
    if first[0].isupper():
        if first not in named:
            raise ValueError(f"no schema is called {first}")
        found = schema(named[first], named)
    elif first in _SCALARS:
        found = copy.deepcopy(_SCALARS[first])
    else:
        raise ValueError(f"no type is called {first}")
    for word in words:
        _narrow(found, word)
    return found


def _narrow(found: Schema, word: str) -> None:
    kind = found.get("type", "")
    bounds = _RANGE.fullmatch(word)
    if word.startswith("="):
        found["default"] = _value(word[1:], kind)
    elif word.startswith("/"):
        found["pattern"] = word[1:-1]
    elif word == "?":
        found["nullable"] = True
    elif bounds is not None:
        for name, text in zip(_BOUNDS[kind], bounds.groups(), strict=True):
            if text:
                found[name] = int(text)
    else:
        found["enum"] = [_value(one, kind) for one in word.split("|")]


def _value(text: str, kind: str) -> Any:
    if kind in {"integer", ""}:
        return int(text)
    return text == "true" if kind == "boolean" else text


def _object(short: Mapping[str, Any], named: Named) -> Schema:
    found: Schema = {"type": "object"}
    properties: Schema = {}
    required: list[str] = []
    for key, value in _expanded(short, named).items():
        if key == "*":
            found["additionalProperties"] = schema(value, named)
        elif key[0] == "$":
            _mark(found, key, value)
        else:
            name, _, ownership = key.partition("@")
            child = schema(value, named)
            _own(child, ownership)
            if name.endswith("!"):
                name = name[:-1]
                required.append(name)
            properties[name] = child
    if properties:
        found["properties"] = properties
    if required:
        found["required"] = sorted(required)
    return found


def _mark(found: Schema, key: str, value: Any) -> None:
    """What is said of an object as a whole."""
    match key:
        case "$open":
            found["x-kubernetes-preserve-unknown-fields"] = True
        case "$atomic":
            found["x-kubernetes-map-type"] = "atomic"
        case "$default":
            found["default"] = copy.deepcopy(value)
        case "$size":
            _narrow(found, value)
        case "$rules":
            found["x-kubernetes-validations"] = [
                {"rule": rule, "message": message} for rule, message in value
            ]
        case _:
            raise ValueError(f"no mark is called {key}")


def _expanded(short: Mapping[str, Any], named: Named) -> dict[str, Any]:
    """An object's fields with those of the schemas that it takes in; its own count first."""
    found: dict[str, Any] = {}
    for name in short.get("$with", ()):
        found |= _expanded(named[name], named)
    return found | {key: value for key, value in short.items() if key != "$with"}


def _own(child: Schema, ownership: str) -> None:
    if not ownership:
        return
    if child.get("type") == "object":
        child["x-kubernetes-map-type"] = ownership
    elif ownership in {"set", "atomic"}:
        child["x-kubernetes-list-type"] = ownership
    else:
        child["x-kubernetes-list-type"] = "map"
        child["x-kubernetes-list-map-keys"] = ownership.split(",")
