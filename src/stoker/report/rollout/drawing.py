"""Charts of lines over time as SVG without a script: the lines stretch with the page, the words beside them do not.

Labels are HTML over the drawing, so that a phone reads them at full size; gaps in the data are gaps in the line.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

__all__ = [
    "HEIGHT",
    "WIDTH",
    "Points",
    "Scale",
    "log_scale",
    "path",
    "ratio_scale",
    "thinned",
    "time_ticks",
    "value_scale",
]

WIDTH: Final = 1000.0  # of the drawing's own coordinates
HEIGHT: Final = 300.0
_MOST_POINTS: Final = 360  # of one line: more than a phone has pixels for
_TICKS: Final = 7
_STEPS_S: Final = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000,
)  # fmt: skip

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to shares of an axis, 0 at its begin and 1 at its end.

    Attributes:
        ticks: values with a label.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """The share; what lies outside is cut off at the edge."""
        if self.is_log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))


def ratio_scale() -> Scale:
    """0 to 100 %."""
    return Scale(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))


def value_scale(values: Iterable[float], *, whole: bool = False) -> Scale:
    """From zero to a round number above all values; ``whole`` for what comes in whole numbers only."""
    top = max(values, default=0.0)
    if top <= 0:
        return Scale(0.0, 1.0, (0.0, 1.0))
    raw = top / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    step = max(1.0, step) if whole else step
    count = math.ceil(top / step - 1e-9)
    return Scale(0.0, step * count, tuple(step * number for number in range(count + 1)))


def log_scale(values: Iterable[float]) -> Scale:
    """Whole decades around all values; nothing at or below zero has a place on it."""
    there = [value for value in values if value > 0]
    if not there:
        return Scale(0.1, 10.0, (0.1, 1.0, 10.0), is_log=True)
    low = math.floor(math.log10(min(there)) + 1e-9)
    high = max(low + 1, math.ceil(math.log10(max(there)) - 1e-9))
    return Scale(10.0**low, 10.0**high, tuple(10.0**power for power in range(low, high + 1)), is_log=True)


def time_ticks(start: float, end: float) -> tuple[tuple[float, str], ...]:
    """Round moments in UTC with their words: days where the whole is longer than two of them, else times of day."""
    span = end - start
    step = next((size for size in _STEPS_S if span / size <= _TICKS), _STEPS_S[-1])
    form = (
        "%m-%d"
        if step >= 86_400
        else "%d. %H:%M"
        if span > 172_800
        else "%H:%M"
        if step >= 60
        else "%H:%M:%S"
    )
    first = math.ceil(start / step) * step
    count = max(0, math.floor((end - first) / step) + 1)
    moments = [float(first + number * step) for number in range(count)]
    return tuple((at, datetime.fromtimestamp(at, UTC).strftime(form)) for at in moments)


def thinned(points: Points, most: int = _MOST_POINTS) -> Points:
    """At most so many points: the lowest and the highest of each stretch stay, and so do gaps as wide as one."""
    if len(points) <= most:
        return points
    size = math.ceil(len(points) / (most / 2))
    found: list[tuple[float, float | None]] = []
    for begin in range(0, len(points), size):
        chunk = points[begin : begin + size]
        there = [(at, value) for at, value in chunk if value is not None]
        if not there:
            found.append((chunk[0][0], None))
            continue
        ends = {min(there, key=lambda point: point[1]), max(there, key=lambda point: point[1])}
        found += sorted(ends)
    return found


def path(points: Points, start: float, end: float, scale: Scale) -> str:
    """The ``d`` of a line; a point alone between gaps is drawn as a dot of no length."""
    parts: list[str] = []
    run: list[str] = []

    def close() -> None:
        if run:
            parts.append("M" + "L".join(run if len(run) > 1 else [run[0], run[0]]))
            run.clear()

    for at, value in points:
        if value is None or not start <= at <= end or (scale.is_log and value <= 0):
            close()
            continue
        x, y = WIDTH * (at - start) / (end - start), HEIGHT * (1 - scale(value))
        run.append(f"{x:.1f} {y:.1f}")
    close()
    return "".join(parts)
