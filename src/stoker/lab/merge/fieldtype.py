"""How a schema divides an object for field ownership.

A type says which shapes a value may have (scalar, list, map) and whether lists and maps are owned as a whole or by their
elements. It is made of a `Node` once and kept on it.

Upstream: k8s.io/kube-openapi pkg/schemaconv/openapi.go and smd.go; structured-merge-diff typed/helpers.go, typed/parser.go.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from stoker.lab.merge.elements import PLAIN, key_element, value_element
from stoker.lab.merge.facts import KEY_DEFAULTS
from stoker.lab.schema.builtin import object_meta
from stoker.lab.schema.node import Node

__all__ = ["DEDUCED", "UNTYPED", "FieldType", "SchemaError", "root_type", "type_of"]

_RAW_EXTENSION = "io.k8s.apimachinery.pkg.runtime.RawExtension"


class SchemaError(ValueError):
    """An element of a list that ownership cannot name."""


class FieldType:
    """Which shapes a value may have, and how each is owned.

    Attributes:
        scalar: ``string``, ``numeric``, ``boolean``, ``untyped``, or empty where the value is no scalar.
        is_map, is_list: whether it may be a map or a list.
        atomic_map, atomic_list: whether it is owned as a whole.
        keys: fields that name an element of the list, sorted, each with its default (None for none).
        has_keys: whether the list's elements are maps named by keys; a list that is not atomic and has none is a set.
    """

    def __init__(self, node: Node | None = None, *, preserves: bool = False, is_root: bool = False) -> None:
        self._node = node
        self._preserves = preserves or (node is not None and node.preserves_unknown)
        self._is_root = is_root
        self.scalar = ""
        self.is_map = self.is_list = False
        self.atomic_map = self.atomic_list = True
        self.keys: tuple[tuple[str, Any], ...] = ()
        self.has_keys = False
        if node is not None:
            self._read(node)

    def _read(self, node: Node) -> None:
        kind = "untyped" if node.is_quantity or node.name == _RAW_EXTENSION else node.type
        self.scalar = _scalar(node, kind)
        if node.is_quantity:
            return
        self.is_map = kind in {"object", "", "untyped"}
        self.is_list = kind in {"array", "", "untyped"}
        if kind == "untyped":
            return
        self.atomic_map = node.is_atomic_map
        strategies = node.patch_strategies
        if "x-kubernetes-list-type" in node.raw:
            self.atomic_list = node.list_type not in {"set", "map"}
            names = node.list_keys if node.list_type == "map" else ()
        else:
            self.atomic_list = "merge" not in strategies
            names = (node.merge_key,) if node.merge_key and not self.atomic_list else ()
        if self.is_list and names:
            self.has_keys = True
            self.keys = tuple((name, _key_default(node.items, name)) for name in sorted(names))

    @cached_property
    def fields(self) -> Mapping[str, "FieldType"]:
        """Declared fields."""
        node = self._node
        if node is None or node.name == _RAW_EXTENSION:
            return {}
        found = {name: type_of(child, preserves=self._preserves) for name, child in node.properties.items()}
        if self._is_root or node.is_embedded:
            found |= {"apiVersion": _STRING, "kind": _STRING, "metadata": type_of(object_meta())}
        return found

    @cached_property
    def element(self) -> "FieldType | None":
        """Of the fields that are not declared; None where there may be none."""
        node = self._node
        if node is None or node.name == _RAW_EXTENSION:
            return UNTYPED
        if node.additional is not None:
            return type_of(node.additional, preserves=self._preserves)
        additional = node.raw.get("additionalProperties")
        if additional is True:
            return DEDUCED
        if additional is None and (self._preserves or not self.fields):
            return DEDUCED
        return None

    @cached_property
    def item(self) -> "FieldType":
        """Of the elements of the list."""
        node = self._node
        if node is None or node.items is None or node.name == _RAW_EXTENSION:
            return UNTYPED
        return type_of(node.items, preserves=self._preserves)

    def shape(self, value: Any) -> str:
        """``map``, ``list`` or ``scalar``: as what a value is treated; null, and what does not fit, as the first there is."""
        kind = value.__class__
        if kind is dict:
            if self.is_map:
                return "map"
        elif kind is list:
            if self.is_list:
                return "list"
        elif value is not None and self.scalar:
            return "scalar"
        return "map" if self.is_map else "scalar" if self.scalar else "list"

    def step(self, item: Any) -> str:
        """The step to an element of the list.

        Raises:
            SchemaError: the element has no name.
        """
        if not self.has_keys:
            return _set_step(item)
        if item.__class__ is not dict:
            kind = "a null element" if item is None else "non-map elements"
            raise SchemaError(f"associative list with keys may not have {kind}")
        if len(self.keys) == 1:  # nearly every list: one key, a plain text
            name, default = self.keys[0]
            value = item.get(name, default)
            if value.__class__ is str and PLAIN(value):
                return f'k:{{"{name}":"{value}"}}'
        named = [
            (name, item.get(name, default))
            for name, default in self.keys
            if name in item or default is not None
        ]
        if not named:
            names = " ".join(f'"{name}"' for name, _ in self.keys)
            raise SchemaError(
                f"associative list with keys has an element that omits all key fields [{names}]"
                " (and doesn't have default values for any key fields)"
            )
        return key_element(named)


def _set_step(item: Any) -> str:
    kind = item.__class__
    if kind is dict:
        raise SchemaError("associative list without keys has an element that's a map type")
    if kind is list:
        raise SchemaError("not supported: associative list with lists as elements")
    if item is None:
        raise SchemaError("associative list without keys has an element that's an explicit null")
    return value_element(item)


def _scalar(node: Node, kind: str) -> str:
    if kind in {"integer", "number"}:
        return "numeric"
    if kind == "boolean":
        return "boolean"
    if kind == "string":
        return "string" if node.raw.get("format", "") in {"", "byte"} else "untyped"
    return "untyped" if kind in {"", "untyped"} else ""


def _key_default(items: Node | None, name: str) -> Any:
    """The default of a key, by which an element that leaves the key out is still named."""
    if items is None:
        return None
    child = items.properties.get(name)
    if child is None:
        return None
    if "default" in child.raw:
        return child.raw["default"]
    if (items.name, name) in KEY_DEFAULTS:
        return KEY_DEFAULTS[items.name, name]
    if items.name.startswith("io.k8s.") and name in items.raw.get("required", ()):
        return (
            0 if child.type in {"integer", "number"} else ""
        )  # Go's zero value of a field that is not optional
    return None


def type_of(node: Node, *, preserves: bool = False) -> FieldType:
    """The type of a node. Unknown fields kept by a node are kept by all that is below it, references excepted."""
    found: FieldType | None = node.__dict__.get("field_type")
    if found is None:
        found = node.__dict__["field_type"] = FieldType(node, preserves=preserves and not node.name)
    return found


def root_type(node: Node) -> FieldType:
    """The type of a whole object. A custom resource's has the metadata that its schema does not tell."""
    if node.name.startswith("io.k8s."):
        return type_of(node)
    found: FieldType | None = node.__dict__.get("root_field_type")
    if found is None:
        found = node.__dict__["root_field_type"] = FieldType(node, is_root=True)
    return found


def _untyped() -> FieldType:
    found = FieldType()
    found.scalar = "untyped"
    found.is_map = found.is_list = True
    return found


UNTYPED = _untyped()
"""Anything, owned as a whole."""

DEDUCED = _untyped()
"""Anything; maps are divided, lists are not."""
DEDUCED.atomic_map = False
DEDUCED.element = DEDUCED

_STRING = FieldType()
_STRING.scalar = "string"
