"""Hashes by which templates get their names: ``pod-template-hash``, ``controller-revision-hash``.

The real controllers hash what the spew library prints of the Go structs of a template (kubernetes
pkg/controller/controller_utils.go ComputeHash, pkg/util/hash, k8s.io/utils/dump, davecgh/go-spew format.go), so a ReplicaSet
has the same name here and there. ``template_types.txt`` lists the structs under PodTemplateSpec in 1.36: a struct a line
(``C.`` core/v1, ``M.`` meta/v1), then ``Field:json:type`` in their order. An empty json name is the field's own with a small
letter in front; ``+`` is an embedded struct. ``v1.Protocol=string`` is a named type and what it is.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any

from stoker.lab.controllers.objects import Object

__all__ = ["fnv32", "fnv32a", "go_text", "safe_text", "template_hash"]

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_PRIME, _OFFSET = 0x01000193, 0x811C9DC5
_NUMBERS = frozenset(("int", "int32", "int64"))
_ZERO_TIME = "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}"

_Fields = tuple[tuple[str, str, str], ...]


def fnv32a(data: bytes) -> int:
    """FNV-1a of 32 bits."""
    value = _OFFSET
    for byte in data:
        value = ((value ^ byte) * _PRIME) & 0xFFFFFFFF
    return value


def fnv32(data: bytes) -> int:
    """FNV-1 of 32 bits."""
    value = _OFFSET
    for byte in data:
        value = ((value * _PRIME) & 0xFFFFFFFF) ^ byte
    return value


def safe_text(text: str) -> str:
    """Text without vowels, so that no hash is a bad word (apimachinery pkg/util/rand SafeEncodeString)."""
    return "".join(_LETTERS[ord(letter) % len(_LETTERS)] for letter in text)


def template_hash(template: Object, collisions: int | None = None) -> str:
    """The hash of a pod template.

    Args:
        template: in canonical form, with defaults.
        collisions: ``status.collisionCount`` of the owner; None where it has none.
    """
    data = go_text(template).encode()
    if collisions is not None:
        data += collisions.to_bytes(4, "little") + bytes(4)
    return safe_text(str(fnv32a(data)))


def go_text(template: Object) -> str:
    """A template as spew prints its struct."""
    return "".join(("(v1.PodTemplateSpec)", *_struct("C.PodTemplateSpec", template)))


@lru_cache(maxsize=1)
def _structs() -> dict[str, _Fields]:
    found: dict[str, _Fields] = {}
    text = files("stoker.lab.controllers").joinpath("template_types.txt").read_text(encoding="ascii")
    for line in text.splitlines():
        name, *fields = line.split()
        rows = []
        for field in fields:
            go_name, json_name, kind = field.split(":", 2)
            rows.append((go_name, json_name or go_name[0].lower() + go_name[1:], kind))
        found[name] = tuple(rows)
    return found


@lru_cache(maxsize=1024)
def _shown(kind: str) -> str:
    """A type's name as Go prints it."""
    return re.sub(r"=[\w.\[\]*]+", "", kind).replace("C.", "v1.").replace("M.", "v1.")


def _struct(name: str, value: Object) -> Iterator[str]:
    yield "{"
    is_first = True
    for go_name, json_name, kind in _structs()[name]:
        yield f"{go_name}:" if is_first else f" {go_name}:"
        is_first = False
        yield from _field(kind, value if json_name == "+" else value.get(json_name))
    yield "}"


def _field(kind: str, value: Any) -> Iterator[str]:
    yield f"({_shown(kind)})"
    yield from _value(kind.removeprefix("*") if value is not None else kind, value)


def _value(kind: str, value: Any) -> Iterator[str]:
    """A value without its type, which is shown for fields only."""
    if kind.startswith(("v1.", "types.")):
        kind = _KNOWN.get(kind) or kind.partition("=")[2] or kind
    if kind.startswith(("*", "[]", "map[")) and value is None:
        yield "<nil>"
    elif kind.startswith("[]"):
        yield "["
        for index, one in enumerate(value):
            yield " " if index else ""
            yield from _value(kind[2:], one)
        yield "]"
    elif kind.startswith("map["):
        yield from _map(kind.partition("]")[2], value)
    elif kind.startswith(("C.", "M.")):
        yield from _struct(kind, value or {})
    elif kind == "bool":
        yield "true" if value else "false"
    elif kind in _NUMBERS:
        yield str(value or 0)
    elif kind in _SPECIAL:
        yield _SPECIAL[kind](value)
    else:
        yield str(value or "")


