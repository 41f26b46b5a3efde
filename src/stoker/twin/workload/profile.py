"""How a rate changes over days: flat, diurnal, weekly, or a measured table."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stoker.errors import InputError, Problem

__all__ = ["DIURNAL", "FLAT", "WEEKLY", "RateProfile", "read_profile"]

_DAY: Final = 24
# Share of the mean rate by hour of the day. Shape of the office-hours service m-large of ServeGen (arXiv 2505.09999),
# two weeks averaged by hour and rounded: twelve times the night's rate in the late morning.
_HOURS: Final = (
    0.45, 0.33, 0.25, 0.21, 0.20, 0.24, 0.38, 0.62, 1.05, 1.55, 1.75, 1.60,
    1.25, 1.45, 1.70, 1.75, 1.65, 1.45, 1.20, 1.15, 1.20, 1.10, 0.90, 0.57,
)  # fmt: skip
_WEEKEND: Final = 0.55  # of a weekday's rate: an assumption


@dataclass(frozen=True, slots=True)
class RateProfile:
    """Relative rates of equal spans of time, repeated for as long as needed; their mean is 1.

    Attributes:
        name: what the user called it.
        span_s: seconds of one entry.
    """

    name: str
    span_s: float
    rates: tuple[float, ...]

    def over(self, duration_s: float) -> NDArray[np.float64]:
        """Relative rates of ``duration_s`` seconds, one per span; their mean is 1 again, so that totals are kept."""
        count = max(1, int(np.ceil(duration_s / self.span_s)))
        rates = np.resize(np.array(self.rates, np.float64), count)
        scaled: NDArray[np.float64] = rates / rates.mean()
        return scaled


def _normal(name: str, span_s: float, rates: Sequence[float]) -> RateProfile:
    mean = sum(rates) / len(rates)
    return RateProfile(name, span_s, tuple(rate / mean for rate in rates))


FLAT: Final = RateProfile("flat", 3600.0, (1.0,))
DIURNAL: Final = _normal("diurnal", 3600.0, _HOURS)
WEEKLY: Final = _normal(
    "weekly", 3600.0, [rate * (_WEEKEND if day >= 5 else 1.0) for day in range(7) for rate in _HOURS]
)
_NAMED: Final = {profile.name: profile for profile in (FLAT, DIURNAL, WEEKLY)}


def read_profile(name: str) -> RateProfile:
    """A profile by name, or from a table of rates: CSV with columns ``t_s`` and ``rps``, spans of equal length.

    A ServeGen table has several services in a column ``model``; ``FILE:SERVICE`` names one of them.

    Raises:
        InputError: no such name or file, or no such table.
    """
    if name in _NAMED:
        return _NAMED[name]
    file, _, service = name.partition(":")
    path = Path(file)
    if not path.is_file():
        raise InputError(
            [Problem("no such profile", found=name, wanted=f"{', '.join(_NAMED)}, or a CSV file of rates")]
        )
    return _from_table(path, service)


def _from_table(path: Path, service: str) -> RateProfile:
    lines = path.read_text(encoding="utf-8").splitlines()
    header = [field.strip() for field in lines[0].split(",")] if lines else []
    if not {"t_s", "rps"} <= set(header):
        raise InputError(
            [
                Problem(
                    "no table of rates",
                    file=str(path),
                    line=1,
                    found=",".join(header)[:80],
                    wanted="columns t_s and rps",
                )
            ]
        )
    rows: list[tuple[float, float]] = []
    services: set[str] = set()
    for number, line in enumerate(lines[1:], start=2):
        fields = dict(zip(header, line.split(","), strict=False))
        services.add(fields.get("model", ""))
        if service and fields.get("model") != service:
            continue
        try:
            rows.append((float(fields["t_s"]), float(fields["rps"])))
        except (KeyError, ValueError) as error:
            raise InputError(
                [
                    Problem(
                        "no rate", file=str(path), line=number, found=line[:80], wanted="t_s,rps as numbers"
                    )
                ]
            ) from error
    if not service and len(services) > 1:
        known = ", ".join(sorted(services))
        raise InputError(
            [Problem("several services in one table", file=str(path), found=known, fix=f"{path}:SERVICE")]
        )
    rows.sort()
    spans = {round(b[0] - a[0], 6) for a, b in pairwise(rows)}
    if len(rows) < 2 or len(spans) != 1 or sum(rate for _, rate in rows) <= 0:
        raise InputError(
            [
                Problem(
                    "rates must be of equal spans",
                    file=str(path),
                    found=f"{len(rows)} rows",
                    wanted="two or more",
                )
            ]
        )
    return _normal(path.stem, spans.pop(), [rate for _, rate in rows])
