"""Cron expressions and time zones."""

import re
import zoneinfo
from functools import cache
from typing import Final

from stoker.platform.check.finding import suggest

__all__ = ["cron_fault", "timezone_fault"]

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Ranges and names as robfig/cron v3's standard parser has them, which KEDA's cron scaler uses.
_FIELDS: Final[tuple[tuple[str, int, int, dict[str, int]], ...]] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_PART: Final = re.compile(r"^(\*|\?|[a-z0-9]{1,4}(?:-[a-z0-9]{1,4})?)(?:/(\d{1,4}))?$")


def cron_fault(expression: str) -> str:
    """What is wrong with a five-field expression, or nothing."""
    for text, (name, low, high, words) in zip(expression.lower().split(" "), _FIELDS, strict=True):
        for part in text.split(","):
            match = _PART.match(part)
            if not match or (match[2] is not None and int(match[2]) == 0):
                return f"`{part[:20]}` is no {name}"
            if match[1] in {"*", "?"}:
                continue
            ends = [
                words[end] if end in words else int(end) if end.isdecimal() else -1
                for end in match[1].split("-")
            ]
            if any(not low <= end <= high for end in ends) or ends != sorted(ends):
                return f"`{part[:20]}` is no {name} ({low}-{high})"
    return ""


def timezone_fault(name: str) -> tuple[str, str]:
    """What is wrong with a time zone's name and the likely one, or nothing twice."""
    known = _timezones()
    # A machine without a time zone database knows no names; then the cluster must judge.
    if not known or name in known:
        return "", ""
    return "no time zone has that name", suggest(name, known)


@cache
def _timezones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
