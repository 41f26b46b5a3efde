"""Exact confidence intervals of a share, from how often something happened in so many tries.

Source: C. J. Clopper & E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
Biometrika 26 (1934). The interval covers the true share with at least the confidence asked for, whatever the share is.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Final

__all__ = ["share_interval", "tries_for"]

_HALVINGS: Final = 60  # of the unit interval: far below a double's precision


def share_interval(count: int, tries: int, confidence: float) -> tuple[float, float]:
    """Bounds of the share behind ``count`` in ``tries``; (0, 1) for no tries.

    Raises:
        ValueError: a count that cannot be, or a confidence outside of 0 and 1.
    """
    if not 0 <= count <= tries or not 0 < confidence < 1:
        raise ValueError(f"no interval for {count} in {tries} at {confidence}")
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else _where(lambda p: _at_least(count, tries, p), tail)
    high = 1.0 if count == tries else 1 - _where(lambda q: _at_least(tries - count, tries, q), tail)
    return low, high


@cache
def tries_for(share: float, half_width: float, confidence: float) -> int:
    """Fewest tries after which the interval around the expected share is at most twice ``half_width`` wide."""
    most = 1
    while _width(most, share, confidence) > 2 * half_width:
        most *= 2
    low = most // 2
    while most - low > 1:
        middle = (low + most) // 2
        low, most = (low, middle) if _width(middle, share, confidence) <= 2 * half_width else (middle, most)
    return most


def _width(tries: int, share: float, confidence: float) -> float:
    low, high = share_interval(round(tries * share), tries, confidence)
    return high - low


def _where(rising: Callable[[float], float], wanted: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2


def _at_least(count: int, tries: int, share: float) -> float:
    """Probability of ``count`` or more in ``tries``: the shorter tail is added up, from logarithms."""
    if share <= 0 or share >= 1:
        return float(share >= 1 or count == 0)
    log_p, log_q = math.log(share), math.log1p(-share)
    whole = math.lgamma(tries + 1)

    def term(k: int) -> float:
        log = whole - math.lgamma(k + 1) - math.lgamma(tries - k + 1) + k * log_p + (tries - k) * log_q
        return math.exp(log)

    if count * 2 > tries:
        return math.fsum(term(k) for k in range(count, tries + 1))
    return 1 - math.fsum(term(k) for k in range(count))
