"""Exact intervals of a share, held to published values and to their own definition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.rollout.intervals import share_interval, tries_for


@pytest.mark.parametrize(
    ("count", "tries", "confidence", "low", "high"),
    [
        # Closed forms where nothing or everything happened: (alpha/2)^(1/n).
        (0, 10, 0.95, 0.0, 1 - 0.025 ** (1 / 10)),
        (10, 10, 0.95, 0.025 ** (1 / 10), 1.0),
        (1, 1, 0.99, 0.005, 1.0),
        # R: binom.test(10, 100)$conf.int
        (10, 100, 0.95, 0.0490047, 0.1762226),
    ],
)
def test_known_values(count: int, tries: int, confidence: float, low: float, high: float) -> None:
    assert share_interval(count, tries, confidence) == pytest.approx((low, high), abs=1e-7)


def _exactly(count: int, tries: int, share: float) -> float:
    return math.comb(tries, count) * share**count * (1 - share) ** (tries - count)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from((0.9, 0.95, 0.99)))
def test_at_each_bound_what_was_seen_or_more_extreme_has_half_of_the_doubt(
    count: int, tries: int, confidence: float
) -> None:
    """Clopper and Pearson's own definition, by whole binomial coefficients."""
    count = min(count, tries)
    low, high = share_interval(count, tries, confidence)
    half = (1 - confidence) / 2

    assert sum(_exactly(k, tries, low) for k in range(count, tries + 1)) == pytest.approx(half, abs=1e-9)
    if count < tries:
        assert sum(_exactly(k, tries, high) for k in range(count + 1)) == pytest.approx(half, abs=1e-9)


@given(st.integers(1, 60), st.floats(0.01, 0.99), st.sampled_from((0.9, 0.95, 0.99)))
def test_the_true_share_is_covered_at_least_as_often_as_promised(
    tries: int, share: float, confidence: float
) -> None:
    covered = 0.0
    for count in range(tries + 1):
        low, high = share_interval(count, tries, confidence)
        covered += _exactly(count, tries, share) * (low <= share <= high)

    assert covered >= confidence - 1e-9


@given(st.integers(0, 400), st.integers(1, 400), st.sampled_from((0.9, 0.99)))
def test_an_interval_holds_what_was_seen_and_narrows(count: int, tries: int, confidence: float) -> None:
    count = min(count, tries)
    low, high = share_interval(count, tries, confidence)
    more = share_interval(10 * count, 10 * tries, confidence)

    assert low <= count / tries <= high
    assert more[1] - more[0] < high - low


@pytest.mark.parametrize(
    ("share", "half", "confidence"), [(0.1, 0.05, 0.95), (0.15, 0.05, 0.99), (0.5, 0.1, 0.99)]
)
def test_as_many_tries_as_needed_and_no_more(share: float, half: float, confidence: float) -> None:
    tries = tries_for(share, half, confidence)

    def width(count: int) -> float:
        low, high = share_interval(round(count * share), count, confidence)
        return high - low

    assert width(tries) <= 2 * half < width(tries - 1)


@pytest.mark.parametrize(
    ("count", "tries", "confidence"), [(2, 1, 0.9), (-1, 1, 0.9), (1, 2, 1.0), (1, 2, 0.0)]
)
def test_what_cannot_be_is_refused(count: int, tries: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="no interval"):
        share_interval(count, tries, confidence)
