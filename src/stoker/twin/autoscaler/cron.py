"""Windows of KEDA's cron trigger. Virtual time zero is a Monday at midnight UTC; months and days of month are not told apart."""

from dataclasses import dataclass

from stoker.errors import StokerError

__all__ = ["Window", "parse_window"]

_MINUTES_OF_WEEK = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of a week in which the window is open, as one bit each."""

    open_minutes: tuple[bool, ...]

    def contains(self, now: float) -> bool:
        """Whether the window is open at ``now`` seconds."""
        return self.open_minutes[int(now // 60) % _MINUTES_OF_WEEK]


def parse_window(start: str, end: str) -> Window:
    """The window between two cron expressions.

    Raises:
        StokerError: an expression is no five-field cron expression.
    """
    starts, ends = _fires(start), _fires(end)
    if not starts or not ends:
        return Window((False,) * _MINUTES_OF_WEEK)
    # Whatever fired last decides; a week before the first minute shows how the week begins.
    is_open = False
    minutes = []
    for minute in range(-_MINUTES_OF_WEEK, _MINUTES_OF_WEEK):
        here = minute % _MINUTES_OF_WEEK
        if here in ends:
            is_open = False
        if here in starts:
            is_open = True
        if minute >= 0:
            minutes.append(is_open)
    return Window(tuple(minutes))


def _fires(expression: str) -> frozenset[int]:
    fields = expression.split()
    if len(fields) != 5:
        raise StokerError(
            f"no cron expression: {expression!r}", fix="five fields: minute hour day month weekday"
        )
    minutes, hours = _values(fields[0], 0, 59, expression), _values(fields[1], 0, 23, expression)
    # Cron's week begins on Sunday, and 7 is Sunday too; the twin's begins on Monday.
    days = {(day - 1) % 7 for day in _values(fields[4], 0, 7, expression)}
    return frozenset((day * 24 + hour) * 60 + minute for day in days for hour in hours for minute in minutes)


_NAMES = {name: str(number) for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}


def _values(field: str, least: int, most: int, expression: str) -> set[int]:
    found: set[int] = set()
    try:
        for part in field.lower().split(","):
            span, _, step = part.partition("/")
            first, dash, last = span.partition("-")
            if first == "*":
                begin, end = least, most
            else:
                begin = int(_NAMES.get(first, first))
                end = int(_NAMES.get(last, last)) if dash else most if step else begin
            found.update(range(begin, end + 1, int(step or 1)))
    except ValueError as error:
        raise StokerError(
            f"no cron expression: {expression!r}", fix="five fields: minute hour day month weekday"
        ) from error
    return {value for value in found if least <= value <= most}
