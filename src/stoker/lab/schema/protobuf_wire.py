"""The parts of a protobuf message that mean nothing by themselves: numbers, lengths, fields to skip.

Readers take bytes that are followed by `PADDING` and the end of their message: a number that is cut off runs into what
follows, and its reader finds itself behind the end. Texts of errors are those of Kubernetes' generated decoders.
"""

from collections.abc import Callable

__all__ = ["PADDING", "ProtobufError", "cut_off", "skip", "to_int32", "to_int64", "varint"]

PADDING = bytes(32)  # more than a field's number and length, of ten bytes each
_LONGEST = 64  # bits of a number, seven in a byte


class ProtobufError(ValueError):
    """Bytes that are no message of the kind.

    Attributes:
        version: version of the kind, without its group; empty where the bytes do not even tell the kind.
        kind: kind of the object.
    """

    def __init__(self, text: str, version: str = "", kind: str = "") -> None:
        super().__init__(text)
        self.version = version
        self.kind = kind


def cut_off() -> ProtobufError:
    return ProtobufError("unexpected EOF")


def varint(data: bytes, pos: int) -> tuple[int, int]:
    """An unsigned number of 64 bits and where it ends.

    Raises:
        ProtobufError: it has more than ten bytes.
    """
    value = shift = 0
    while True:
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, pos
        shift += 7
        if shift >= _LONGEST:
            raise ProtobufError("proto: integer overflow")


def to_int32(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - 0x100000000 if value & 0x80000000 else value


def to_int64(value: int) -> int:
    return value - 0x10000000000000000 if value & 0x8000000000000000 else value


def skip(data: bytes, pos: int, end: int, wire: int) -> int:
    """Where a field ends whose number and wire type have been read.

    Raises:
        ProtobufError: it does not end before the message does.
    """
    depth = 0
    while True:
        if wire == 3:
            depth += 1
        elif wire == 4:
            depth -= 1
            if depth < 0:
                raise ProtobufError("proto: unexpected end of group")
        else:
            step = _STEPS.get(wire)
            if step is None:
                raise ProtobufError(f"proto: illegal wireType {wire}")
            pos = step(data, pos)
        if pos > end:
            raise cut_off()
        if not depth:
            return pos
        tag, pos = varint(data, pos)
        wire = tag & 7


def _behind_bytes(data: bytes, pos: int) -> int:
    length, pos = varint(data, pos)
    if length >> 63:
        raise ProtobufError("proto: negative length found during unmarshaling")
    return pos + length


_STEPS: dict[int, Callable[[bytes, int], int]] = {
    0: lambda data, pos: varint(data, pos)[1],
    1: lambda _, pos: pos + 8,
    2: _behind_bytes,
    5: lambda _, pos: pos + 4,
}
