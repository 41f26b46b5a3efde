"""Cron expressions with time zones, as robfig/cron v3 reads them (parser.go, spec.go: ParseStandard, SpecSchedule.Next).

Five fields, names of months and days, ``@hourly`` and its like, ``@every 90s``, ``TZ=`` in front. Where the clocks are put
forward, times that do not exist are left out; where they are put back, times that exist twice come twice.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

__all__ = ["Schedule", "parse_schedule", "zone"]

_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
# SpecSchedule.Next gives up after five years: the 30th of February never comes.
_MOST_DAYS = 5 * 366


def zone(name: str | None) -> tzinfo:
    """A time zone by its name; UTC where none is given.

    Raises:
        ValueError: nobody knows it.
    """
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"unknown time zone {name}") from error


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something is due: minutes, hours, days of the month, months, days of the week; or every so many seconds."""

    minutes: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    is_any_day: bool = True
    where: tzinfo = UTC
    every_s: float = 0.0

    def next(self, after: datetime) -> datetime | None:
        """The first time after a moment; None where there is none within five years."""
        if self.every_s:
            return after.replace(microsecond=0) + timedelta(seconds=self.every_s)
        day = after.astimezone(self.where).date()
        for _ in range(_MOST_DAYS):
            if self._fits(day):
                times = (one for one in self._times(day) if one > after)
                found = min(times, default=None)
                if found is not None:
                    return found
            day += timedelta(days=1)
        return None

    def _fits(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        # Where both are restricted, either will do.
        return in_month and in_week if self.is_any_day else in_month or in_week

    def _times(self, day: date) -> set[datetime]:
        found = set()
        for hour in self.hours:
            for minute in self.minutes:
                for fold in (0, 1):
                    there = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.where, fold=fold)
                    moment = there.astimezone(UTC)
                    if moment.astimezone(self.where).replace(tzinfo=None) == there.replace(tzinfo=None):
                        found.add(moment)
        return found


def parse_schedule(text: str, time_zone: str | None = None) -> Schedule:
    """Read an expression.

    Raises:
        ValueError: it is none; the message says what is wrong with it.
    """
    where = zone(time_zone)
    prefixed = re.match(r"(?:CRON_)?TZ=(\S+)\s+(.*)", text)
    if prefixed is not None:
        where, text = zone(prefixed[1]), prefixed[2]
    text = text.strip()
    if text.startswith("@every "):
        return Schedule(every_s=max(1.0, float(int(_duration(text[7:])))))
    if text.startswith("@"):
        if text not in _WORDS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _WORDS[text]
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    minutes, hours, days, months, weekdays = fields
    return Schedule(
        minutes=tuple(sorted(_values(minutes, 0, 59))),
        hours=tuple(sorted(_values(hours, 0, 23))),
        days=frozenset(_values(days, 1, 31)),
        months=frozenset(_values(months, 1, 12, _MONTHS)),
        weekdays=frozenset(_values(weekdays, 0, 6, _DAYS)),
        is_any_day=any(_is_star(field) for field in (days, weekdays)),
        where=where,
    )


def _is_star(field: str) -> bool:
    """Whether a field leaves days open: a star, alone or by steps of one."""
    stars = {one + step for one in "*?" for step in ("", "/1")}
    return any(part in stars for part in field.split(","))


def _duration(text: str) -> float:
    parts = re.findall(r"(\d+(?:\.\d*)?)(h|ms|us|ns|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"failed to parse duration @every {text}")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _values(field: str, least: int, most: int, names: dict[str, int] | None = None) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if first in {"*", "?"}:
            begin, end = least, most
        else:
            begin = _number(first, names)
            end = _number(last, names) if dash else most if slash else begin
        stride = _number(step, None) if slash else 1
        if begin < least:
            raise ValueError(f"beginning of range ({begin}) below minimum ({least}): {part}")
        if end > most:
            raise ValueError(f"end of range ({end}) above maximum ({most}): {part}")
        if begin > end:
            raise ValueError(f"beginning of range ({begin}) beyond end of range ({end}): {part}")
        if stride == 0:
            raise ValueError(f"step of range should be a positive number: {part}")
        found.update(range(begin, end + 1, stride))
    return found


def _number(text: str, names: dict[str, int] | None) -> int:
    if names and text.lower() in names:
        return names[text.lower()]
    if not text.isdecimal():
        raise ValueError(f"failed to parse int from {text}")
    return int(text)
