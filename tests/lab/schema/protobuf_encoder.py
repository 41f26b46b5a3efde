"""An encoder of objects in Kubernetes' protobuf, of the table that the decoder reads, and objects to encode."""

import base64
import json
import re
import struct
from datetime import datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from stoker.lab.schema import protobuf_messages


@cache
def table() -> dict[str, list[tuple[str, int, str]]]:
    """By type the fields: key, number, kind with its package."""
    found: dict[str, list[tuple[str, int, str]]] = {}
    package = ""
    path = Path(protobuf_messages.__file__).parent / "protobuf_fields.txt"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("@"):
            package = line[1:]
            continue
        name, *fields = line.split()
        found[f"{package}.{name}"] = [_parsed(package, field) for field in fields]
    return found


def _parsed(package: str, field: str) -> tuple[str, int, str]:
    match = re.fullmatch(r"(.*?):(\d+)([\[{]?)([^!]*)(!?)", field)
    assert match is not None, field
    key, number, lead, kind, mark = match.groups()
    if kind[0].isupper():
        kind = f"{package}.{kind}"
    return key, int(number), f"{lead}{kind}{mark}"


def number_bytes(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def part(number: int, text: bytes) -> bytes:
    return number_bytes(number << 3 | 2) + number_bytes(len(text)) + text


def encoded(name: str, obj: dict[str, Any]) -> bytes:
    """A message with the zeros that Go writes although JSON leaves them out."""
    found = b""
    for key, number, kind in table()[name]:
        if not key:
            found += part(number, encoded(kind, obj))
        elif key in obj:
            found += field_bytes(number, kind.removesuffix("!"), obj[key])
        elif kind in _ZEROS:
            found += field_bytes(number, kind, _ZEROS[kind])
    return found


_ZEROS: dict[str, Any] = {"s": "", "i": 0, "l": 0, "b": False}
SCHEMA = "apiextensions.v1.JSONSchemaProps"


def field_bytes(number: int, kind: str, value: Any) -> bytes:
    if kind[0] == "[":
        return b"".join(field_bytes(number, kind[1:], one) for one in value)
    if kind[0] == "{":
        return b"".join(
            part(number, field_bytes(1, "s", key) + field_bytes(2, kind[1:], one))
            for key, one in value.items()
        )
    if kind in {"i", "l", "b"}:
        return number_bytes(number << 3) + number_bytes(int(value))
    if kind == "f":
        return number_bytes(number << 3 | 1) + struct.pack("<d", value)
    return part(number, _bytes(kind, value))


def _bytes(kind: str, value: Any) -> bytes:  # noqa: C901, PLR0912  # one case a kind
    match kind:
        case "s":
            return str(value).encode()
        case "y":
            return base64.b64decode(value)
        case "q":
            return part(1, value.encode())
        case "x" if isinstance(value, str):
            return field_bytes(1, "l", 1) + field_bytes(2, "i", 0) + field_bytes(3, "s", value)
        case "x":
            return field_bytes(1, "l", 0) + field_bytes(2, "i", value) + field_bytes(3, "s", "")
        case "t" | "u":
            moment = datetime.fromisoformat(value)
            return field_bytes(1, "l", int(moment.timestamp() // 1)) + field_bytes(
                2, "i", moment.microsecond * 1000
            )
        case "j":
            return part(1, json.dumps(value).encode())
        case "v":
            return field_bytes(1, "[s", value)
        case "a" if isinstance(value, list):
            return field_bytes(2, f"[{SCHEMA}", value)
        case "o" if isinstance(value, bool):
            return field_bytes(1, "b", value)
        case "p" if isinstance(value, list):
            return field_bytes(2, "[s", value)
        case "a" | "p":
            return field_bytes(1, SCHEMA, value)
        case "o":
            return field_bytes(1, "b", value=True) + field_bytes(2, SCHEMA, value)
        case _:
            return encoded(kind, value)


def sample(name: str, rng: Random, depth: int, share: float) -> dict[str, Any]:
    """An object of a type with a share of its fields, in the form that a Go server writes."""
    found: dict[str, Any] = {}
    for key, _, kind in table()[name]:
        if not key:
            found |= sample(kind, rng, depth + 1, share)
        elif rng.random() <= share:
            is_scalar = kind.strip("[{!") in {"s", "i", "l", "b", "f", "y", "q", "x", "t", "u", "j", "v"}
            if depth < 4 or is_scalar:
                found[key] = _value(kind, rng, depth, share)
    return found


def _value(kind: str, rng: Random, depth: int, share: float) -> Any:
    if kind[0] == "[":
        return [_value(f"{kind[1:]}!", rng, depth, share) for _ in range(rng.randint(1, 3))]
    if kind[0] == "{":
        return {
            f"key/{index}é": _value(f"{kind[1:]}!", rng, depth, share) for index in range(rng.randint(1, 3))
        }
    bare = kind.removesuffix("!")
    if bare in _SAMPLES:
        return rng.choice(_SAMPLES[bare][0 if bare != kind else 1 :])
    if bare in {"a", "o", "p"}:
        schema = sample(SCHEMA, rng, depth + 2, share)
        return rng.choice([schema, {"a": [schema], "o": False, "p": ["x", ""]}[bare], schema or True])
    return sample(bare, rng, depth + 1, share)


# The first is a zero, for fields that keep it.
_SAMPLES: dict[str, list[Any]] = {
    "s": ["", "a", "Ünïcode ☃", "x" * 300],
    "i": [0, 1, -1, 2**31 - 1, -(2**31), 300],
    "l": [0, 1, -1, 2**63 - 1, -(2**63)],
    "b": [False, True],
    "f": [0.0, 1.5, -2e300],
    "y": ["", "AAH/", "eA=="],
    "q": ["0", "100m", "1Gi"],
    "x": [0, 80, -1, "http", "", "50%"],
    "t": ["1970-01-01T00:00:00Z", "2026-11-27T22:00:01Z", "1969-12-31T23:59:59Z"],
    "u": ["1970-01-01T00:00:00.000000Z", "2026-11-27T22:00:01.000250Z"],
    "j": [{}, [], 0, False, "", {"a": [1, None, {"b": 1.5}]}, "x", True],
    "v": [[], ["a", ""], ["x"]],
}
TYPES = sorted(name for name in table() if not name.startswith("."))


def body_of(name: str, raw: bytes, content_type: str = "") -> bytes:
    group, version, kind = name.split(".")
    api_version = version if group == "core" else f"{group}/{version}"
    meta = part(1, api_version.encode()) + part(2, kind.encode())
    return b"k8s\0" + part(1, meta) + part(2, raw) + part(3, b"") + part(4, content_type.encode())


NAMED = ("apiVersion", "kind")


def without_names(obj: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in obj.items() if key not in NAMED}
