"""A text file in pieces of whole lines: line ends made equal, mark and compression taken off."""

import gzip
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Final

from stoker.errors import InputError, Problem

__all__ = ["open_trace", "whole_lines"]

_CHUNK: Final = 4 << 20  # the arrays of one piece stay in a processor's cache
_LONGEST_LINE: Final = 64 << 20
_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
# First bytes of what people hand over by mistake, and what to do about it.
_OTHERS: Final = (
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "unpack it, or save it as CSV"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", "unpack it: zstd -d"),
    (b"BZh", "bzip2", "unpack it: bunzip2"),
    (b"\xfd7zXZ", "xz", "unpack it: unxz"),
)


def open_trace(path: Path) -> BufferedIOBase:
    """The bytes of ``path``, unpacked where they are gzip, whatever the name ends in.

    Raises:
        InputError: it is another kind of file.
    """
    raw = path.open("rb")
    head = raw.read(8)
    raw.seek(0)
    for magic, what, fix in _OTHERS:
        if head.startswith(magic):
            raw.close()
            raise InputError(
                [
                    Problem(
                        "not a trace",
                        file=str(path),
                        found=what,
                        wanted="UTF-8 text, gzip or Parquet",
                        fix=fix,
                    )
                ]
            )
    if not head.startswith(_GZIP):
        return raw
    raw.close()
    return gzip.open(path, "rb")


def whole_lines(stream: BufferedIOBase, name: str) -> Iterator[bytes]:
    r"""Pieces of some megabytes, each of whole lines that end in ``\n``; the last line gets its end where it has none.

    ``\r\n`` and a lone ``\r`` are line ends too.

    Raises:
        InputError: a NUL byte, or a line that does not end.
    """
    carry, first = b"", True
    while True:
        data = stream.read(_CHUNK)
        if b"\x00" in data:
            raise InputError(
                [
                    Problem(
                        "not a trace",
                        file=name,
                        found="a binary file",
                        wanted="CSV, JSON lines or Parquet",
                        fix="export it as CSV: arrival_s,input_tokens,output_tokens",
                    )
                ]
            )
        piece = carry + data
        if first:
            piece, first = piece.removeprefix(_BOM), False
        held = b""
        if b"\r" in piece:
            if data and piece.endswith(b"\r"):  # its \n may be the first byte of the next piece
                piece, held = piece[:-1], b"\r"
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not data:
            if piece:
                yield piece if piece.endswith(b"\n") else piece + b"\n"
            return
        cut = piece.rfind(b"\n") + 1
        carry = piece[cut:] + held
        if len(carry) > _LONGEST_LINE:
            raise InputError(
                [
                    Problem(
                        "a line does not end",
                        file=name,
                        found=f"{len(carry)} bytes",
                        wanted="one request a line",
                    )
                ]
            )
        if cut:
            yield piece[:cut]
