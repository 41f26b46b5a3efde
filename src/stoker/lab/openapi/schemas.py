"""Schemas of built-in kinds as a served document has them.

Undone here are the packaged definitions' own habits: null beside every type, enumerations of kind and apiVersion, references
into ``$defs``. Added are the defaults and enumerations of `data`. Two documents differ in form: v3 refers to
``#/components/schemas/`` and wraps a reference that has siblings, v2 refers to ``#/definitions/`` and knows no defaults.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from stoker.lab.openapi.data import ENUM_TEXTS, FIELD_DEFAULTS, POINTERS, VALUE_FIELDS, VALUES, enumerations
from stoker.lab.schema.builtin import definitions

__all__ = ["V2", "V3", "closure", "references", "schema"]

Schema = dict[str, Any]
V2, V3 = "#/definitions/", "#/components/schemas/"
_ZERO: dict[str, Any] = {"string": "", "integer": 0, "boolean": False}
_API = "io.k8s.api."
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_REFERENCE = re.compile(rb'"\$ref":"[^"]*/([^"/]+)"')
_CHILDREN = ("items", "additionalProperties")


@cache
def schema(name: str, prefix: str = V3) -> Schema:
    """One definition in the form of a document. Shared between documents: not to be changed by the caller.

    Raises:
        KeyError: Kubernetes has no such definition.
    """
    raw = definitions()[name]
    if name == _INT_OR_STRING:
        kinds: Schema = {"oneOf": [{"type": "integer"}, {"type": "string"}]}
        return {"format": "int-or-string"} | (kinds if prefix == V3 else {"type": "string"})
    if name == _QUANTITY:
        return {"oneOf": [{"type": "string"}, {"type": "number"}]} if prefix == V3 else {"type": "string"}
    found = _converted(raw, prefix)
    if "x-kubernetes-group-version-kind" in raw:
        _drop_kind_values(found)
    short = name.removeprefix(_API)
    required = frozenset(found.get("required", ()))
    for field, node in found.get("properties", {}).items():
        path = f"{short}.{field}"
        if values := enumerations().get(path):
            _enumerate(node, path, values)
        if prefix == V3:
            _set_default(node, path, is_required=field in required)
    return found


def _converted(raw: Schema, prefix: str) -> Schema:
    found: Schema = {}
    for key, value in raw.items():
        if key == "properties":
            found[key] = {field: _converted(one, prefix) for field, one in value.items()}
        elif key in _CHILDREN and isinstance(value, dict):
            found[key] = _converted(value, prefix)
        elif key == "type" and isinstance(value, list):
            found[key] = next(one for one in value if one != "null")
        elif key == "$ref":
            found[key] = prefix + value.rpartition("/")[2]
        else:
            found[key] = value
    if prefix == V3 and "$ref" in found and len(found) > 1:
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    return found


def _drop_kind_values(found: Schema) -> None:
    for field in ("kind", "apiVersion"):
        found.get("properties", {}).get(field, {}).pop("enum", None)


def _enumerate(node: Schema, path: str, values: list[str]) -> None:
    for child in _CHILDREN:
        if isinstance(node.get(child), dict):
            node[child]["enum"] = values  # a list's elements have values but no text of their own
            return
    texts = ENUM_TEXTS.get(path, {})
    lines = "\n".join(f' - `"{value}"` {texts.get(value, "")}'.rstrip() for value in values)
    node["description"] = f"{node.get('description', '')}\n\nPossible enum values:\n{lines}".lstrip()
    node["enum"] = values


def _set_default(node: Schema, path: str, *, is_required: bool) -> None:
    reference = node["allOf"][0]["$ref"] if "allOf" in node else node.get("$ref")
    if reference is not None:
        if _is_value(reference.removeprefix(V3).removeprefix(_API), path):
            node["default"] = {}
            if "$ref" in node:
                node["allOf"] = [{"$ref": node.pop("$ref")}]
        return
    default = FIELD_DEFAULTS.get(path, _ZERO.get(node.get("type", "")) if is_required else None)
    if default is not None:
        node["default"] = default


def _is_value(target: str, path: str) -> bool:
    if path in VALUE_FIELDS:
        return VALUE_FIELDS[path]
    return target in VALUES or (target.endswith(("Spec", "Status")) and target not in POINTERS)


def references(node: Any) -> set[str]:
    """Names of the definitions that a part of a document refers to; read from its JSON, which is quicker than a walk."""
    return {name.decode() for name in _REFERENCE.findall(msgspec.json.encode(node))}


@cache
def _references_of(name: str) -> frozenset[str]:
    return frozenset(references(definitions()[name]))


def closure(names: Iterable[str]) -> set[str]:
    """Definitions and all that they refer to."""
    found: set[str] = set()
    waiting = [name for name in names if name in definitions()]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_references_of(name) - found)
    return found
