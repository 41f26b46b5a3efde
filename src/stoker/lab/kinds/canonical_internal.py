"""Objects as messages of the API server print them: its internal Go structs as JSON.

Internal types have no JSON tags, so every field stands there by its Go name, nil as null. Facts are in
``canonical_internal.txt``; printing is that of apimachinery's pkg/util/validation/field (ErrorBody) and pkg/util/diff.
"""

import difflib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from stoker.lab.status import Cause

__all__ = ["go_text", "internal", "invalid_struct", "invalid_text", "spec_diff"]

_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
_ZERO: dict[str, Any] = {"s": "", "i": 0, "b": False, "q": "0", "x": 0, "t": None}
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers")


@cache
def _types() -> dict[str, list[tuple[str, str, str]]]:
    """By internal type its fields: Go name, JSON key, type."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    text = (Path(__file__).parent / "canonical_internal.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, *fields = line.split()
        found[name] = [_field(one) for one in fields]
    return found


def _field(text: str) -> tuple[str, str, str]:
    if text.endswith("^"):
        return text, "metadata", "^"
    names, _, kind = text.partition(":")
    name, _, key = names.partition("=")
    return name, key or name[0].lower() + name[1:], kind


def internal(kind: str, value: Any) -> Any:
    """A value of an internal type (``core.PodSpec``) with Go's names."""
    lead = kind[:1]
    if lead == "*":
        return None if value is None else internal(kind[1:], value)
    if lead == "[":
        return [internal(kind[1:], one) for one in value] if value else None
    if lead == "{":
        return {key: internal(kind[1:], value[key]) for key in sorted(value)} if value else None
    if kind == "j":
        return {} if value is None else value
    if kind in _ZERO:
        return _ZERO[kind] if value is None else value
    special = _SPECIAL.get(kind)
    return _struct(kind, special(value or {}) if special else value or {})


def _struct(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, key, type_ in _types()[kind]:
        if type_ == "^":
            found.update(value.get("metadata") or {})
        else:
            found[name] = internal(type_, value.get(key))
    return found


def _pod_spec(value: dict[str, Any]) -> dict[str, Any]:
    """The internal type keeps what is shared with the host in the security context."""
    context = dict(value.get("securityContext") or {})
    context.update({key: value[key] for key in _HOST_FIELDS if key in value})
    has_context = "securityContext" in value or bool(context)
    return value | {"securityContext": context if has_context else None}


_SPECIAL: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"core.PodSpec": _pod_spec}


def go_text(value: Any) -> str:
    """JSON as Go writes it: keys of a map sorted by whoever made the map, ``<``, ``>`` and ``&`` escaped."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_ESCAPES)


def invalid_text(path: str, text: str, detail: str) -> Cause:
    """``Invalid value: text: detail``, the value printed already."""
    return Cause("FieldValueInvalid", f"Invalid value: {text}: {detail}", path)


def invalid_struct(path: str, kind: str, value: Any, detail: str) -> Cause:
    """An invalid value of an internal type."""
    return invalid_text(path, go_text(internal(kind, value)), detail)


def spec_diff(kind: str, old: Any, new: Any) -> str:
    """What changed, as apimachinery's diff.Diff prints it: a unified diff of indented JSON."""

    def lines(value: Any) -> list[str]:
        text = json.dumps(internal(kind, value), indent=1, ensure_ascii=False).translate(_ESCAPES)
        return [f"{line}\n" for line in text.split("\n")]

    found = list(difflib.unified_diff(lines(old), lines(new), n=3))
    return "".join(found[2:])
