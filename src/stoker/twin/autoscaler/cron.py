"""Windows of KEDA's cron trigger (kedacore/keda v2.20.2 pkg/scalers/cron_scaler.go, robfig/cron's five fields).

Left out: months, days of month and the time zone. Virtual time zero is a Monday at midnight, and every week is like the next.
"""

from dataclasses import dataclass

from stoker.errors import StokerError

__all__ = ["Window", "parse_window"]

_MINUTES_OF_WEEK = 7 * 24 * 60
_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of a week in which the window is open, as one bit each."""

    open_minutes: tuple[bool, ...]

    def contains(self, now: float) -> bool:
        """Whether the window is open at ``now`` seconds."""
        return self.open_minutes[int(now // 60) % _MINUTES_OF_WEEK]


def parse_window(start: str, end: str) -> Window:
    """The window between two cron expressions: open while the next end does not come after the next start.

    Raises:
        StokerError: an expression is no five-field cron expression, or both are the same.
    """
    starts, ends = _fires(start), _fires(end)
    if start == end:
        raise StokerError(f"start and end are the same: {start!r}", fix="let the window end at another time")
    to_start, to_end = _next(starts), _next(ends)
    return Window(tuple(end <= start for start, end in zip(to_start, to_end, strict=True)))


def _next(fires: frozenset[int]) -> list[int]:
    """Minutes from each minute of the week to the next fire after it."""
    waits = [0] * _MINUTES_OF_WEEK
    wait = min(fires)
    for minute in reversed(range(_MINUTES_OF_WEEK)):
        wait += 1
        waits[minute] = wait
        if minute in fires:
            wait = 0
    return waits


def _fires(expression: str) -> frozenset[int]:
    fields = expression.split()
    if len(fields) != 5:
        raise _refused(expression)
    try:
        minutes, hours = _values(fields[0], 0, 59), _values(fields[1], 0, 23)
        _values(fields[2], 1, 31)
        _values(fields[3], 1, 12, _MONTHS)
        # Cron's week begins on Sunday; the twin's begins on Monday.
        days = {(day - 1) % 7 for day in _values(fields[4], 0, 6, _DAYS)}
    except ValueError as error:
        raise _refused(expression) from error
    return frozenset((day * 24 + hour) * 60 + minute for day in days for hour in hours for minute in minutes)


def _refused(expression: str) -> StokerError:
    return StokerError(
        f"no cron expression: {expression!r}", fix="five fields: minute hour day month weekday"
    )


def _values(field: str, least: int, most: int, names: dict[str, int] | None = None) -> set[int]:
    found: set[int] = set()
    for part in field.lower().split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if first in {"*", "?"}:
            begin, end = least, most
        else:
            begin = _number(first, names)
            end = _number(last, names) if dash else most if slash else begin
        stride = _number(step, None) if slash else 1
        if not least <= begin <= end <= most or stride == 0:
            raise ValueError(part)
        found.update(range(begin, end + 1, stride))
    return found


def _number(text: str, names: dict[str, int] | None) -> int:
    if names and text in names:
        return names[text]
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)
