"""Messages of Kubernetes' types: bytes to the dictionary that their JSON would be.

What a field number means is in ``protobuf_fields.txt``; a type is compiled when the first message of it comes. Semantics
are those of the decoders in every generated.pb.go: the last scalar counts, messages that come twice are merged, unknown
fields are skipped, a known field of another wire type is an error, numbers of a list may be packed.
"""

from base64 import b64encode
from collections.abc import Callable
from functools import cache
from pathlib import Path
from struct import unpack_from
from typing import Any

from stoker.lab.schema.protobuf_forms import FORMS
from stoker.lab.schema.protobuf_wire import ProtobufError, cut_off, skip, to_int32, to_int64, varint

__all__ = ["Message", "message"]

# Data, start, end, depth.
Read = Callable[[bytes, int, int, int], Any]
_DEEPEST = 100  # messages in each other: more than any object has, less than Python's stack
_ONE, _MESSAGE, _LIST, _MAP, _INLINE, _NUMBERS = range(6)
_TYPES = "silbfyw"
# Wire type of numbers and what a number on the wire means.
_NUMBER: dict[str, Callable[[int], Any]] = {"i": to_int32, "l": to_int64, "b": bool}


@cache
def _lines() -> dict[str, tuple[str, str]]:
    """By name of a type (``core.v1.Pod``) its group and version, and its fields, not yet taken apart."""
    found: dict[str, tuple[str, str]] = {}
    package = ""
    text = (Path(__file__).parent / "protobuf_fields.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("@"):
            package = f"{line[1:]}." if line[1:] else ""
        elif not line.startswith("#"):
            name, _, fields = line.partition(" ")
            found[f"{package}{name}"] = package, fields
    return found


@cache
def message(name: str) -> "Message":
    """The message of a Go type, such as ``core.v1.Pod``.

    Raises:
        KeyError: no such type is known.
    """
    package, fields = _lines()[name]
    return Message(name, package, fields)


class Message:
    """One type of message."""

    __slots__ = ("_fields", "_keys", "_package", "_text", "name")

    def __init__(self, name: str, package: str, text: str) -> None:
        self.name = name
        self._package = package
        self._text = text
        # By number and wire type as they stand before a field: how the value is kept, its key, its reader, whether a
        # zero is kept too.
        self._fields: dict[int, tuple[int, str, Any, bool]] | None = None
        self._keys: dict[int, str] = {}

    def _compile(self) -> dict[int, tuple[int, str, Any, bool]]:
        fields: dict[int, tuple[int, str, Any, bool]] = {}
        for text in self._text.split():
            key, _, rest = text.partition(":")
            kind = rest.lstrip("0123456789")
            number = int(rest.removesuffix(kind))
            self._keys[number] = key or kind
            fields |= _field(self._package, key, number, kind)
        self._fields = fields
        return fields

    def read(self, data: bytes, pos: int, end: int, depth: int) -> dict[str, Any]:
        """The message between two places of the data.

        Raises:
            ProtobufError: it is none, or messages stand in each other too deep.
        """
        found: dict[str, Any] = {}
        self.fill(data, pos, end, depth, found)
        return found

    def fill(self, data: bytes, pos: int, end: int, depth: int, found: dict[str, Any]) -> None:  # noqa: C901, PLR0912, PLR0915  # the innermost loop
        """As `read`, into the fields of a message that is there already."""
        if depth > _DEEPEST:
            raise ProtobufError(f"proto: {self.name}: more than {_DEEPEST} messages in each other")
        fields = self._fields
        if fields is None:
            fields = self._compile()
        while pos < end:
            tag = data[pos]
            pos += 1
            if tag >= 0x80:
                tag, pos = varint(data, pos - 1)
            field = fields.get(tag)
            if field is None:
                pos = self._skip(data, pos, end, tag)
                continue
            form, key, read, keeps_zero = field
            wire = tag & 7
            if wire == 2:
                length = data[pos]
                pos += 1
                if length >= 0x80:
                    length, pos = varint(data, pos - 1)
                start, pos = pos, pos + length
                if pos > end:
                    raise _too_long(length)
                if form == _MESSAGE:
                    read(data, start, pos, depth + 1, found.setdefault(key, {}))
                    continue
                if form == _LIST:
                    found.setdefault(key, []).append(read(data, start, pos, depth + 1))
                    continue
                if form == _MAP:
                    name, value = read(data, start, pos, depth + 1)
                    found.setdefault(key, {})[name] = value
                    continue
                if form == _INLINE:
                    read(data, start, pos, depth + 1, found)
                    continue
                if form == _NUMBERS:
                    found.setdefault(key, []).extend(_packed(data, start, pos, read))
                    continue
                value = read(data, start, pos, depth + 1)
            elif wire == 0:
                value, pos = varint(data, pos)
                value = read(value)
            else:
                value = unpack_from("<d", data, pos)[0]
                pos += 8
            if pos > end:
                raise cut_off()
            if form == _NUMBERS:
                found.setdefault(key, []).append(value)
            elif value or (keeps_zero and value is not None):
                found[key] = value
            else:
                found.pop(key, None)

    def _skip(self, data: bytes, pos: int, end: int, tag: int) -> int:
        """Past a field that is not known; a known one is there in another form than it can have."""
        number, wire = to_int32(tag >> 3), tag & 7
        if pos > end:
            raise cut_off()
        short = self.name.rpartition(".")[2]
        if wire == 4:
            raise ProtobufError(f"proto: {short}: wiretype end group for non-group")
        if number <= 0:
            raise ProtobufError(f"proto: {short}: illegal tag {number} (wire type {tag})")
        key = self._keys.get(number)
        if key is not None:
            raise ProtobufError(f"proto: wrong wireType = {wire} for field {key[:1].upper()}{key[1:]}")
        return skip(data, pos, end, wire)


def _too_long(length: int) -> ProtobufError:
    return ProtobufError("proto: negative length found during unmarshaling") if length >> 63 else cut_off()


def _packed(data: bytes, pos: int, end: int, read: Callable[[int], Any]) -> list[Any]:
    found = []
    while pos < end:
        value, pos = varint(data, pos)
        found.append(read(value))
    if pos > end:
        raise cut_off()
    return found


def _field(package: str, key: str, number: int, kind: str) -> dict[int, tuple[int, str, Any, bool]]:
    """A field by each number and wire type that may stand before it."""
    lead, bare = (kind[0], kind[1:]) if kind[0] in "[{" else ("", kind)
    keeps_zero = bare.endswith("!") or bare not in _TYPES
    bare = bare.removesuffix("!")
    text = number << 3 | 2
    if bare in _NUMBER:
        read = _NUMBER[bare]
        if lead:  # lists only: no map of Kubernetes' types has numbers
            return {text: (_NUMBERS, key, read, True), number << 3: (_NUMBERS, key, read, True)}
        return {number << 3: (_ONE, key, read, keeps_zero)}
    if bare == "f":
        return {number << 3 | 1: (_ONE, key, None, keeps_zero)}
    if lead == "[":
        return {text: (_LIST, key, _reader(package, bare), True)}
    if lead == "{":
        return {text: (_MAP, key, _entry(package, bare), True)}
    if bare in _TYPES or bare in FORMS:
        return {text: (_ONE, key, _reader(package, bare), keeps_zero)}
    return {text: (_MESSAGE if key else _INLINE, key, _message(package, bare).fill, True)}


def _message(package: str, name: str) -> Message:
    return message(name if "." in name else f"{package}{name}")


def _reader(package: str, kind: str) -> Read:
    if kind in _BYTES:
        return _BYTES[kind]
    if kind in FORMS:
        read, form = message(kind).read, FORMS[kind]
        return lambda data, pos, end, depth: form(read(data, pos, end, depth))
    return _message(package, kind).read


def _entry(package: str, kind: str) -> Read:
    """Reader of a map's entry, a message of key and value; what is missing is the zero of its type."""
    entry = Message("Entry", package, f"key:1s value:2{kind}!")
    read_value = _reader(package, kind)

    def read(data: bytes, pos: int, end: int, depth: int) -> tuple[str, Any]:
        # As Go writes nearly every entry: a short key, then a short value, and nothing else.
        length = data[pos + 1]
        start = pos + 4 + length
        if (
            data[pos] == 0x0A
            and length < 0x80
            and start <= end
            and data[start - 2] == 0x12
            and data[start - 1] == end - start < 0x80
        ):
            return _text(data, pos + 2, start - 2, 0), read_value(data, start, end, depth + 1)
        if pos == end:
            return "", read_value(b"", 0, 0, depth)
        found = entry.read(data, pos, end, depth)
        value = found["value"] if "value" in found else read_value(b"", 0, 0, depth)
        return found.get("key", ""), value

    return read


def _text(data: bytes, pos: int, end: int, _: int) -> str:
    return data[pos:end].decode(errors="replace")


_BYTES: dict[str, Read] = {
    "s": _text,
    "y": lambda data, pos, end, _: b64encode(data[pos:end]).decode(),
    "w": lambda data, pos, end, _: data[pos:end],
}
