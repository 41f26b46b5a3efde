"""Uniqueness in lists that are maps or sets: server-side apply refuses duplicates of their keys.

Source: kubernetes.io/docs/reference/using-api/server-side-apply, "Merge strategy" (x-kubernetes-list-type).
"""

from collections.abc import Callable, Iterator
from typing import Any

Resolve = Callable[[str], dict[str, Any]]


def duplicate_entries(
    schema: dict[str, Any], value: Any, path: str, resolve: Resolve | None = None
) -> Iterator[str]:
    """Entries with equal keys, anywhere below ``value``."""
    if "$ref" in schema and resolve is not None:
        schema = resolve(schema["$ref"])
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        extra = schema.get("additionalProperties")
        for name, item in value.items():
            below = properties.get(name, extra if isinstance(extra, dict) else None)
            if below:
                yield from duplicate_entries(below, item, f"{path}.{name}", resolve)
    elif isinstance(value, list):
        yield from _list(schema, value, path)
        for index, item in enumerate(value):
            yield from duplicate_entries(schema.get("items", {}), item, f"{path}[{index}]", resolve)


def _list(schema: dict[str, Any], value: list[Any], path: str) -> Iterator[str]:
    kind = schema.get("x-kubernetes-list-type")
    keys: list[Any] = []
    if kind == "map":
        names = schema.get("x-kubernetes-list-map-keys", [])
        items = schema.get("items", {}).get("properties", {})
        keys = [
            tuple(str(item.get(name, _default(items.get(name, {}), name))) for name in names)
            for item in value
            if isinstance(item, dict)
        ]
    elif kind == "set":
        keys = [str(item) for item in value]
    for key in {key for key in keys if keys.count(key) > 1}:
        yield f"{path}: duplicate entry {key}"


def _default(schema: dict[str, Any], name: str) -> Any:
    # The only core key with a default is a port's protocol; CRDs state theirs.
    return schema.get("default", "TCP" if name == "protocol" else None)
