"""Verdicts over replicas and queues, by table."""

from typing import Any

import pytest

from stoker.rollout.evidence import Verdict
from stoker.rollout.replicas import Look
from stoker.rollout.scaling import judge_scale_down, judge_scale_up, judge_warm, judge_zero, stood_since

Looks = list[tuple[float, int, int]]


def looks(rows: Looks) -> list[Look]:
    return [Look(*row) for row in rows]


def queue(*spans: tuple[float, float, float]) -> list[tuple[float, float]]:
    """A sample a second over spans of (from, to, depth)."""
    return [(float(at), depth) for start, end, depth in spans for at in range(int(start), int(end))]


# Loaded at 100, four wanted at 150, four ready at 300.
GOOD: Looks = [(0, 1, 1), (130, 3, 1), (150, 4, 1), (250, 4, 3), (300, 4, 4)]
STANDS = queue((0, 100, 0), (100, 300, 12))


@pytest.mark.parametrize(
    ("rows", "waits", "until", "verdict", "words"),
    [
        pytest.param(GOOD, STANDS, 310, "passed", "4 replicas wanted after 50 s", id="in time"),
        pytest.param([(0, 1, 1)], STANDS, 290, "failed", "1 replicas wanted after 190 s", id="nothing scales"),
        pytest.param([(0, 1, 1), (150, 2, 1)], STANDS, 290, "failed", "2 replicas wanted", id="maximum too low"),
        pytest.param(
            [(0, 1, 1), (240, 4, 1), (400, 4, 4)], STANDS, 410, "failed", "after 140 s", id="too late"
        ),
        pytest.param([(0, 1, 1), (150, 4, 2)], STANDS, 700, "failed", "2 of 4 replicas ready 550 s", id="never ready"),
        pytest.param(
            [(0, 1, 1), (150, 4, 1), (600, 4, 4)], STANDS, 610, "failed", "450 s after they were wanted", id="ready late"
        ),
        pytest.param([(0, 1, 1), (150, 4, 2)], STANDS, 200, "inconclusive", "nobody looked", id="gave up"),
        pytest.param([(0, 2, 2), (150, 4, 4)], STANDS, 310, "inconclusive", "began with 2", id="wrong start"),
        pytest.param(GOOD, queue((0, 300, 3)), 310, "inconclusive", "load was too small", id="three is not above three"),
        pytest.param(GOOD, [], 310, "inconclusive", "no queue", id="no data is no queue"),
        pytest.param(
            [(0, 1, 1)], queue((0, 100, 12), (100, 101, 0), (101, 200, 12)), 200, "inconclusive", "99 s only",
            id="a queue that broke stands anew",
        ),
        pytest.param([], STANDS, 310, "inconclusive", "None replicas", id="never seen"),
    ],
)  # fmt: skip
def test_a_scale_up_counts_from_the_queue_that_stood(
    rows: Looks, waits: list[tuple[float, float]], until: float, verdict: str, words: str
) -> None:
    judged = judge_scale_up(
        waits, looks(rows), start=1, goal=4, within=120, depth=3, ready_within=300, until=until
    )

    assert (judged.verdict, words in judged.reason) == (Verdict(verdict), True), judged.reason


def test_a_scale_up_tells_both_wanted_and_ready() -> None:
    judged = judge_scale_up(
        STANDS, looks(GOOD), start=1, goal=4, within=120, depth=3, ready_within=300, until=310
    )

    assert (50.0, 200.0, 150.0) == tuple(
        judged.measured[name]
        for name in ("seconds_to_wanted", "seconds_to_ready", "seconds_from_wanted_to_ready")
    )


def test_a_queue_stands_since_its_last_break() -> None:
    broken = queue((0, 10, 5), (10, 12, 3), (12, 20, 4))

    assert 12.0 == stood_since(broken, 3, 19)
    assert 0.0 == stood_since(broken, 3, 9)
    assert stood_since(broken, 3, 11) is None


# Load ends at 100; the last replica came at 50, the window is 600 s.
DOWN: Looks = [(0, 1, 1), (50, 4, 1), (90, 4, 4), (700, 3, 4), (705, 3, 3), (1000, 2, 2), (1300, 1, 1)]


