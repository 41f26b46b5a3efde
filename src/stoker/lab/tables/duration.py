"""Ages and durations as Kubernetes prints them.

Upstream: staging/src/k8s.io/apimachinery/pkg/util/duration/duration.go.
"""

from datetime import UTC, datetime, timedelta

__all__ = ["age", "human_duration", "parse_time"]

UNKNOWN = "<unknown>"


def human_duration(duration: timedelta) -> str:
    """Two or three significant figures: ``45s``, ``5m12s``, ``3h``, ``2d4h``; clocks two seconds apart are forgiven."""
    total = duration.days * 86400 + duration.seconds
    if total < 0 and duration.microseconds:
        total += 1  # Go truncates towards zero, timedelta rounds down
    if total < -1:
        return "<invalid>"
    if total < 0:
        return "0s"
    if total < 120:
        return f"{total}s"
    minutes = total // 60
    if minutes < 10:
        return _pair(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    return _long(total // 3600, minutes % 60)


def _long(hours: int, minutes: int) -> str:
    if hours < 8:
        return _pair(hours, "h", minutes, "m")
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 24 * 8:
        return _pair(days, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{days}d"
    if hours < 24 * 365 * 8:
        return _pair(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def parse_time(text: str) -> datetime:
    """A time of an object, whole seconds or microseconds.

    Raises:
        ValueError: it is no RFC 3339 time.
    """
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def age(timestamp: str | None, now: datetime) -> str:
    """How long ago a time was; ``<unknown>`` where there is none."""
    if not timestamp:
        return UNKNOWN
    try:
        return human_duration(now - parse_time(timestamp))
    except ValueError:
        return "<invalid>"
