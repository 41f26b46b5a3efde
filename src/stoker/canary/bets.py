"""Evidence from pairs: bets against a bounded mean, right however often one looks.

A pair of answers gives one outcome: 1 where only the canary failed, −1 where only the stable version did, 0 where they
agree; or, of latencies, 1 where the canary was slower by more than the margin and 0 where it was not. The claim "the mean
outcome is at most m" is bet against: capital starts at 1 and is multiplied by ``1 + λ (outcome − m)`` a pair. Where the
claim is true, no choice of λ makes the capital grow on average, so that

    P(the capital ever reaches 1/a) ≤ a        (Ville's inequality)

at every moment at once: looking after each pair, stopping early and going on later cost nothing. That holds with any
change over time as long as each pair's mean, given those before, is at most m.

λ is no tuning knob: the capital is spread over a ladder of stakes, half on the boldest, a quarter on the next, and so on. A
ladder that is fixed beforehand needs the counts of outcomes only, not their order, which is why a run's whole evidence is a
few whole numbers.

A canary may break in the middle of a step. Half of the capital is bet from the beginning, the rest is laid down bit by bit at
later looks (`since`), where it knows nothing of the good time before; deposits that are fixed beforehand keep the bound.

Sources: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024), section 4 and
its appendix on diversified bets; Shafer, "Testing by betting", JRSS A 184 (2021);
deposits: Shin, Ramdas & Rinaldo, "E-detectors", NEJSDS 2 (2024), section 2.
"""

import functools
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["DIFFERENCES", "SIGNS", "against_at_least", "against_at_most", "log_deposits", "log_mean", "since"]

Floats = NDArray[np.float64]

SIGNS: Final = (0.0, 1.0)
"""Outcomes of a latency pair: not slower, slower."""

DIFFERENCES: Final = (-1.0, 0.0, 1.0)
"""Outcomes of a pass-or-fail pair: only the stable version failed, no difference, only the canary failed."""

# The boldest stake is a little below the one that a single outcome would bankrupt.
_STAKES: Final = 0.95 * 0.5 ** np.arange(8)
_LOG_SHARES: Final = np.log(0.5 ** np.arange(1, 9) / np.sum(0.5 ** np.arange(1, 9)))


def against_at_most(counts: ArrayLike, outcomes: tuple[float, ...], bound: float) -> Floats:
    """Logarithm of the capital won against "the mean outcome is at most ``bound``".

    Args:
        counts: how often each outcome came; the last axis is that of ``outcomes``, others are kept.
        outcomes: the values that can come, in rising order.
        bound: m, strictly between the least and the greatest outcome.
    """
    return _capital(counts, _factors(outcomes, bound, 1.0))


def against_at_least(counts: ArrayLike, outcomes: tuple[float, ...], bound: float) -> Floats:
    """Logarithm of the capital won against "the mean outcome is at least ``bound``"; as `against_at_most`."""
    return _capital(counts, _factors(outcomes, bound, -1.0))


def since(starts: ArrayLike, counts: ArrayLike, outcomes: tuple[float, ...], bound: float) -> Floats:
    """As `against_at_most`, with capital that is laid down at several looks.

    Args:
        starts: the counts at each of those looks, on the last axis but one; the first is the beginning.
        counts: the counts now.
        outcomes: as there.
        bound: as there.
    """
    begun = np.asarray(starts, dtype=np.float64)
    grown = np.asarray(counts, dtype=np.float64)[..., np.newaxis, :] - begun
    return log_mean(against_at_most(grown, outcomes, bound), log_deposits(begun.shape[-2]))


@functools.lru_cache(maxsize=256)  # one for each look, again at every criterion
def log_deposits(count: int) -> Floats:
    """Logarithms of the shares that are laid down at the beginning (a half) and at later looks (1/2k(k+1) at the k-th)."""
    later = np.arange(1, count)
    shares: Floats = np.log(np.concatenate([[0.5], 0.5 / (later * (later + 1))]))
    shares.setflags(write=False)
    return shares


@functools.lru_cache(maxsize=64)  # a run has few criteria, and asks at every look
def _factors(outcomes: tuple[float, ...], bound: float, sign: float) -> Floats:
    """Logarithms of what a stake becomes, outcome × stake."""
    gains = sign * (np.asarray(outcomes) - bound)
    found: Floats = np.log1p(np.outer(gains, _STAKES / -gains.min()))
    found.setflags(write=False)
    return found


def _capital(counts: ArrayLike, factors: Floats) -> Floats:
    return log_mean(np.asarray(counts, dtype=np.float64) @ factors, _LOG_SHARES)


def log_mean(logs: Floats, log_shares: Floats) -> Floats:
    """Logarithm of a weighted mean of capitals, of their logarithms along the last axis."""
    lifted = logs + log_shares
    most = lifted.max(axis=-1, keepdims=True)
    summed: Floats = most[..., 0] + np.log(np.exp(lifted - most).sum(axis=-1))
    return summed
