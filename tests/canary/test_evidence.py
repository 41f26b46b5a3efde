"""The evidence is what it says: no more capital on average than was laid down, and enough of it where it should win."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stoker.canary import bets, rates
from stoker.canary.rates import Totals

Floats = NDArray[np.float64]

RUNS = 1500
# What one criterion may err at one step in a plan of five criteria and three steps, and beta.
EACH, BETA = 0.05 / 15, 0.05


def _upper(share: float) -> float:
    """The share that `RUNS` runs may show where the truth is at most ``share``: three standard deviations above."""
    return share + 3 * math.sqrt(share * (1 - share) / RUNS)


def _ever(logs: Floats, error: float) -> float:
    """Share of the runs in which the capital ever reached 1/error."""
    return float((logs >= -math.log(error)).any(axis=1).mean())


def _median(logs: Floats, error: float) -> float:
    """Samples until then, in the median run; infinite where half of them never came there."""
    hit = logs >= -math.log(error)
    return float(np.median(np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, np.inf)))


# --- exact: by all that can happen ------------------------------------------------------------------------------------


@given(
    bound=st.sampled_from([0.01, 0.05, 0.3]),
    canary_only=st.floats(0, 1),
    stable_only=st.floats(0, 1),
)
def test_no_pair_of_rates_within_the_claim_wins_on_average(
    bound: float, canary_only: float, stable_only: float
) -> None:
    most, least = (canary_only, stable_only * (1 - canary_only))
    pairs = 4
    at_most = at_least = 0.0
    for outcome in itertools.product((0, 1, 2), repeat=pairs):
        chance = math.prod((least, 1 - least - most, most)[one] for one in outcome)
        counts = [outcome.count(one) for one in range(3)]
        at_most += chance * math.exp(bets.against_at_most(counts, bets.DIFFERENCES, bound))
        at_least += chance * math.exp(bets.against_at_least(counts, bets.DIFFERENCES, bound))

    assert at_most <= 1 + 1e-9 or most - least > bound
    assert at_least <= 1 + 1e-9 or most - least < bound


@pytest.mark.parametrize("cluster", [1.0, 5.0])
@pytest.mark.parametrize("margin", [0.01, 0.05, 0.4])
@pytest.mark.parametrize(
    "before", [Totals(50, 0, 900, 3), Totals(50, 20, 900, 300), Totals(40, 38, 40, 39), Totals(9, 9, 9, 0)]
)
def test_no_block_of_traffic_within_the_claim_wins_on_average(
    before: Totals, margin: float, cluster: float
) -> None:
    canary, stable = np.meshgrid(np.arange(6), np.arange(10), indexing="ij")
    shape = np.ones_like(canary)
    harm, safe = rates.block_evidence(
        Totals(5 * shape, canary, 9 * shape, stable), before, margin, cluster
    )  # every outcome of 5 requests beside 9
    for p in np.linspace(0, 1, 21):
        for q in np.linspace(0, 1, 21):
            chance = _binomial(5, p)[:, None] * _binomial(9, q)[None, :]
            if p <= q + margin:
                assert (chance * np.exp(rates.capital(harm))).sum() <= 1 + 1e-6
            if p >= q + margin:
                assert (chance * np.exp(rates.capital(safe))).sum() <= 1 + 1e-6


def _binomial(count: int, rate: float) -> Floats:
    return np.array([math.comb(count, k) * rate**k * (1 - rate) ** (count - k) for k in range(count + 1)])


# --- by simulation: looked at after every sample ----------------------------------------------------------------------


def _differences(rng: np.random.Generator, stable_only: float, canary_only: float, pairs: int) -> Floats:
    drawn = rng.random((RUNS, pairs))
    less, more = (drawn < stable_only).cumsum(1), (drawn > 1 - canary_only).cumsum(1)
    return np.stack([less, np.arange(1, pairs + 1) - less - more, more], axis=-1).astype(float)


def _signs(rng: np.random.Generator, slower: float | Floats, pairs: int) -> Floats:
    slow = (rng.random((RUNS, pairs)) < slower).cumsum(1)
    return np.stack([np.arange(1, pairs + 1) - slow, slow], axis=-1).astype(float)


@pytest.mark.parametrize(("stable_only", "canary_only"), [(0.0, 0.02), (0.03, 0.05), (0.2, 0.22)])
def test_on_the_line_pairs_rarely_say_anything(stable_only: float, canary_only: float) -> None:
    counts = _differences(np.random.default_rng(1), stable_only, canary_only, 800)

    assert _ever(bets.against_at_most(counts, bets.DIFFERENCES, 0.02), EACH) <= _upper(EACH)
    assert _ever(bets.against_at_least(counts, bets.DIFFERENCES, 0.02), BETA) <= _upper(BETA)


@pytest.mark.parametrize("swing", [0.0, 0.4])
def test_on_the_line_signs_rarely_say_anything_even_where_the_load_swings(swing: float) -> None:
    wave = 0.5 - swing * np.abs(np.sin(np.arange(600) / 20))
    below = _signs(np.random.default_rng(2), wave, 600)
    above = _signs(np.random.default_rng(3), 1 - wave, 600)

    assert _ever(bets.against_at_most(below, bets.SIGNS, 0.5), EACH) <= _upper(EACH)
    assert _ever(bets.against_at_least(above, bets.SIGNS, 0.5), BETA) <= _upper(BETA)


def test_capital_laid_down_at_every_look_keeps_the_bound_and_sees_a_change_soon() -> None:
    looks = np.arange(20, 801, 20) - 1
    slower = np.where(np.arange(800) < 400, 0.1, 0.95)
    line = _signs(np.random.default_rng(11), 0.5, 800)[:, looks]
    breaks = _signs(np.random.default_rng(12), slower, 800)[:, looks]
    zero = np.zeros((RUNS, 1, 2))

    def capital(counts: Floats) -> Floats:
        starts = np.concatenate([zero, counts[:, :-1]], axis=1)
        found = [
            bets.since(starts[:, : look + 1], counts[:, look], bets.SIGNS, 0.5) for look in range(len(looks))
        ]
        return np.stack(found, axis=1)

    assert _ever(capital(line), EACH) <= _upper(EACH)
    assert _median(capital(breaks), EACH) <= 20 + 3  # the change comes after look 20
    assert _median(bets.against_at_most(breaks, bets.SIGNS, 0.5), EACH) > 20 + 15


@pytest.mark.parametrize(
    ("stable_only", "canary_only", "margin", "most"),
    [(0.0, 0.0, 0.02, 190), (0.005, 0.005, 0.02, 300), (0.02, 0.02, 0.02, 750), (0.1, 0.1, 0.05, 680)],
)
def test_a_harmless_canary_is_seen_within_so_many_pairs(
    stable_only: float, canary_only: float, margin: float, most: int
) -> None:
    counts = _differences(np.random.default_rng(4), stable_only, canary_only, 800)

    assert _median(bets.against_at_least(counts, bets.DIFFERENCES, margin), BETA) <= most
    assert _ever(bets.against_at_most(counts, bets.DIFFERENCES, margin), EACH) <= _upper(EACH)


@pytest.mark.parametrize(
    ("stable_only", "canary_only", "most"),
    [(0.0, 0.06, 350), (0.0, 0.1, 150), (0.02, 0.2, 100), (0.0, 0.5, 25)],
)
def test_a_canary_that_fails_is_seen_within_so_many_pairs(
    stable_only: float, canary_only: float, most: int
) -> None:
    counts = _differences(np.random.default_rng(5), stable_only, canary_only, 800)

    assert _median(bets.against_at_most(counts, bets.DIFFERENCES, 0.02), EACH) <= most
    assert _ever(bets.against_at_least(counts, bets.DIFFERENCES, 0.02), BETA) <= _upper(BETA)


@pytest.mark.parametrize(("slower", "most"), [(0.05, 8), (0.2, 22), (0.35, 80)])
def test_a_canary_as_fast_is_seen_within_so_many_pairs(slower: float, most: int) -> None:
    assert _median(
        bets.against_at_least(_signs(np.random.default_rng(6), slower, 400), bets.SIGNS, 0.5), BETA
    ) <= most  # fmt: skip


@pytest.mark.parametrize(("slower", "most"), [(1.0, 10), (0.9, 17), (0.65, 160)])
def test_a_slower_canary_is_seen_within_so_many_pairs(slower: float, most: int) -> None:
    assert _median(
        bets.against_at_most(_signs(np.random.default_rng(7), slower, 400), bets.SIGNS, 0.5), EACH
    ) <= most  # fmt: skip


Rate = Callable[[int], float]


def _traffic(
    seed: int, canary: Rate, stable: Rate, margin: float, *, sizes: tuple[int, int] = (10, 190), blocks: int = 70,
    cluster: int = 1, runs: int = RUNS,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Capital after every block, on both sides; requests come in groups of ``cluster`` that share their fate."""
    rng = np.random.default_rng(seed)
    zero = np.zeros(runs)
    before = Totals(zero, zero, zero, zero)
    harm = safe = np.zeros((runs, rates.GUESSES))
    seen_harm, seen_safe = [], []
    for block in range(blocks):
        bad = [
            rng.binomial(size // cluster, rate(block), runs) * cluster
            for size, rate in zip(sizes, (canary, stable), strict=True)
        ]
        new = Totals(zero + sizes[0], bad[0], zero + sizes[1], bad[1])
        more = rates.block_evidence(new, before, margin, float(cluster))
        harm, safe = harm + more[0], safe + more[1]
        seen_harm.append(rates.capital(harm))
        seen_safe.append(rates.capital(safe))
        before = Totals(
            *(np.asarray(getattr(before, name)) + getattr(new, name) for name in Totals.__slots__)
        )
    return np.stack(seen_harm, axis=1), np.stack(seen_safe, axis=1)


@pytest.mark.parametrize(
    ("stable", "margin", "cluster"),
    [
        pytest.param(lambda _: 0.001, 0.01, 1, id="rare errors"),
        pytest.param(lambda _: 0.05, 0.05, 1, id="one in twenty is slow"),
        pytest.param(lambda block: 0.05 + 0.5 * (block % 15 == 0), 0.05, 1, id="bursts that hit both"),
        pytest.param(lambda block: 0.9 if block > 35 else 0.01, 0.05, 1, id="the load rises for good"),
        pytest.param(lambda _: 0.1, 0.05, 5, id="five at a time are slow together"),
    ],
)
def test_on_the_line_traffic_rarely_says_anything(stable: Rate, margin: float, cluster: int) -> None:
    harm, safe = _traffic(8, lambda block: stable(block) + margin, stable, margin, cluster=cluster)

    assert _ever(harm, EACH) <= _upper(EACH)
    assert _ever(safe, BETA) <= _upper(BETA)


def test_traffic_that_is_alike_is_seen_to_be_and_errors_stand_out() -> None:
    _, safe = _traffic(9, lambda _: 0.001, lambda _: 0.001, 0.01, runs=400)
    harm, _ = _traffic(10, lambda _: 0.3, lambda _: 0.001, 0.01, blocks=12, runs=400)

    assert _median(safe, BETA) <= 45  # blocks of ten requests of the canary
    assert _median(harm, EACH) <= 4


def test_totals_of_a_busy_and_a_quiet_time_are_not_compared() -> None:
    """A step with more traffic in a bad hour would look like a bad canary where only totals were compared."""
    zero = Totals(10, 0, 190, 1)
    _, quiet = rates.block_evidence(Totals(10, 0, 190, 1), zero, 0.01)
    harm, _ = rates.block_evidence(Totals(500, 150, 500, 150), Totals(20, 0, 380, 2), 0.01)

    assert rates.capital(harm) < -math.log(EACH)
    assert np.isfinite(quiet).all()


def test_nothing_is_bet_before_both_versions_were_seen() -> None:
    harm, safe = rates.block_evidence(Totals(10, 10, 100, 0), Totals(0, 0, 100, 0), 0.01)

    assert 0 == harm.any() == safe.any()
