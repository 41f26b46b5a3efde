"""One node of an OpenAPI schema, as every part of the API server walks it.

Built-in kinds and custom resources come as the same nodes: decoding, pruning, defaulting, strategic merge, field
ownership and `kubectl explain` ask the same questions of both. Nodes are made when they are first reached, because the
schema of a custom resource may contain itself.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

__all__ = ["Node"]

Resolve = Callable[[str], dict[str, Any]]


class Node:
    """A schema with its references resolved.

    Attributes:
        raw: the schema as it was written, `$ref` followed, with the siblings of the reference (description, default and the
            `x-kubernetes-` extensions) laid over what it refers to.
        name: OpenAPI name where a reference was followed, such as ``io.k8s.api.core.v1.PodSpec``; else empty.
    """

    __slots__ = ("__dict__", "_resolve", "name", "raw")

    def __init__(self, raw: dict[str, Any], resolve: Resolve, name: str = "") -> None:
        reference = raw.get("$ref")
        if reference is None and len(raw.get("allOf", ())) == 1 and "$ref" in raw["allOf"][0]:
            reference = raw["allOf"][0]["$ref"]  # OpenAPI v3 writes a reference with siblings so
        if reference is not None:
            name = reference.rpartition("/")[2]
            raw = {
                **resolve(reference),
                **{key: value for key, value in raw.items() if key not in {"$ref", "allOf"}},
            }
        self.raw = raw
        self.name = name
        self._resolve = resolve

    @cached_property
    def type(self) -> str:
        """``object``, ``array``, ``string``, ``integer``, ``number``, ``boolean``, or empty where anything goes."""
        found = self.raw.get("type", "")
        if isinstance(found, list):
            return next((one for one in found if one != "null"), "")
        if not found and "oneOf" in self.raw:
            return ""
        return str(found)

    @cached_property
    def properties(self) -> Mapping[str, "Node"]:
        return {key: Node(value, self._resolve) for key, value in self.raw.get("properties", {}).items()}

    @cached_property
    def additional(self) -> "Node | None":
        """Schema of a map's values; None where the object is no map."""
        found = self.raw.get("additionalProperties")
        return Node(found, self._resolve) if isinstance(found, dict) else None

    @cached_property
    def items(self) -> "Node | None":
        found = self.raw.get("items")
        return Node(found, self._resolve) if isinstance(found, dict) else None

    @cached_property
    def list_type(self) -> str:
        """``atomic`` (the default), ``set`` or ``map``: how field ownership divides the list."""
        return str(self.raw.get("x-kubernetes-list-type", "atomic"))

    @cached_property
    def list_keys(self) -> tuple[str, ...]:
        """Fields that name an element of a list of type ``map``."""
        return tuple(self.raw.get("x-kubernetes-list-map-keys", ()))

    @cached_property
    def is_atomic_map(self) -> bool:
        """Whether an object is owned as a whole."""
        return self.raw.get("x-kubernetes-map-type") == "atomic"

    @cached_property
    def merge_key(self) -> str:
        """Field by which a strategic merge patch finds an element; empty where lists are replaced or are of scalars."""
        return str(self.raw.get("x-kubernetes-patch-merge-key", ""))

    @cached_property
    def patch_strategies(self) -> frozenset[str]:
        """``merge``, ``replace``, ``retainKeys``, or several of them."""
        return frozenset(filter(None, str(self.raw.get("x-kubernetes-patch-strategy", "")).split(",")))

    @cached_property
    def preserves_unknown(self) -> bool:
        return bool(self.raw.get("x-kubernetes-preserve-unknown-fields"))

    @cached_property
    def is_embedded(self) -> bool:
        """Whether the object is a whole Kubernetes object with metadata of its own."""
        return bool(self.raw.get("x-kubernetes-embedded-resource"))

    @cached_property
    def is_int_or_string(self) -> bool:
        return bool(self.raw.get("x-kubernetes-int-or-string")) or self.name.endswith(".IntOrString")

    @cached_property
    def is_quantity(self) -> bool:
        return self.name.endswith(".Quantity")

    @cached_property
    def is_nullable(self) -> bool:
        return bool(self.raw.get("nullable"))

    @cached_property
    def is_open(self) -> bool:
        """Whether nothing is said of what is inside: raw extensions, JSON values, managed fields."""
        return (
            not self.raw.get("properties")
            and self.additional is None
            and self.items is None
            and self.type in {"object", ""}
            and not self.is_int_or_string
            and not self.is_quantity
        )

    def child(self, key: str) -> "Node | None":
        """Schema of a field: a property, or the value of a map; None where the schema knows no such field."""
        found = self.properties.get(key)
        return found if found is not None else self.additional

    def __repr__(self) -> str:
        return f"<Node {self.name or self.type or 'any'}>"
