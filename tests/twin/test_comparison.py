"""Intervals over seeds."""

import pytest

from stoker.twin.comparison import estimate


@pytest.mark.parametrize(
    ("count", "quantile"),
    # as scipy's stats.t has them
    [(2, 12.7062), (3, 4.3027), (10, 2.2622), (31, 2.0423), (32, 2.0395), (41, 2.0211), (101, 1.9840), (1000, 1.9623)],
)  # fmt: skip
def test_intervals_are_students(count: int, quantile: float) -> None:
    values = [float(number) for number in range(count)]
    mean = sum(values) / count
    deviation = (sum((value - mean) ** 2 for value in values) / (count - 1)) ** 0.5
    found = estimate(values)
    assert found.mean == pytest.approx(mean)
    assert found.half == pytest.approx(quantile * deviation / count**0.5, rel=2e-4)


def test_one_seed_has_no_interval() -> None:
    assert estimate([3.0]).half is None
