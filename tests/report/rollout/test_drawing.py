"""Axes, lines and words: what every chart rests on."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.report.rollout.drawing import (
    HEIGHT,
    WIDTH,
    log_scale,
    path,
    ratio_scale,
    thinned,
    time_ticks,
    value_scale,
)
from stoker.report.rollout.quantity import NO_DATA, change, duration, shown

VALUES = st.floats(min_value=1e-6, max_value=1e9, allow_nan=False)
POINTS = st.lists(
    st.tuples(st.integers(0, 10_000).map(float), st.none() | VALUES), unique_by=lambda point: point[0]
).map(sorted)


@given(st.lists(VALUES, min_size=1))
def test_every_value_has_a_place_on_its_scale(values: list[float]) -> None:
    for scale in (value_scale(values), log_scale(values)):
        assert scale.low <= min(values) * (1 + 1e-9) or not scale.is_log
        assert scale.high >= max(values) * (1 - 1e-9)
        assert all(0 <= scale(value) <= 1 for value in values)
        assert list(scale.ticks) == sorted(scale.ticks)
        assert 2 <= len(scale.ticks) <= 17


@given(POINTS)
def test_thinning_keeps_the_extremes_and_the_order(points: list[tuple[float, float | None]]) -> None:
    kept = thinned(points, 20)
    there = [value for _, value in points if value is not None]
    left = [value for _, value in kept if value is not None]

    assert len(kept) <= max(20, 0) or len(points) <= 20
    assert [at for at, _ in kept] == sorted(at for at, _ in kept)
    if there:
        assert (min(there), max(there)) == (min(left), max(left))


@given(POINTS)
def test_a_line_stays_within_the_drawing(points: list[tuple[float, float | None]]) -> None:
    drawn = path(points, 0.0, 10_000.0, value_scale([value for _, value in points if value is not None]))
    for x, y in re.findall(r"([\d.-]+) ([\d.-]+)", drawn):
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= HEIGHT


def test_there_is_no_quarter_of_a_replica() -> None:
    assert (0.0, 1.0) == value_scale([1.0], whole=True).ticks
    assert (0.0, 0.25, 0.5, 0.75, 1.0) == value_scale([1.0]).ticks


def test_a_gap_in_the_data_is_a_gap_in_the_line() -> None:
    points = [(0.0, 0.0), (1.0, 0.5), (2.0, None), (3.0, 1.0), (4.0, None)]

    assert "M0.0 300.0L250.0 150.0M750.0 0.0L750.0 0.0" == path(points, 0.0, 4.0, ratio_scale())


@given(st.integers(0, 2_000_000_000), st.integers(1, 40_000_000))
def test_ticks_of_time_are_few_and_inside(start: int, span: int) -> None:
    ticks = time_ticks(float(start), float(start + span))
    assert all(start <= at <= start + span for at, _ in ticks)
    assert len(ticks) <= 17


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (None, "ratio", NO_DATA), (0.0, "ratio", "0 %"), (0.004, "ratio", "0.4 %"), (0.415, "ratio", "42 %"), (0.0994, "ratio", "9.9 %"),
        (0.3634, "seconds", "363 ms"), (14.2, "seconds", "14.2 s"), (113, "seconds", "113 s"), (571, "seconds", "9 min 31 s"),
        (3600, "seconds", "1 h"), (15_000, "seconds", "4 h 10 min"), (2_592_000, "seconds", "30 days"), (0, "seconds", "0 ms"),
        (57_484.3, "usd_per_month", "$57,484"), (1.5, "usd", "$1.50"), (26.4, "count", "26.4"), (12_215.0, "count", "12,215"), (1e12, "count", "1,000,000,000,000"),
    ],
)  # fmt: skip
def test_a_value_is_said_in_the_unit_that_suits_it(value: float | None, unit: str, words: str) -> None:
    assert words == shown(value, unit)


@given(st.floats(min_value=0, max_value=1e9, allow_nan=False))
def test_a_duration_never_says_sixty_of_a_part(seconds: float) -> None:
    assert not re.search(r"\b60 (s|min)$", duration(seconds)) or seconds < 120
    assert not re.search(r"\b24 h$", duration(seconds)) or seconds < 172_800


@pytest.mark.parametrize(
    ("before", "after", "unit", "words"),
    [
        (None, 1.0, "count", ""), (1.0, None, "count", ""), (0.0, 0.0, "count", "unchanged"), (0.0, 2.0, "count", "+2"),
        (0.2, 0.7, "ratio", "+50 points"), (0.002, 0.001, "ratio", "-0.1 points"), (14.0, 1.4, "seconds", "-90 %"), (100.0, 100.1, "count", "unchanged"),
    ],
)  # fmt: skip
def test_a_change_is_points_of_shares_and_percent_of_the_rest(
    before: float | None, after: float | None, unit: str, words: str
) -> None:
    assert words == change(before, after, unit)
