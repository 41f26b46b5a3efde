"""Windows, policies and bounds, by upstream's own rows: kubernetes 1.36 pkg/controller/podautoscaler/horizontal_test.go.

Ids are the names of upstream's rows; what they are rows of is said at each test.
"""

from typing import Any

import pytest

from stoker.twin.autoscaler.hpa import HpaSpec, parse_hpa
from stoker.twin.autoscaler.rates import HpaState, limit, limit_by_rules, remember, stabilize

NOW = 100_000.0
Given = tuple[int, int, int, int, int] | None


def rules(given: Given) -> dict[str, Any] | None:
    """Pods and their period, percent and its period, window: zero is left out, as in upstream's generateScalingRules."""
    if given is None:
        return None
    pods, pods_s, percent, percent_s, window = given
    policies = [("Pods", pods, pods_s), ("Percent", percent, percent_s)]
    return {
        "selectPolicy": "Max",
        "stabilizationWindowSeconds": window,
        "policies": [
            {"type": kind, "value": value, "periodSeconds": period}
            for kind, value, period in policies
            if value
        ],
    }


def spec(up: Given = None, down: Given = None, least: int = 1, most: int = 1000) -> HpaSpec:
    behavior = {"scaleUp": rules(up) or {}, "scaleDown": rules(down) or {}}
    return parse_hpa({"spec": {"minReplicas": least, "maxReplicas": most, "behavior": behavior}})


def spread(changes: tuple[int, ...]) -> list[tuple[float, int]]:
    """Changes spread over the last two minutes, the first the oldest (generateEventsUniformDistribution)."""
    part = 120 / len(changes) if changes else 0.0
    return [(NOW - int(120 - part * (place + 1) + part / 2), change) for place, change in enumerate(changes)]


