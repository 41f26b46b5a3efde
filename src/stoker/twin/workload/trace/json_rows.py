"""Rows of Mooncake's traces: JSON lines with hash ids of prompt blocks.

Fields as in kvcache-ai/Mooncake, FAST25-release/README.md: ``timestamp`` in milliseconds, ``input_length``,
``output_length``, and ``hash_ids`` of the prompt's blocks of 512 tokens, equal where the blocks are.
"""

from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np

from stoker.errors import InputError, Problem
from stoker.twin.workload.trace.columns import Columns, Rows

__all__ = ["JsonRows"]

_NAN: Final = float("nan")


class _Row(msgspec.Struct):
    timestamp: float = _NAN
    input_length: float = _NAN
    output_length: float = _NAN
    hash_ids: list[int] = []  # msgspec copies an empty default


_ONE: Final = msgspec.json.Decoder(_Row)
_NONE: Final = _Row()
_FIELDS: Final = frozenset(("timestamp", "input_length", "output_length"))
_LARGEST: Final = 2**63 - 1


class JsonRows:
    """Reads pieces of whole lines into columns."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._line = 1

    def read(self, chunk: bytes) -> None:
        """Add the rows of ``chunk``.

        Raises:
            InputError: the file's first row is no row of such a trace.
        """
        lines = chunk.split(b"\n")[:-1]
        if self._line == 1:
            self._check(lines[0])
        rows: list[_Row] = []
        places: list[int] = []
        for place, line in enumerate(lines, self._line):
            if line.strip():
                rows.append(_row(line))
                places.append(place)
        self._line += len(lines)
        self._columns.add(_rows(rows, places))

    def _check(self, line: bytes) -> None:
        try:
            found: Any = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise InputError([self._problem(f"no JSON: {error}")]) from error
        if not isinstance(found, dict) or not found.keys() >= _FIELDS:
            shown = ", ".join(map(str, found)) if isinstance(found, dict) else str(found)
            raise InputError([self._problem(shown[:80])])

    def _problem(self, found: str) -> Problem:
        return Problem(
            "no Mooncake trace",
            file=self._columns.file,
            line=1,
            column=1,
            found=found,
            wanted="timestamp, input_length, output_length and hash_ids",
            fix="write other traces as CSV: arrival_s,input_tokens,output_tokens",
        )


def _row(line: bytes) -> _Row:
    """One row; without any value where it is none."""
    try:
        row = _ONE.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return _NONE
    return row if all(-_LARGEST <= one <= _LARGEST for one in row.hash_ids) else _NONE


def _rows(rows: list[_Row], places: list[int]) -> Rows:
    lengths = np.array([len(row.hash_ids) for row in rows], np.int64)
    flat = chain.from_iterable(row.hash_ids for row in rows)
    return Rows(
        time=np.array([row.timestamp for row in rows]) / 1000.0,
        input=np.array([row.input_length for row in rows], np.float64),
        output=np.array([row.output_length for row in rows], np.float64),
        line=np.array(places, np.int64),
        prefix=np.fromiter(flat, np.int64, int(lengths.sum())),
        prefix_lengths=lengths,
    )
