"""Columns of a piece of CSV read all rows at once: numbers, dates and names straight from its bytes.

Whatever is not plain (quotes, signs, exponents, a missing field) is left to the careful reader of `csv_rows`, which goes
row by row and takes ten times as long.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["EPOCH", "Fields", "dates", "keys", "numbers", "split"]

EPOCH: Final = np.datetime64("2020-01-01", "D")
"""Dates are seconds since then: a float holds a ten-millionth of a second for a century around it."""

_COMMA, _NEWLINE, _DOT, _ZERO = 44, 10, 46, 48
_MOST_DIGITS: Final = 18  # of an int64
_SECONDS_END: Final = 19  # of 2023-11-16 18:17:03
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """Where one column's values are in ``data``: bytes ``begin[i]`` to ``end[i]`` are row i's."""

    data: NDArray[np.uint8]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]

    @property
    def width(self) -> NDArray[np.int64]:
        """Bytes of each field."""
        return self.end - self.begin

    def matrix(self, width: int) -> NDArray[np.uint8]:
        """``width`` rows, one a place: the byte of each field there, 0 behind its end."""
        padded = np.concatenate((self.data, np.zeros(width, np.uint8)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, width)
        found: NDArray[np.uint8] = np.ascontiguousarray(windows[self.begin].T)
        found *= np.arange(width)[:, np.newaxis] < self.width
        return found

    def text(self, row: int) -> str:
        """One field, decoded; a byte that is no UTF-8 becomes a replacement mark."""
        return self.data[self.begin[row] : self.end[row]].tobytes().decode("utf-8", "replace").strip()


def split(chunk: bytes, columns: int) -> list[Fields] | None:
    """The columns of ``chunk``; None where a row has another number of fields, or anything is quoted."""
    if b'"' in chunk:
        return None
    data = np.frombuffer(chunk, np.uint8)
    newline = data == _NEWLINE
    ends = np.flatnonzero(newline | (data == _COMMA))
    rows = np.count_nonzero(newline)
    if len(ends) != rows * columns or not newline[ends[columns - 1 :: columns]].all():
        return None
    begins = np.concatenate(([0], ends[:-1] + 1))
    return [Fields(data, begins[i::columns], ends[i::columns]) for i in range(columns)]


def numbers(fields: Fields) -> NDArray[np.float64] | None:
    """Digits with at most one point, read exactly; None where any field is something else."""
    width = fields.width
    widest = int(width.max(initial=0))
    if widest > _MOST_DIGITS + 1 or int(width.min(initial=1)) == 0:
        return None
    byte = fields.matrix(widest)
    digit = byte - np.uint8(_ZERO)
    known, point = digit < 10, byte == _DOT
    digits = known.sum(axis=0, dtype=np.uint8)
    points = point.sum(axis=0, dtype=np.uint8)
    if int(points.max(initial=0)) > 1 or int(digits.min(initial=1)) == 0 or np.any(digits + points != width):
        return None
    value = np.zeros(len(width), np.int64 if widest > 9 else np.int32)
    for place in range(widest):
        value = np.where(known[place], value * 10 + digit[place], value)
    if not points.any():
        return value.astype(np.float64)
    # The point's place from the right; whole numbers have none.
    decimals = np.where(points > 0, width - 1 - point.argmax(axis=0), 0)
    scaled: NDArray[np.float64] = value / np.power(10.0, decimals)
    return scaled


def dates(fields: Fields) -> NDArray[np.float64]:
    """Seconds since `EPOCH` of ISO dates; NaN where a field is none.

    ``2023-11-16 18:17:03.9799600``, with ``T`` for the blank, any number of decimals or none, and ``Z``, an offset such
    as ``+00:00``, or nothing (taken as UTC) at the end. Azure's 2023 traces have seven decimals and no offset, those of
    2024 six, or none where they are zero, and an offset.
    """
    byte = fields.matrix(max(_SECONDS_END, min(40, int(fields.width.max(initial=0)))))
    digit = byte - np.uint8(_ZERO)
    good = fields.width <= 40
    for place in (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18):
        good &= digit[place] < 10
    for place, allowed in ((4, "-"), (7, "-"), (13, ":"), (16, ":")):
        good &= byte[place] == ord(allowed)
    good &= (byte[10] == ord(" ")) | (byte[10] == ord("T"))

    def two(place: int) -> NDArray[np.int32]:
        found: NDArray[np.int32] = digit[place] * np.int32(10) + digit[place + 1]
        return found

    month, day, hour, minute, second = (two(place) for place in (5, 8, 11, 14, 17))
    good &= (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60) & (second <= 60)
    months = np.where(good, (two(0) * 100 + two(2) - 1970) * 12 + month - 1, 0)
    # A day is looked up by its month: a trace has few months.
    some, which = np.unique(months, return_inverse=True)
    begin = some.astype("datetime64[M]").astype("datetime64[D]")
    length = ((some + 1).astype("datetime64[M]").astype("datetime64[D]") - begin).astype(np.int64)
    good &= (day >= 1) & (day <= length[which])
    days = (begin - EPOCH).astype(np.int64)[which] + day - 1
    fraction, behind = _fraction(byte, digit)
    shift, whole = _offset(byte, digit, behind, fields.width)
    seconds = days * _DAY_S + (hour * 3600 + minute * 60 + second) + fraction - shift
    return np.where(good & whole, seconds, np.nan)


def _fraction(
    byte: NDArray[np.uint8], digit: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The decimals after the seconds, and the place behind them."""
    count = byte.shape[1]
    value, decimals = np.zeros(count, np.int64), np.zeros(count, np.int64)
    if len(byte) <= _SECONDS_END:
        return np.zeros(count), np.full(count, _SECONDS_END, np.int64)
    point = byte[_SECONDS_END] == _DOT
    reading = point.copy()
    for place in range(_SECONDS_END + 1, min(len(byte), _SECONDS_END + 1 + _MOST_DIGITS)):
        reading &= digit[place] < 10
        if not reading.any():
            break
        value = np.where(reading, value * 10 + digit[place], value)
        decimals += reading
    fraction: NDArray[np.float64] = value / np.power(10.0, decimals)
    behind: NDArray[np.int64] = decimals + point + _SECONDS_END
    return fraction, behind


def _offset(
    byte: NDArray[np.uint8], digit: NDArray[np.uint8], place: NDArray[np.int64], width: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Seconds east of UTC by what stands at ``place``, and whether the field ends with it."""
    rest, every = width - place, np.arange(byte.shape[1])
    last = len(byte) - 1
    sign = byte[np.minimum(place, last), every]
    whole = (rest == 0) | ((rest == 1) & (sign == ord("Z")))
    zoned = (rest == 6) & ((sign == ord("+")) | (sign == ord("-")))
    if not zoned.any():
        return np.zeros(len(rest)), whole
    parts = [digit[np.minimum(place + step, last), every].astype(np.int64) for step in (1, 2, 4, 5)]
    for part in parts:
        zoned &= part < 10
    zoned &= byte[np.minimum(place + 3, last), every] == ord(":")
    shift = (parts[0] * 10 + parts[1]) * 3600.0 + (parts[2] * 10 + parts[3]) * 60.0
    return np.where(zoned, np.where(sign == ord("-"), -shift, shift), 0.0), whole | zoned


def keys(fields: Fields) -> NDArray[np.uint64]:
    """A number by content: equal fields have equal ones, and different fields different ones but for one in 2^64."""
    found = fields.width.astype(np.uint64)
    for byte in fields.matrix(max(1, int(fields.width.max(initial=0)))):
        found = (found ^ byte) * np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(29)
    return found
