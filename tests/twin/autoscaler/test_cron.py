"""KEDA's cron trigger, by upstream's own cases: kedacore/keda v2.20.2 pkg/scalers/cron_scaler_test.go."""

import pytest

from stoker.errors import StokerError
from stoker.twin.autoscaler.cron import parse_window

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def test_a_day_of_the_week_is_open_until_its_last_minute() -> None:
    """TestIsActive, TestGetMetrics: Thursday from 00:00 to 23:59."""
    window = parse_window("0 0 * * Thu", "59 23 * * Thu")
    assert [window.contains(day * DAY + 12 * HOUR) for day in range(7)] == [day == 3 for day in range(7)]
    assert window.contains(3 * DAY)
    assert not window.contains(3 * DAY + 23 * HOUR + 59 * MINUTE)


def test_even_hours_are_open_and_odd_ones_are_not() -> None:
    """TestIsActiveRange, TestGetMetricsRange."""
    window = parse_window("0 */2 * * *", "0 1-23/2 * * *")
    assert [window.contains(hour * HOUR + 30 * MINUTE) for hour in range(48)] == [
        hour % 2 == 0 for hour in range(48)
    ]


def test_a_list_opens_as_often_as_it_says() -> None:
    """validCronMetadata3: at 0 and 30 for a quarter of an hour."""
    window = parse_window("0,30 * * * *", "15,45 * * * *")
    assert [window.contains(minute * MINUTE) for minute in (0, 14, 15, 29, 30, 44, 45, 59)] == [
        True, True, False, False, True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "end", "valid"),
    [
        ("30-33 * * * *", "45 * * * *", True),
        ("30 * * * *", "45-50 * * * *", True),
        ("-30 * * * *", "45 * * * *", False),
        ("30 * * * *", "-50 * * * *", False),
        ("30 * * * *", "50 * * -3 *", False),
        ("30 * * * *", "30 * * * *", False),
        # robfig/cron's bounds, which the scaler parses with.
        ("0 24 * * *", "45 * * * *", False),
        ("0 8 * * 7", "45 * * * *", False),
        ("*/0 * * * *", "45 * * * *", False),
        ("50-40 * * * *", "45 * * * *", False),
        ("@daily", "45 * * * *", False),
        ("0 8 ? JAN-mar mon-FRI", "45 * * * *", True),
    ],
)
def test_expressions_are_refused_as_upstream_refuses_them(start: str, end: str, *, valid: bool) -> None:
    """TestCronParseMetadata."""
    if valid:
        assert parse_window(start, end).open_minutes.count(True) > 0
    else:
        with pytest.raises(StokerError, match=r"cron|same"):
            parse_window(start, end)


def test_a_window_is_open_while_its_next_end_comes_before_its_next_start() -> None:
    """GetMetricsAndActivity looks at what comes next, not at what was last.

    A window that opens every day and closes on working days is shut at the weekend, though it opened on Saturday: the
    next thing to happen is that it opens on Sunday.
    """
    window = parse_window("0 8 * * *", "0 18 * * 1-5")
    assert [window.contains(day * DAY + 12 * HOUR) for day in range(7)] == [True] * 5 + [False] * 2


def test_a_window_over_midnight_is_open_on_both_sides() -> None:
    window = parse_window("0 22 * * *", "0 6 * * *")
    assert [window.contains(hour * HOUR) for hour in (21, 22, 23, 24, 29, 30)] == [
        False, True, True, True, True, False,
    ]  # fmt: skip


def test_where_the_next_start_and_the_next_end_are_one_the_window_is_open() -> None:
    """GetMetricsAndActivity: the start is not before the end. It opens every hour and closes at eight."""
    window = parse_window("0 * * * *", "0 8 * * *")
    assert [window.contains(hour * HOUR + 30 * MINUTE) for hour in (6, 7, 8)] == [False, True, False]
