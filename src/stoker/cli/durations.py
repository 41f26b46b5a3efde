"""Durations on the command line: 90s, 15m, 12h, 30d."""

from stoker.errors import InputError, Problem

__all__ = ["seconds_of"]


def seconds_of(option: str, duration: str | None) -> float | None:
    """Seconds; None where the option was not given.

    Raises:
        InputError: no duration, none above zero, or one beyond a year.
    """
    if duration is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
    number, unit = duration[:-1], duration[-1:]
    try:
        seconds = float(number) * units[unit] if unit in units else float(duration)
    except ValueError:
        seconds = float("nan")
    if not 0 < seconds <= 366 * 86_400:
        raise InputError(
            [
                Problem(
                    "no duration",
                    path=option,
                    found=duration or "nothing",
                    wanted="as 90m, 12h, 30d, above 0 and up to a year",
                    fix=f"{option} 366d" if seconds > 0 else f"{option} 30d",
                )
            ]
        )
    return seconds
