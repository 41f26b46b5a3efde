"""Evidence from traffic: two versions' rates of bad requests, compared block by block.

A block is what happened between two looks at the counters: ``n`` requests of each version and ``x`` bad ones among them
(errors, or answers slower than a bound). The claim "the canary's rate is at most the stable version's plus the margin" is
tested by a likelihood ratio: a guess at both rates over the pair of rates within the claim that is nearest to the guess (in
Kullback-Leibler divergence, weighted by the block's requests). For a convex claim that ratio is an e-value whatever the
rates are, so products over blocks obey Ville's inequality as `bets` does, at every look.

Why blocks and not totals: load changes both versions' rates over the day, and the canary's share changes with the steps.
Totals would compare a canary's busy hour with the stable version's quiet one; blocks compare what ran at the same time.

Guesses come from earlier blocks only, the first block of a run merely teaches. Requests that queue together are slow
together. With ``cluster`` = D the ratio is raised to the power 1/D, which keeps the guarantee for any dependence inside
groups of up to D requests (Hölder's inequality: the mean of a product of D D-th roots is at most the product of the roots
of the means).

Sources: Turner, Ly & Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional stopping",
J. Stat. Plan. Inference 230 (2024), theorem 2 (convex null hypotheses on two Bernoulli streams); Grünwald, de Heide & Koolen,
"Safe testing", JRSS B 86 (2024).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stoker.canary.bets import log_mean

__all__ = ["GUESSES", "Totals", "block_evidence", "capital"]

Floats = NDArray[np.float64]

GUESSES: Final = 4
"""Guesses that share the capital, on each side."""

_EDGE: Final = 1e-4  # a guess of exactly 0 or 1 would be refuted for ever by one request
_HALVINGS: Final = 32  # to 1e-10, far below what moves a mean by 1e-6
_LOG_SHARES: Final = np.full(GUESSES, -np.log(GUESSES))


@dataclass(frozen=True, slots=True)
class Totals:
    """Requests and bad ones of both versions; whole numbers, or arrays of them for many runs at once."""

    canary: ArrayLike = 0
    canary_bad: ArrayLike = 0
    stable: ArrayLike = 0
    stable_bad: ArrayLike = 0


def capital(logs: Floats) -> Floats:
    """Logarithm of the capital over all guesses, of the logarithms that `block_evidence` gave, added up over blocks."""
    return log_mean(logs, _LOG_SHARES)


def block_evidence(
    block: Totals, before: Totals, margin: float, cluster: float = 1.0
) -> tuple[Floats, Floats]:
    """What one block says, a logarithm for each guess on the last axis.

    Args:
        block: the new requests.
        before: all of the run before this block; where it holds no request of one version nothing is bet.
        margin: allowed difference of the rates, above 0 and below 1.
        cluster: requests that may depend on one another, at least 1.

    Returns:
        Against "the canary's rate is at most the stable version's plus ``margin``", and against "it is at least that".
    """
    sizes = [np.asarray(size, dtype=np.float64)[..., np.newaxis] for size in (block.canary, block.stable)]
    bad = [
        np.asarray(count, dtype=np.float64)[..., np.newaxis] for count in (block.canary_bad, block.stable_bad)
    ]
    stable = _estimate(before.stable, before.stable_bad)
    canary = _estimate(before.canary, before.canary_bad)
    guesses = np.stack(np.broadcast_arrays(*_guesses(stable, canary, margin)), axis=-1)
    logs = _ratio(guesses, stable[..., np.newaxis], sizes, bad, margin) / cluster
    # Near 0 and 1 there may be no room beyond the line: a guess that the claim allows says nothing against it.
    is_beyond = np.arange(2 * GUESSES) < GUESSES
    line = (stable + margin)[..., np.newaxis]
    logs = np.where(np.where(is_beyond, guesses > line, guesses < line), logs, 0.0)
    teaches = np.minimum(np.asarray(before.stable), np.asarray(before.canary))[..., np.newaxis] > 0
    logs = np.where((sizes[0] > 0) & (sizes[1] > 0) & teaches, logs, 0.0)
    return logs[..., :GUESSES], logs[..., GUESSES:]


def _estimate(requests: ArrayLike, bad: ArrayLike) -> Floats:
    """Krichevsky and Trofimov's estimate, away from the edges."""
    rate = (np.asarray(bad, dtype=np.float64) + 0.5) / (np.asarray(requests, dtype=np.float64) + 1.0)
    clipped: Floats = np.clip(rate, _EDGE, 1 - _EDGE)
    return clipped


def _guesses(stable: Floats, canary: Floats, margin: float) -> list[Floats]:
    """Rates of the canary beyond the line, then within it; the last of each is what it showed so far, if that is there."""
    line = stable + margin
    room = np.maximum(1 - line, 2 * _EDGE)
    beyond = [line + np.minimum(gap, room / 2) for gap in (margin / 2, 2 * margin)] + [line + room / 2]
    within = [line - margin / 2, line - margin, line - 1.5 * margin]
    beyond.append(np.where(canary > line, canary, beyond[0]))
    within.append(np.where(canary < line, canary, within[1]))
    return [np.clip(one, _EDGE, 1 - _EDGE) for one in (*beyond, *within)]


def _ratio(guess: Floats, stable: Floats, sizes: list[Floats], bad: list[Floats], margin: float) -> Floats:
    """Logarithm of the likelihood ratio: the guess over the nearest pair of rates within the claim."""
    near = _nearest(guess, stable, sizes, margin)
    ratio: Floats = (
        bad[0] * np.log(guess / (near + margin))
        + (sizes[0] - bad[0]) * np.log((1 - guess) / (1 - near - margin))
        + bad[1] * np.log(stable / near)
        + (sizes[1] - bad[1]) * np.log((1 - stable) / (1 - near))
    )
    return ratio


def _nearest(guess: Floats, stable: Floats, sizes: list[Floats], margin: float) -> Floats:
    """The stable rate of the nearest pair on the claim's edge, by halving: the divergence's slope rises with the rate."""
    tiny = _EDGE / 100
    shape = np.broadcast_shapes(guess.shape, stable.shape, sizes[0].shape, sizes[1].shape)
    low, high = np.full(shape, tiny), np.full(shape, 1 - margin - tiny)
    for _ in range(_HALVINGS):
        rate = (low + high) / 2
        raised = rate + margin
        slope = sizes[0] * (raised - guess) / (raised * (1 - raised)) + sizes[1] * (rate - stable) / (
            rate * (1 - rate)
        )
        low, high = np.where(slope < 0, rate, low), np.where(slope < 0, high, rate)
    found: Floats = (low + high) / 2
    return found
