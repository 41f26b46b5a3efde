"""Values with their units, for people; the same words in the terminal and on the page."""

from datetime import UTC, datetime

__all__ = ["NO_DATA", "change", "clock", "day_and_time", "duration", "shown"]

NO_DATA = "no data"


def shown(value: float | None, unit: str) -> str:
    """A value to three digits in the unit that suits it; `NO_DATA` for None."""
    if value is None:
        return NO_DATA
    if unit == "ratio":
        percent = 100 * value
        return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.2g} %"
    if unit == "seconds":
        return duration(value)
    if unit.startswith("usd"):
        return f"${value:,.0f}" if abs(value) >= 100 else f"${value:,.2f}"
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:,.3g}"


def duration(seconds: float) -> str:
    """``363 ms``, ``3.41 s``, ``2 min 30 s``, ``4 h 10 min``, ``30 days``."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    for size, name, lower, lower_name in (
        (86_400, "days", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= size * (2 if name == "days" else 1):
            whole, rest = divmod(round(seconds / lower), round(size / lower))
            return f"{whole} {name}" + (f" {rest} {lower_name}" if rest and whole < 10 else "")
    return f"{seconds:.0f} s"


def change(before: float | None, after: float | None, unit: str) -> str:
    """How it changed: percentage points for ratios, percent for the rest; empty where there is nothing to compare."""
    if before is None or after is None:
        return ""
    if before == after:
        return "unchanged"
    if unit == "ratio":
        points = 100 * (after - before)
        return f"{points:+.0f} points" if abs(points) >= 1 else f"{points:+.1g} points"
    if before == 0:
        return f"+{shown(after, unit)}"
    percent = 100 * (after / before - 1)
    return f"{percent:+.0f} %" if abs(percent) >= 0.5 else "unchanged"


def clock(when: datetime, *, seconds: bool = True) -> str:
    """Time of day in UTC."""
    return when.astimezone(UTC).strftime("%H:%M:%S" if seconds else "%H:%M")


def day_and_time(when: datetime) -> str:
    """``2026-11-27 10:00:00``, in UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
