"""Hashes of templates."""

import json

from stoker.lab.controllers.objects import Object

__all__ = ["fnv32", "fnv32a", "safe_text", "template_hash"]

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_PRIME, _OFFSET = 0x01000193, 0x811C9DC5


def fnv32a(data: bytes) -> int:
    value = _OFFSET
    for byte in data:
        value = ((value ^ byte) * _PRIME) & 0xFFFFFFFF
    return value


def fnv32(data: bytes) -> int:
    value = _OFFSET
    for byte in data:
        value = ((value * _PRIME) & 0xFFFFFFFF) ^ byte
    return value


def safe_text(text: str) -> str:
    """No vowels: apimachinery pkg/util/rand SafeEncodeString."""
    return "".join(_LETTERS[ord(letter) % len(_LETTERS)] for letter in text)


def template_hash(template: Object, collisions: int | None = None) -> str:
    data = json.dumps(template, sort_keys=True).encode()
    if collisions is not None:
        data += collisions.to_bytes(4, "little") + bytes(4)
    return safe_text(str(fnv32a(data)))