def _map(kind: str, value: Object) -> Iterator[str]:
    yield "map["
    for index, key in enumerate(sorted(value)):
        yield f" {key}:" if index else f"{key}:"
        yield from _value(kind, value[key])
    yield "]"


# --- types with private fields ------------------------------------------------------------------------------------


def _int_or_string(value: Any) -> str:
    is_text = isinstance(value, str)
    number, text = ("0", value) if is_text else (str(value or 0), "")
    return f"{{Type:(intstr.Type){int(is_text)} IntVal:(int32){number} StrVal:(string){text}}}"


_QUANTITY = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?([eEinumkKMGTP]*[-+]?\d*)", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_PLACES = 18


def _quantity(value: Any) -> str:
    """resource.Quantity: a scaled int64, or a big decimal where the number does not surely fit (ParseQuantity)."""
    text = str(value or "0")
    found = _QUANTITY.fullmatch(text)
    if found is None or not value:
        return _quantity_text(0, 0, "", "DecimalSI" if value else "")
    sign, whole, part, suffix = found[1], found[2].lstrip("0"), (found[3] or "").rstrip("0"), found[4]
    if suffix in _BINARY:
        form, exponent = "BinarySI", _BINARY[suffix]
        fits = not part and 15 - len(whole) - int(exponent * 3 / 10) - 1 >= 0
        scale = 0
    else:
        is_plain = suffix in _DECIMAL
        form = "DecimalSI" if is_plain else "DecimalExponent"
        exponent = _DECIMAL[suffix] if is_plain else int(suffix[1:])
        scale = exponent - len(part)
        fits = _PLACES - len(whole) - len(part) >= 0 and scale >= -9
    shifted = whole + part or "0"
    if not fits:
        return _big_quantity(sign, (shifted, len(part)), form, exponent)
    number = int(shifted) << exponent if form == "BinarySI" else int(shifted)
    if form == "BinarySI":
        is_kept = int(shifted) & 7 != 0
    else:
        is_kept = scale % 3 == 0 and not shifted.endswith("000") and shifted[0] != "0"
    return _quantity_text(-number if sign == "-" else number, scale, text if is_kept else "", form)


def _quantity_text(number: int, scale: int, text: str, form: str) -> str:
    return (
        f"{{i:(resource.int64Amount){{value:(int64){number} scale:(resource.Scale){scale}}} "
        f"d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){text} Format:(resource.Format){form}}}"
    )


def _big_quantity(sign: str, digits: tuple[str, int], form: str, exponent: int) -> str:
    number = int(digits[0]) << exponent if form == "BinarySI" else int(digits[0])
    places = digits[1] - (0 if form == "BinarySI" else exponent)
    # Rounded to nine places, away from zero.
    unscaled = number * 10 ** (9 - places) if places <= 9 else -(-number // 10 ** (places - 9))
    words = []
    left = unscaled
    while left:
        words.append(str(left & (2**64 - 1)))
        left >>= 64
    negative = "true" if sign == "-" and unscaled else "false"
    return (
        "{i:(resource.int64Amount){value:(int64)0 scale:(resource.Scale)0} d:(resource.infDecAmount){Dec:(*inf.Dec)"
        f"{{unscaled:(big.Int){{neg:(bool){negative} abs:(big.nat)[{' '.join(words)}]}} scale:(inf.Scale)9}}}} "
        f"s:(string) Format:(resource.Format){form}}}"
    )


_SPECIAL = {
    "v1.Time": lambda _: _ZERO_TIME,
    "resource.Quantity": _quantity,
    "intstr.IntOrString": _int_or_string,
}
_KNOWN = {"types.UID": "string", "v1.ResourceList": "map[v1.ResourceName=string]resource.Quantity"}
