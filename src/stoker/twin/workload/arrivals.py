"""Arrivals without a trace, and how any arrivals are fitted to a rate that changes."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stoker.twin.workload.profile import FLAT, RateProfile

__all__ = ["CHUNK", "arrivals", "in_time", "renewal_gaps"]

CHUNK: Final = 1 << 20
"""Rows that are worked on at once, so that temporary arrays stay small beside the columns."""

# Beyond, a gamma process is one burst and a silence: two thirds of all requests come at the same instant.
_MOST_CV: Final = 15.0


def arrivals(
    rate: float,
    duration_s: float,
    rng: np.random.Generator,
    *,
    cv: float = 1.0,
    profile: RateProfile = FLAT,
) -> NDArray[np.float64]:
    """Times of ``rate * duration_s`` arrivals, rounded, in seconds and in order.

    Args:
        rate: mean requests per second.
        duration_s: seconds in which they come.
        rng: of the gaps.
        cv: coefficient of variation of the gaps: 1 is a Poisson process, above are bursts, below is regularity. A gamma
            renewal process (BurstGPT, arXiv 2401.17644, and ServeGen, arXiv 2505.09999, fit gamma gaps to real traffic).
        profile: how the rate changes; the burstiness is that of a clock which runs as fast as the rate.
    """
    count = max(1, round(rate * duration_s))
    gaps = np.empty(count)
    for begin in range(0, count, CHUNK):
        end = min(count, begin + CHUNK)
        gaps[begin:end] = renewal_gaps(end - begin, cv, rng)
    return in_time(gaps, duration_s, profile)


def renewal_gaps(count: int, cv: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Independent gamma gaps with mean 1."""
    shape = 1.0 / min(_MOST_CV, max(0.01, cv)) ** 2
    return rng.gamma(shape, 1.0 / shape, count)


def in_time(gaps: NDArray[np.float64], duration_s: float, profile: RateProfile) -> NDArray[np.float64]:
    """Arrivals with these gaps between them, laid over ``duration_s`` seconds by the inverse of the summed rate.

    ``gaps`` is overwritten: it becomes the result. Their sum is one mean gap less than the duration, so that the mean rate
    is what was asked for.
    """
    count = len(gaps)
    np.cumsum(gaps, out=gaps)
    total = float(gaps[-1])
    gaps *= count / (count + 1.0) / total if total > 0 else 0.0
    if profile.rates == FLAT.rates:
        gaps *= duration_s
        return gaps
    edges, done = profile.work(duration_s)
    for begin in range(0, count, CHUNK):
        part = slice(begin, begin + CHUNK)
        gaps[part] = np.interp(gaps[part], done, edges)
    return gaps
