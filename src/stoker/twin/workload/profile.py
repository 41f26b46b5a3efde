"""How a rate changes over days: flat, diurnal, weekly, or as in a trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stoker.twin.workload.shapes import CHAT, CODING
from stoker.twin.workload.traffic import Traffic

__all__ = ["DIURNAL", "FLAT", "NAMED", "WEEKLY", "WEEKLY_CHAT", "RateProfile", "measured_profile"]

_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class RateProfile:
    """Relative rates of equal spans of time, repeated for as long as needed; their mean is 1.

    Attributes:
        name: what the user called it.
        span_s: seconds of one entry.
        rates: at least one; not all zero.
    """

    name: str
    span_s: float
    rates: tuple[float, ...]

    @classmethod
    def of(cls, name: str, span_s: float, rates: Sequence[float]) -> "RateProfile":
        """A profile from rates of any unit."""
        mean = sum(rates) / len(rates)
        return cls(name, span_s, tuple(rate / mean for rate in rates))

    def over(self, duration_s: float) -> NDArray[np.float64]:
        """Relative rates of ``duration_s`` seconds, one per span; their mean is 1 again, so that totals are kept."""
        count = max(1, int(np.ceil(duration_s / self.span_s)))
        rates = np.resize(np.array(self.rates, np.float64), count)
        if not rates.any():  # a duration that ends before the profile's first request
            rates = np.ones(count)
        scaled: NDArray[np.float64] = rates / rates.mean()
        return scaled

    def work(self, duration_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Edges of the spans in seconds, and the share of all requests that has come by each, 0 to 1."""
        rates = self.over(duration_s)
        edges = np.minimum(np.arange(len(rates) + 1) * self.span_s, duration_s)
        done = np.concatenate(([0.0], np.cumsum(rates * np.diff(edges))))
        return edges, done / done[-1]


FLAT: Final = RateProfile("flat", _HOUR_S, (1.0,))
WEEKLY: Final = RateProfile.of("weekly", _HOUR_S, [rate for day in CODING for rate in day])
WEEKLY_CHAT: Final = RateProfile.of("weekly-chat", _HOUR_S, [rate for day in CHAT for rate in day])
DIURNAL: Final = RateProfile.of(
    "diurnal", _HOUR_S, [float(sum(rates)) for rates in zip(*CODING[:5], strict=True)]
)
NAMED: Final = {profile.name: profile for profile in (FLAT, DIURNAL, WEEKLY, WEEKLY_CHAT)}


def measured_profile(traffic: Traffic, span_s: float = _HOUR_S) -> RateProfile:
    """The traffic's own rates, one a span; a last part of a span is left out where there are whole ones."""
    whole = max(1, int(traffic.duration_s / span_s))
    counts = np.bincount((traffic.arrival_s / span_s).astype(np.int64), minlength=whole)[:whole]
    return RateProfile.of("trace", span_s, [float(count) for count in counts])
