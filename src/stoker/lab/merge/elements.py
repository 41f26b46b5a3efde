"""One step of a field's path, written as managed fields write it.

``f:name`` is a field, ``k:{"name":"c"}`` an element of a list of type map, ``v:"x"`` an element of a set and ``i:0`` a
place in a list. Two steps are the same step exactly where their texts are the same.

Upstream: sigs.k8s.io/structured-merge-diff/v6 fieldpath/element.go, serialize-pe.go, value/value.go.
"""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from stoker.lab.merge.gotext import go_value, quoted

__all__ = [
    "PLAIN",
    "MalformedElement",
    "canonical_element",
    "element_order",
    "key_element",
    "path_text",
    "value_element",
]

PLAIN = re.compile(r"[ !#-%'-;=?-\[\]-~]*").fullmatch  # needs no escape in JSON nor in HTML
_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class MalformedElement(ValueError):  # noqa: N818  # named for what it is, as ApiError is
    """A text that is no step of a path."""


def value_element(value: Any) -> str:
    """Step to an element of a set."""
    if value.__class__ is str and PLAIN(value):
        return f'v:"{value}"'
    return f"v:{_json(value)}"


def key_element(keys: Iterable[tuple[str, Any]]) -> str:
    """Step to an element of a list of type map; the keys in the order of their names."""
    return "k:{" + ",".join(f'"{name}":{_json(value)}' for name, value in keys) + "}"


def _json(value: Any) -> str:
    """JSON without spaces and safe in HTML, as jsoniter's standard configuration writes it."""
    if value.__class__ is str and PLAIN(value):
        return f'"{value}"'
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        value = int(value)  # Go writes whole floats without a point
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return "".join(_HTML.get(one, one) for one in text)


def canonical_element(text: str) -> str | None:
    """The step as we would write it; None for kinds of steps that a later release may know.

    Raises:
        MalformedElement: it is no step at all.
    """
    if len(text.encode()) < 2:
        raise MalformedElement("key must be 2 characters long:")
    kind, rest = text[:2], text[2:]
    if kind[1] != ":":
        raise MalformedElement(f"missing colon: {text}")
    if kind == "f:":
        return text
    try:
        if kind == "v:":
            return value_element(json.loads(rest))
        if kind == "k:":
            return key_element(sorted(json.loads(rest).items()))
        if kind == "i:":
            return f"i:{int(rest)}"
    except (ValueError, AttributeError) as problem:
        raise MalformedElement(str(problem)) from problem
    return None


_RANK = {"f": 0, "k": 1, "v": 2, "i": 3}


@lru_cache(maxsize=16384)
def element_order(text: str) -> tuple[Any, ...]:
    """Sorts steps as the server sorts them; ``.`` comes first."""
    if text == ".":
        return (-1,)
    kind, rest = text[0], text[2:]
    if kind == "f":
        return (0, rest)
    if kind == "k":
        return (1, [(name, _value_order(value)) for name, value in json.loads(rest).items()])
    if kind == "v":
        return (2, _value_order(json.loads(rest)))
    return (_RANK[kind], int(rest))


def _value_order(value: Any) -> tuple[Any, ...]:
    """Numbers, then strings, booleans, lists, maps and null."""
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, int | float):
        return (0, value)
    if isinstance(value, str):
        return (1, value)
    if isinstance(value, list):
        return (3, [_value_order(one) for one in value])
    if isinstance(value, dict):
        return (4, [(name, _value_order(value[name])) for name in sorted(value)])
    return (5,)


def path_text(path: Iterable[str]) -> str:
    """A path as conflicts print it: ``.spec.containers[name="c"].image``."""
    return "".join(map(_step_text, path))


def _step_text(step: str) -> str:
    kind, rest = step[0], step[2:]
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        return (
            "[" + ",".join(f"{name}={_value_text(value)}" for name, value in json.loads(rest).items()) + "]"
        )
    if kind == "v":
        return f"[={_value_text(json.loads(rest))}]"
    return f"[{rest}]"


def _value_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_value_text, value)) + "]"
    if isinstance(value, dict):
        return "".join(f"{name}={_value_text(one)}" for name, one in value.items())
    return go_value(value)