@pytest.mark.parametrize(
    ("rows", "changes", "verdict", "words"),
    [
        pytest.param(DOWN, {}, "passed", "back at 1 after 1200 s, none of 40 requests lost", id="as it should"),
        pytest.param(DOWN, {"lost": ["cut stream"]}, "failed", "1 of 40 requests lost", id="a stream is cut"),
        pytest.param(DOWN, {"sent": 0}, "inconclusive", "no request was under way", id="nothing to lose"),
        pytest.param(
            [*DOWN[:3], (300, 3, 3), (1000, 2, 2), (1300, 1, 1)], {}, "failed", "250 s after one was added",
            id="too early",
        ),
        pytest.param([*DOWN, (1400, 0, 0)], {"until": 1500}, "failed", "0 replicas, below", id="below the minimum"),
        pytest.param([*DOWN[:4], (900, 3, 0), (905, 3, 3), (1300, 1, 1)], {}, "failed", "0 replicas", id="a gap"),
        pytest.param(DOWN[:3], {"until": 1700}, "failed", "still 4 replicas", id="they stay"),
        pytest.param(DOWN[:3], {"until": 300}, "inconclusive", "nobody looked longer", id="gave up"),
        pytest.param([*DOWN[:-1], (1650, 1, 1)], {}, "failed", "after 1550 s", id="too late"),
        pytest.param([(0, 1, 1)], {}, "inconclusive", "never more than 1", id="never up"),
    ],
)  # fmt: skip
def test_a_scale_down_keeps_the_window_the_minimum_and_the_requests(
    rows: Looks, changes: dict[str, Any], verdict: str, words: str
) -> None:
    given: dict[str, Any] = {"lost": [], "sent": 40, "until": 1700, **changes}

    judged = judge_scale_down(looks(rows), least=1, window=600, within=1500, calm=100, **given)

    assert (judged.verdict, words in judged.reason) == (Verdict(verdict), True), judged.reason


ZERO: Looks = [(0, 1, 1), (300, 0, 1), (310, 0, 0), (410, 1, 0), (500, 1, 1)]


@pytest.mark.parametrize(
    ("rows", "changes", "verdict", "words"),
    [
        pytest.param(ZERO, {}, "passed", "at zero 310 s after its last work, ready 100 s", id="as it should"),
        pytest.param(ZERO, {"answered": False}, "failed", "not answered", id="the request is lost"),
        pytest.param([(0, 1, 1)], {"woken": None}, "failed", "1 replicas after 600 s", id="minimum of one"),
        pytest.param([(0, 1, 1)], {"woken": None, "busy": True}, "inconclusive", "all the time", id="busy"),
        pytest.param(
            [(0, 1, 1)], {"woken": None, "until": 200}, "inconclusive", "longer than 200", id="gave up"
        ),
        pytest.param(
            ZERO[:3], {"woken": None}, "inconclusive", "could not be driven", id="a broker of somebody's"
        ),
        pytest.param(ZERO[:3], {}, "failed", "no replica was even wanted", id="it sleeps on"),
        pytest.param([*ZERO[:4], (590, 1, 1)], {}, "failed", "ready 190 s", id="it wakes late"),
        pytest.param(
            [(0, 1, 1), (490, 0, 0)], {"woken": None}, "failed", "at zero after 490 s only", id="late"
        ),
    ],
)
def test_a_tier_at_zero_comes_back(rows: Looks, changes: dict[str, Any], verdict: str, words: str) -> None:
    given: dict[str, Any] = {"woken": 400.0, "answered": True, "busy": False, "until": 600.0, **changes}

    judged = judge_zero(looks(rows), calm=0, zero_within=400, wake_within=150, **given)

    assert (judged.verdict, words in judged.reason) == (Verdict(verdict), True), judged.reason


@pytest.mark.parametrize(
    ("rows", "idle", "blind", "verdict", "words"),
    [
        pytest.param([(0, 2, 2)], 700, 0, "passed", "idle for longer than 600 s", id="warm"),
        pytest.param([(0, 3, 3), (100, 2, 2)], 700, 0, "passed", "720 s", id="scaled in to its minimum"),
        pytest.param(
            [(0, 2, 2), (100, 2, 1), (103, 2, 2)],
            700,
            0,
            "failed",
            "1 of 2 replicas ready, 100 s",
            id="a dip",
        ),
        pytest.param([(0, 2, 2), (330, 0, 0)], 100, 0, "failed", "0 of 2", id="to zero, busy or not"),
        pytest.param([], 700, 0, "failed", "0 of 2", id="not there"),
        pytest.param([(0, 2, 2)], 200, 0, "inconclusive", "no idle stretch of 600 s", id="never idle"),
        pytest.param([(0, 2, 2)], 700, 100, "inconclusive", "cut for too long", id="nobody looked"),
    ],
)
def test_a_warm_tier_has_its_minimum_all_the_time(
    rows: Looks, idle: float, blind: float, verdict: str, words: str
) -> None:
    judged = judge_warm(
        {"chat": looks(rows)},
        {"chat": 2},
        {"chat": idle},
        {"chat": blind},
        idle_wanted=600,
        began=0,
        until=720,
    )

    assert (judged.verdict, words in judged.reason) == (Verdict(verdict), True), judged.reason
