"""Rows of a CSV trace: all rows of a piece at once where they are plain, else one by one and with care."""

import csv
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stoker.twin.workload.trace.columns import Columns, Names, Rows
from stoker.twin.workload.trace.fields import Fields, dates, keys, numbers, split
from stoker.twin.workload.trace.formats import Clock

__all__ = ["CsvRows"]

_NAN: Final = float("nan")
_WIDEST_NAME: Final = 256  # bytes; a piece's names are laid out at the width of its widest


class CsvRows:
    """Reads pieces of whole lines into columns.

    Args:
        where: index of the columns ``time``, ``input``, ``output`` and maybe ``model``, ``tenant``, ``prefix``.
        width: fields of the header.
        clock: how times are written; `Clock.EITHER` is settled by the first row.
    """

    def __init__(self, where: Mapping[str, int], width: int, clock: Clock, columns: Columns) -> None:
        self._where = where
        self._names = [name for name in ("model", "tenant") if name in where]
        self._width = width
        self._clock = clock
        self._columns = columns
        self._line = 2  # the header is line 1

    def read(self, chunk: bytes) -> None:
        """Add the rows of ``chunk``."""
        if self._clock is Clock.EITHER:
            self._clock = _clock(chunk, self._where["time"])
        rows = self._at_once(chunk)
        if rows is None:
            rows = self._one_by_one(chunk.split(b"\n")[:-1])
            self._line += chunk.count(b"\n")
        else:
            self._line += len(rows.time)
        self._columns.add(rows)

    def _at_once(self, chunk: bytes) -> Rows | None:
        fields = split(chunk, self._width) if "prefix" not in self._where else None
        if fields is None:
            return None
        times, prompts, answers = (fields[self._where[name]] for name in ("time", "input", "output"))
        if any(int(fields[self._where[name]].width.max(initial=0)) > _WIDEST_NAME for name in self._names):
            return None
        time = dates(times) if self._clock is Clock.DATE else numbers(times)
        prompt, answer = numbers(prompts), numbers(answers)
        if time is None or prompt is None or answer is None:
            return None
        return Rows(
            time=time,
            input=prompt,
            output=answer,
            line=np.arange(self._line, self._line + len(time)),
            model=self._named("model", fields, self._columns.models),
            tenant=self._named("tenant", fields, self._columns.tenants),
        )

    def _named(self, column: str, fields: list[Fields], names: Names) -> NDArray[np.int16] | None:
        if column not in self._where:
            return None
        values = fields[self._where[column]]
        _, first, inverse = np.unique(keys(values), return_index=True, return_inverse=True)
        order = np.argsort(first)  # names are numbered as they come, whichever way a row is read
        number = np.empty(len(first), np.int16)
        number[order] = names.numbers([values.text(int(first[i])) for i in order])
        return number[inverse]

    def _one_by_one(self, lines: list[bytes]) -> Rows:
        cells: list[list[str]] = []
        places: list[int] = []
        for place, line in enumerate(lines, self._line):
            if line.strip():
                cells.append(_cells(line, self._width, self._where["time"]))
                places.append(place)
        texts = {name: [row[index].strip() for row in cells] for name, index in self._where.items()}
        prefix, lengths = _prefixes(texts["prefix"]) if "prefix" in texts else (None, None)
        return Rows(
            time=_dates(texts["time"]) if self._clock is Clock.DATE else _numbers(texts["time"]),
            input=_numbers(texts["input"]),
            output=_numbers(texts["output"]),
            line=np.array(places, np.int64),
            model=self._columns.models.numbers(texts["model"]) if "model" in texts else None,
            tenant=self._columns.tenants.numbers(texts["tenant"]) if "tenant" in texts else None,
            prefix=prefix,
            prefix_lengths=lengths,
        )


def _clock(chunk: bytes, place: int) -> Clock:
    """Dates have colons, numbers have none."""
    first = next((line for line in chunk.split(b"\n", 64) if line.strip()), b"")
    return Clock.DATE if ":" in _cells(first, place + 1, place)[place] else Clock.SECONDS


def _cells(line: bytes, width: int, time: int) -> list[str]:
    """The fields of one row, empty ones where it is too short; of a row too long only the time can be trusted."""
    try:
        # Strict, so that a quote that never closes is found in its own line.
        found = next(csv.reader([line.decode("utf-8", "replace")], strict=True), [])
    except csv.Error:
        found = []
    if len(found) > width and any(cell.strip() for cell in found[width:]):
        return [cell if place == time else "" for place, cell in enumerate(found[:width])]
    return found[:width] + [""] * (width - len(found))


def _numbers(texts: Iterable[str]) -> NDArray[np.float64]:
    return np.array([_number(text) for text in texts], np.float64)


def _number(text: str) -> float:
    try:
        return float(text) if "_" not in text else _NAN
    except ValueError:
        return _NAN


def _dates(texts: list[str]) -> NDArray[np.float64]:
    """By the same reading as whole pieces: the texts are laid one behind another."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    begins = np.concatenate((np.zeros(1, np.int64), ends[:-1])) if len(ends) else ends
    return dates(Fields(np.frombuffer(b"".join(encoded) + b"\n", np.uint8), begins, ends))


def _prefixes(texts: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Hash ids as numbers with blanks between; a row whose ids are no numbers has no prefix."""
    found: list[list[int]] = [_ids(text) for text in texts]
    flat: list[Any] = [one for ids in found for one in ids]
    return np.array(flat, np.int64), np.array([len(ids) for ids in found], np.int64)


def _ids(text: str) -> list[int]:
    parts = text.split()
    plain = all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts)
    return [int(part) for part in parts] if plain else []
