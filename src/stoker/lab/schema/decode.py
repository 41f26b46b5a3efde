"""From the bytes of a body to an object of its kind: duplicates and unknown fields told, wrong types refused.

Built-in kinds are decoded as Go's typed decoders do it: the first wrong type is an error of the whole body, unknown fields
are dropped. Custom resources keep any type for validation to judge; their unknown fields are pruned. Which fields are
dropped is told to the client as warnings or, under ``fieldValidation=Strict``, as an error.

Sources: sigs.k8s.io/json (texts of type errors), apimachinery pkg/runtime/serializer/json, apiextensions pruning.
"""

import json
from typing import Any

import yaml

from stoker.kube.yaml_text import Loader
from stoker.lab.schema.node import Node

__all__ = ["WrongTypeError", "drop_unknown", "parse"]

_META_FIELDS = frozenset(("apiVersion", "kind", "metadata"))
# The real server's decoder goes down 10,000 levels; what else works on objects here goes down by calls, and has fewer.
_MOST_LEVELS = 128
_TOO_DEEP = "exceeded max depth"
# Values in a YAML body with its aliases written out; a body of 3 MiB, the most that is taken, has fewer without.
_MOST_VALUES = 2_000_000


class WrongTypeError(Exception):
    """A value that its Go type cannot hold; the text is the decoder's."""


def parse(text: bytes, *, is_yaml: bool) -> tuple[Any, list[str]]:
    """The value in a body, and paths of fields that stand there twice (the last one counts).

    Raises:
        ValueError: neither JSON nor, where ``is_yaml``, YAML.
    """
    twice: list[dict[str, Any]] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            seen: set[str] = set()
            twice.append({"in": found, "keys": [key for key, _ in items if key in seen or seen.add(key)]})  # type: ignore[func-returns-value]
        return found

    try:
        value = json.loads(text, object_pairs_hook=pairs)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except ValueError as error:
        if not is_yaml:
            raise
        try:
            _measure(text)
            return yaml.load(text, Loader), []  # noqa: S506  # a safe loader of our own
        except (yaml.YAMLError, UnicodeDecodeError) as bad:
            raise ValueError(str(bad)) from error
    # As many levels need as many brackets.
    if text.count(b"{") + text.count(b"[") > _MOST_LEVELS and _is_too_deep(value):
        raise ValueError(_TOO_DEEP)
    return value, [path for one in twice for path in _paths_to(value, one["in"], one["keys"])]


def _is_too_deep(value: Any) -> bool:
    """Whether a value has more levels than may be; found without going down into them."""
    level = [value]
    for _ in range(_MOST_LEVELS + 1):
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return False
    return True


def _measure(text: bytes) -> None:
    """Refuse YAML whose levels or aliases would take the stack or the memory when it is loaded.

    Raises:
        ValueError: it has too many levels, or grows out of all proportion once its aliases are written out.
    """
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    size = 0
    for event in yaml.parse(text, Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, size))
            if len(opened) > _MOST_LEVELS:
                raise ValueError(_TOO_DEEP)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor:
                sizes[anchor] = size - before
        else:
            size += _size(event, sizes)
        if size > _MOST_VALUES:
            raise ValueError("yaml: document contains excessive aliasing")


def _size(event: yaml.Event, sizes: dict[str, int]) -> int:
    """Values that a scalar or an alias stands for; a scalar's anchor is remembered."""
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in sizes:
            raise ValueError(f"yaml: anchor {event.anchor!r} value contains itself")
        return sizes[event.anchor] + 1
    if not isinstance(event, yaml.ScalarEvent):
        return 0
    if event.anchor:
        sizes[event.anchor] = 1
    return 1


def _paths_to(root: Any, wanted: dict[str, Any], keys: list[str]) -> list[str]:
    def find(value: Any, path: str) -> str | None:
        if value is wanted:
            return path
        children: Any = ()
        if isinstance(value, dict):
            children = ((f"{path}.{key}" if path else key, item) for key, item in value.items())
        elif isinstance(value, list):
            children = ((f"{path}[{index}]", item) for index, item in enumerate(value))
        for place, item in children:
            found = find(item, place)
            if found is not None:
                return found
        return None

    where = find(root, "")
    return [f"{where}.{key}" if where else key for key in keys] if where is not None else []