# Name, ups, downs, rules up, rules down, minimum, maximum, current, desired, expected, reason.
RULES_ROWS: list[tuple[str, tuple[int, ...], tuple[int, ...], Given, Given, int, int, int, int, int, str]] = [
    ("prenormalized desired replicas within range", (), (), None, None, 3, 8, 5, 7, 7, "DesiredWithinRange"),
    ("prenormalized desired replicas < minReplicas", (), (), None, None, 2, 8, 3, 1, 2, "TooFewReplicas"),
    ("prenormalized desired replicas within range when minReplicas is 0", (), (), None, None, 0, 10, 1, 0, 0, "DesiredWithinRange"),
    ("maxReplicas is the limit because maxReplicas < scaleUpLimit", (), (), None, None, 1, 10, 20, 1000, 10, "TooManyReplicas"),
    ("desired replica count is more than the maximum replica count", (), (), None, None, 100, 150, 100, 1000, 150, "TooManyReplicas"),
    ("scaleUpLimit is the limit because scaleUpLimit < maxReplicas with user policies", (), (), (0, 0, 1, 60, 0), None, 1, 2000, 3, 1000, 4, "ScaleUpLimit"),
    ("scaleDownLimit is the limit because scaleDownLimit > minReplicas with user defined policies", (), (), None, (20, 60, 0, 0, 0), 3, 2000, 1000, 3, 980, "ScaleDownLimit"),
    ("scaleUp with default behavior", (), (), None, None, 1, 1000, 10, 50, 20, "ScaleUpLimit"),
    ("scaleUp with pods policy larger than percent policy", (), (), (100, 60, 100, 60, 0), None, 1, 1000, 10, 500, 110, "ScaleUpLimit"),
    ("scaleUp with percent policy larger than pods policy", (), (), (2, 60, 100, 60, 0), None, 1, 1000, 10, 500, 20, "ScaleUpLimit"),
    ("scaleUp with spec MaxReplicas limitation with large pod policy", (), (), (100, 60, 0, 0, 0), None, 1, 1000, 10, 50, 50, "DesiredWithinRange"),
    ("scaleUp with spec MaxReplicas limitation with large percent policy", (), (), (10000, 60, 0, 0, 0), None, 1, 1000, 10, 50, 50, "DesiredWithinRange"),
    ("scaleUp with pod policy limitation", (), (), (30, 60, 0, 0, 0), None, 1, 1000, 10, 50, 40, "ScaleUpLimit"),
    ("scaleUp with percent policy limitation", (), (), (0, 0, 200, 60, 0), None, 1, 1000, 10, 50, 30, "ScaleUpLimit"),
    ("scaleDown with percent policy larger than pod policy", (), (), None, (20, 60, 1, 60, 300), 1, 1000, 100, 2, 80, "ScaleDownLimit"),
    ("scaleDown with pod policy larger than percent policy", (), (), None, (2, 60, 1, 60, 300), 1, 1000, 100, 2, 98, "ScaleDownLimit"),
    ("scaleDown with spec MinReplicas=nil limitation with large pod policy", (), (), None, (100, 60, 0, 0, 300), 1, 1000, 10, 0, 1, "TooFewReplicas"),
    ("scaleDown with spec MinReplicas limitation with large pod policy", (), (), None, (100, 60, 0, 0, 300), 1, 1000, 10, 0, 1, "TooFewReplicas"),
    ("scaleDown with spec MinReplicas limitation with large percent policy", (), (), None, (0, 0, 100, 60, 300), 5, 1000, 10, 2, 5, "TooFewReplicas"),
    ("scaleDown with pod policy limitation", (), (), None, (5, 60, 0, 0, 300), 1, 1000, 10, 2, 5, "ScaleDownLimit"),
    ("scaleDown with percent policy limitation", (), (), None, (0, 0, 50, 60, 300), 1, 1000, 10, 5, 5, "DesiredWithinRange"),
    ("scaleUp with spec MaxReplicas limitation with large pod policy and events", (1, 5, 9), (), (300, 60, 0, 0, 0), None, 1, 200, 100, 500, 200, "TooManyReplicas"),
    ("scaleUp with spec MaxReplicas limitation with large percent policy and events", (1, 5, 9), (), (0, 0, 10000, 60, 0), None, 1, 200, 100, 500, 200, "TooManyReplicas"),
    ("scaleUp with currentReplicas limitation with rate.PeriodSeconds with a lot of recent scale up events", (1, 5, 9), (), (5, 120, 0, 0, 0), None, 1, 1000, 100, 500, 100, "ScaleUpLimit"),
    ("scaleUp with pod policy and previous scale up events", (1, 5, 9), (), (150, 120, 0, 0, 0), None, 1, 1000, 100, 500, 235, "ScaleUpLimit"),
    ("scaleUp with percent policy and previous scale up events", (1, 5, 9), (), (0, 0, 200, 120, 0), None, 1, 1000, 100, 500, 255, "ScaleUpLimit"),
    ("scaleUp with percent policy and previous scale up and down events", (4,), (2,), (0, 0, 300, 300, 0), None, 1, 1000, 6, 24, 16, "ScaleUpLimit"),
    ("scaleDown with default policy and previous events", (), (1, 5, 9), None, None, 1, 1000, 10, 5, 5, "DesiredWithinRange"),
    ("scaleDown with spec MinReplicas=nil limitation with large pod policy and previous events", (), (1, 5, 9), None, (115, 120, 0, 0, 300), 1, 1000, 100, 0, 1, "TooFewReplicas"),
    ("scaleDown with spec MinReplicas limitation with large pod policy and previous events", (), (1, 5, 9), None, (130, 120, 0, 0, 300), 5, 1000, 100, 0, 5, "TooFewReplicas"),
    ("scaleDown with spec MinReplicas limitation with large percent policy and previous events", (), (1, 5, 9), None, (0, 0, 100, 120, 300), 5, 1000, 100, 2, 5, "TooFewReplicas"),
    ("scaleDown with pod policy limitation and previous events", (), (1, 5, 9), None, (5, 120, 0, 0, 300), 1, 1000, 100, 2, 100, "ScaleDownLimit"),
    ("scaleDown with percent policy limitation and previous events", (), (2, 4, 6), None, (0, 0, 50, 120, 300), 1, 1000, 100, 0, 56, "ScaleDownLimit"),
    ("scaleDown with percent policy and previous scale up and down events", (2,), (4,), None, (0, 0, 50, 180, 0), 1, 1000, 10, 1, 6, "ScaleDownLimit"),
    ("scaleDown with previous events preventing further scale down", (), (10, 10, 10), None, (0, 0, 10, 120, 300), 1, 1000, 100, 0, 100, "ScaleDownLimit"),
    ("scaleDown with with previous events still allowing more scale down", (), (10, 10, 10), None, (0, 0, 1000, 120, 300), 1, 1000, 10, 5, 5, "DesiredWithinRange"),
    ("check 'outdated' flag for events for one behavior for up", (8, 12, 9, 11), (), (1000, 60, 0, 0, 0), None, 1, 1000, 100, 200, 200, "DesiredWithinRange"),
    ("check that events were not marked 'outdated' for two different policies in the behavior for up", (8, 12, 9, 11), (), (1000, 120, 100, 60, 0), None, 1, 1000, 100, 200, 200, "DesiredWithinRange"),
    ("check that events were marked 'outdated' for two different policies in the behavior for up", (8, 12, 9, 11), (), (1000, 30, 100, 60, 0), None, 1, 1000, 100, 200, 200, "DesiredWithinRange"),
    ("check 'outdated' flag for events for one behavior for down", (), (8, 12, 9, 11), None, (1000, 60, 0, 0, 300), 1, 1000, 100, 5, 5, "DesiredWithinRange"),
    ("check that events were not marked 'outdated' for two different policies in the behavior for down", (), (8, 12, 9, 11), None, (1000, 120, 100, 60, 300), 1, 1000, 100, 5, 5, "DesiredWithinRange"),
    ("check that events were marked 'outdated' for two different policies in the behavior for down", (), (8, 12, 9, 11), None, (1000, 30, 100, 60, 300), 1, 1000, 100, 5, 5, "DesiredWithinRange"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ups", "downs", "up", "down", "least", "most", "current", "desired", "expected", "reason"),
    [pytest.param(*row[1:], id=row[0]) for row in RULES_ROWS],
)
def test_policies_bound_a_change_by_what_was_changed_in_their_periods(
    ups: tuple[int, ...],
    downs: tuple[int, ...],
    up: Given,
    down: Given,
    least: int,
    most: int,
    current: int,
    desired: int,
    expected: int,
    reason: str,
) -> None:
    """TestScalingWithRules."""
    state = HpaState(ups=spread(ups), downs=spread(downs))
    found = limit_by_rules(spec(up, down, least, most), state, current, desired, NOW)
    assert found == (expected, reason)


@pytest.mark.parametrize(
    ("current", "desired", "least", "most", "expected", "reason"),
    [
        pytest.param(5, 7, 3, 8, 7, "DesiredWithinRange", id="within range"),
        pytest.param(3, 1, 2, 8, 2, "TooFewReplicas", id="below the minimum"),
        pytest.param(1, 0, 0, 10, 0, "DesiredWithinRange", id="zero where zero is the minimum"),
        pytest.param(20, 1000, 1, 10, 10, "TooManyReplicas", id="the maximum is nearer than double"),
        pytest.param(3, 1000, 1, 2000, 6, "ScaleUpLimit", id="double is nearer than the maximum"),
    ],
)
def test_without_behavior_growth_is_bounded_by_double_or_four(
    current: int, desired: int, least: int, most: int, expected: int, reason: str
) -> None:
    """TestConvertDesiredReplicasWithRules."""
    found = limit(parse_hpa({"spec": {"minReplicas": least, "maxReplicas": most}}), current, desired)
    assert found == (expected, reason)


@pytest.mark.parametrize(
    ("current", "desired", "expected"),
    [
        pytest.param(1, 100, 2, id="TestCalculateScaleUpLimitWithScalingRules"),
        pytest.param(5, 1, 3, id="TestCalculateScaleDownLimitWithBehaviors"),
    ],
)
def test_the_min_policy_takes_the_smaller_change(current: int, desired: int, expected: int) -> None:
    policies = [
        {"type": "Pods", "value": 2, "periodSeconds": 60},
        {"type": "Percent", "value": 50, "periodSeconds": 60},
    ]
    both = {"stabilizationWindowSeconds": 300, "selectPolicy": "Min", "policies": policies}
    behavior = {"scaleUp": both, "scaleDown": both}
    hpa = parse_hpa({"spec": {"maxReplicas": 1000, "behavior": behavior}})
    assert limit_by_rules(hpa, HpaState(), current, desired, NOW)[0] == expected


def ago(*entries: tuple[int, float]) -> list[tuple[float, int]]:
    """(replicas, minutes ago)."""
    return [(NOW - minutes * 60, replicas) for replicas, minutes in entries]


@pytest.mark.parametrize(
    ("recommendations", "desired", "expected"),
    [
        pytest.param(ago(), 5, 5, id="empty log"),
        pytest.param(ago((4, 2), (5, 1)), 3, 5, id="stabilize"),
        pytest.param(ago((1, 2), (2, 1)), 3, 3, id="no stabilize"),
        pytest.param(ago((10, 10), (9, 9)), 3, 3, id="no stabilize - old recommendations"),
        pytest.param(ago((10, 10), (4, 1), (5, 2), (9, 9)), 3, 5, id="stabilize - old recommendations"),
    ],
)
def test_without_behavior_the_highest_of_five_minutes_counts(
    recommendations: list[tuple[float, int]], desired: int, expected: int
) -> None:
    """TestNormalizeDesiredReplicas."""
    state = HpaState(recommendations)
    assert stabilize(parse_hpa({"spec": {"maxReplicas": 100}}), state, 1, desired, NOW) == expected
    assert state.recommendations[-1] == (NOW, desired)


@pytest.mark.parametrize(
    ("recommendations", "current", "desired", "up_s", "down_s", "expected"),
    [
        pytest.param(ago(), 100, 5, 0, 0, 5, id="empty recommendations for scaling down"),
        pytest.param(ago((4, 2), (5, 1)), 100, 3, 0, 180, 5, id="simple scale down stabilization"),
        pytest.param(ago((4, 2), (5, 1)), 1, 7, 300, 0, 4, id="simple scale up stabilization"),
        pytest.param(ago((1, 2), (2, 1)), 100, 3, 300, 0, 3, id="no scale down stabilization"),
        pytest.param(ago((4, 2), (5, 1)), 1, 3, 0, 300, 3, id="no scale up stabilization"),
        pytest.param(ago((10, 10), (9, 9)), 100, 3, 0, 0, 3, id="no scale down stabilization, reuse element"),
        pytest.param(ago((10, 10), (9, 9)), 1, 100, 0, 0, 100, id="no scale up stabilization, reuse element"),
        pytest.param(
            ago((10, 10), (4, 1), (5, 2), (9, 9)),
            100,
            3,
            0,
            180,
            5,
            id="scale down stabilization, reuse element",
        ),
        pytest.param(
            ago((10, 100), (6, 1), (5, 2), (9, 3)),
            1,
            100,
            300,
            0,
            5,
            id="scale up stabilization, reuse element",
        ),
        pytest.param(
            ago((2, 100), (3, 3)), 2, 1, 300, 300, 2, id="do not scale up when the proposal goes down"
        ),
        pytest.param(
            ago((2, 100), (1, 3)), 2, 3, 300, 300, 2, id="do not scale down when the proposal goes up"
        ),
    ],
)
def test_with_behavior_windows_only_hold_a_change_back(
    recommendations: list[tuple[float, int]],
    current: int,
    desired: int,
    up_s: int,
    down_s: int,
    expected: int,
) -> None:
    """TestNormalizeDesiredReplicasWithBehavior."""
    hpa = spec((0, 0, 100, 15, up_s), (0, 0, 100, 15, down_s))
    assert stabilize(hpa, HpaState(recommendations), current, desired, NOW) == expected


# Rules, (change, seconds ago) that are there, changes that are there after five more or five fewer.
TWO: Given = (10, 60, 100, 60, 0)
EVENT_ROWS: list[tuple[str, Given, list[tuple[int, int]], list[int]]] = [
    ("empty entries with default behavior", None, [], []),
    ("empty entries with two-policy-behavior", TWO, [], [5]),
    ("one outdated entry to be kept untouched without behavior", None, [(7, 61)], [7]),
    ("one outdated entry to be replaced with behavior", TWO, [(7, 61)], [5]),
    ("one actual entry to be not touched with behavior", TWO, [(7, 58)], [7, 5]),
    ("two entries, one of them to be replaced", (10, 60, 0, 0, 0), [(7, 61), (6, 59)], [5, 6]),
    (
        "replace one entry, use policies with different periods",
        (10, 60, 100, 30, 0),
        [(8, 29), (6, 59), (7, 61), (9, 61)],
        [8, 6, 7, 5],
    ),
    ("two entries, both actual", (10, 120, 100, 30, 0), [(7, 58), (6, 59)], [7, 6, 5]),
]


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
@pytest.mark.parametrize(
    ("given", "before", "after"), [pytest.param(*row[1:], id=row[0]) for row in EVENT_ROWS]
)
def test_a_scaling_is_remembered_in_the_place_of_one_that_no_policy_looks_back_to(
    given: Given, before: list[tuple[int, int]], after: list[int], *, up: bool
) -> None:
    """TestStoreScaleEvents."""
    hpa = parse_hpa({"spec": {"maxReplicas": 100}}) if given is None else spec(given, given)
    events = [(NOW - age, change) for change, age in before]
    state = HpaState(ups=events) if up else HpaState(downs=events)
    remember(hpa, state, 10, 15 if up else 5, NOW)
    assert [change for _, change in (state.ups if up else state.downs)] == after
    assert (state.downs if up else state.ups) == []