def drop_unknown(value: dict[str, Any], node: Node, *, is_typed: bool) -> list[str]:
    """Remove fields that the schema does not know, in place, and name them.

    Args:
        value: a decoded object.
        node: its schema.
        is_typed: a built-in kind, whose types are checked on the way.

    Raises:
        WrongTypeError: where ``is_typed``, a value of another type than the schema says.
    """
    unknown: list[str] = []
    _walk(value, node, "", "", is_typed, unknown)
    return unknown


def _walk(  # noqa: PLR0917, PLR0912, C901  # one step of a hot recursion
    value: Any,
    node: Node,
    path: str,
    struct: str,
    is_typed: bool,  # noqa: FBT001
    unknown: list[str],
) -> None:
    if value is None:
        return
    kind = node.type
    if kind == "object" and not node.is_open:
        if not isinstance(value, dict):
            if is_typed:
                raise _wrong(value, node, path, struct)
            return
        properties, additional = node.properties, node.additional
        keeps = node.preserves_unknown
        name = node.name.rpartition(".")[2] if node.name else struct
        strangers: list[str] | None = None
        for key, item in value.items():
            child = properties.get(key)
            if child is None:
                child = additional
            place = f"{path}.{key}" if path else key
            if child is None:
                if not keeps and not (node.is_embedded and key in _META_FIELDS):
                    strangers = [*(strangers or ()), key]
                    unknown.append(place)
                continue
            if item.__class__ is not str or child.type != "string":
                _walk(item, child, place, name, is_typed, unknown)
        for key in strangers or ():
            del value[key]
    elif kind == "array":
        items = node.items
        if not isinstance(value, list):
            if is_typed:
                raise _wrong(value, node, path, struct)
            return
        if items is not None:
            for index, item in enumerate(value):
                if item is None and is_typed:
                    # Go decodes null into the zero value of an element.
                    value[index] = {} if items.type == "object" else _ZERO.get(items.type)
                    continue
                _walk(item, items, f"{path}[{index}]", struct, is_typed, unknown)
    elif is_typed and kind in _SCALARS and not _fits(value, node):
        raise _wrong(value, node, path, struct)


_ZERO: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False}
_SCALARS = frozenset(("string", "integer", "number", "boolean"))


def _fits(value: Any, node: Node) -> bool:
    if node.is_int_or_string or node.is_quantity:
        fits = str | int | float if node.is_quantity else str | int
        return isinstance(value, fits) and not isinstance(value, bool)
    match node.type:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case _:
            return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(value: Any, node: Node, path: str, struct: str) -> WrongTypeError:
    found = {str: "string", bool: "bool", dict: "object", list: "array"}.get(type(value), "number")
    if found == "number" and node.type == "integer":
        found = f"number {value}"
    place = "".join(part for part in path.replace("]", "[").split("[") if not part.isdigit())
    wanted = _go_type(node)
    if struct:
        return WrongTypeError(
            f"json: cannot unmarshal {found} into Go struct field {struct}.{place} of type {wanted}"
        )
    return WrongTypeError(f"json: cannot unmarshal {found} into Go value of type {wanted}")


def _go_type(node: Node) -> str:
    if node.name:
        parts = node.name.split(".")
        return f"{parts[-2]}.{parts[-1]}" if len(parts) > 1 else parts[-1]
    match node.type:
        case "array":
            return f"[]{_go_type(node.items)}" if node.items is not None else "[]interface {}"
        case "object":
            return (
                f"map[string]{_go_type(node.additional)}"
                if node.additional is not None
                else "map[string]interface {}"
            )
        case "integer":
            return str(node.raw.get("format", "int64"))
        case "number":
            return "float64"
        case "boolean":
            return "bool"
        case "string" if node.raw.get("format") == "byte":
            return "[]uint8"
        case _:
            return node.type or "interface {}"
