"""The HPA over time: what its windows and policies do from one sync to the next (kubernetes 1.36 podautoscaler)."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.twin.autoscaler.controller import HpaState, Reading, sync
from stoker.twin.autoscaler.hpa import HpaSpec, parse_hpa


def hpa(metrics: list[Any] | None = None, **spec: object) -> HpaSpec:
    default = [
        {
            "type": "External",
            "external": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "10"}},
        }
    ]
    return parse_hpa({"spec": {"minReplicas": 1, "maxReplicas": 100, "metrics": metrics or default, **spec}})


def ask(spec: HpaSpec, state: HpaState, current: int, load: float | None, now: float) -> int:
    reading = Reading(error="gone") if load is None else Reading(value=load)
    return sync(spec, state, current, lambda _: reading, now).replicas


def test_a_lower_load_waits_for_the_stabilisation_window() -> None:
    spec, state = hpa(), HpaState()
    assert ask(spec, state, 10, 100, 0.0) == 10
    assert ask(spec, state, 10, 20, 15.0) == 10
    assert ask(spec, state, 10, 20, 299.0) == 10
    assert ask(spec, state, 10, 20, 301.0) == 2


@pytest.mark.parametrize(("select", "expected"), [("Max", 14), ("Min", 13), ("Disabled", 10)])
def test_policies_bound_growth_by_what_was_added_in_their_period(select: str, expected: int) -> None:
    behavior = {
        "scaleUp": {
            "selectPolicy": select,
            "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 60},
                {"type": "Percent", "value": 30, "periodSeconds": 60},
            ],
        }
    }
    spec, state = hpa(behavior=behavior), HpaState()
    assert ask(spec, state, 10, 1000, 0.0) == expected
    if select == "Max":
        assert ask(spec, state, 14, 1000, 30.0) == 14
        assert ask(spec, state, 14, 1000, 61.0) == 19


@pytest.mark.parametrize(("select", "expected"), [("Max", 5), ("Min", 8), ("Disabled", 10)])
def test_policies_bound_shrinking_too(select: str, expected: int) -> None:
    behavior = {
        "scaleDown": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": select,
            "policies": [
                {"type": "Pods", "value": 2, "periodSeconds": 60},
                {"type": "Percent", "value": 50, "periodSeconds": 60},
            ],
        }
    }
    assert ask(hpa(behavior=behavior), HpaState(), 10, 10, 0.0) == expected


def test_a_scale_up_window_takes_the_lowest_recommendation_in_it() -> None:
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 60}}
    spec, state = hpa(behavior=behavior), HpaState()
    assert ask(spec, state, 2, 20, 0.0) == 2
    assert ask(spec, state, 2, 60, 15.0) == 2
    assert ask(spec, state, 2, 60, 61.0) == 6


def test_pods_that_were_taken_may_come_back_within_the_period_of_the_up_policy() -> None:
    """What getReplicasChangePerPeriod counts in both directions: ten minus four and back is no growth."""
    policy = {"type": "Pods", "value": 1, "periodSeconds": 60}
    behavior = {"scaleUp": {"policies": [policy]}, "scaleDown": {"stabilizationWindowSeconds": 0}}
    spec, state = hpa(behavior=behavior), HpaState()
    assert ask(spec, state, 10, 60, 0.0) == 6
    assert ask(spec, state, 6, 200, 15.0) == 11
    assert ask(hpa(behavior=behavior), HpaState(), 6, 200, 15.0) == 7


def test_a_window_never_turns_a_scale_up_into_a_scale_down() -> None:
    """In stabilizeRecommendationWithBehaviors, which holds the current count where an older recommendation was lower than it."""
    spec, state = hpa(behavior={"scaleUp": {"stabilizationWindowSeconds": 300}}), HpaState()
    assert ask(spec, state, 2, 20, 0.0) == 2
    assert ask(spec, state, 6, 80, 15.0) == 6


def test_a_metric_that_fails_may_scale_up_by_the_others_but_never_down() -> None:
    two: list[Any] = [
        {
            "type": "External",
            "external": {"metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": "10"}},
        }
        for name in ("good", "bad")
    ]
    spec = hpa(two)

    def with_good(value: float) -> object:
        return lambda metric: Reading(value=value) if metric.name == "good" else Reading(error="gone")

    assert sync(spec, HpaState(), 5, with_good(80), 0.0).replicas == 8  # type: ignore[arg-type]
    assert sync(spec, HpaState(), 5, with_good(10), 0.0).replicas == 5  # type: ignore[arg-type]
    assert not sync(spec, HpaState(), 5, with_good(10), 0.0).active  # type: ignore[arg-type]


def test_bounds_come_before_metrics() -> None:
    spec = hpa(minReplicas=3, maxReplicas=5)
    assert ask(spec, HpaState(), 1, None, 0.0) == 3
    assert ask(spec, HpaState(), 9, None, 0.0) == 5


@given(
    loads=st.lists(st.floats(0, 2000), min_size=1, max_size=40),
    least=st.integers(1, 5),
    more=st.integers(0, 20),
    window=st.integers(0, 600),
)
def test_replicas_stay_in_bounds_and_above_what_the_window_remembers(
    loads: list[float], least: int, more: int, window: int
) -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": window}}
    spec, state = hpa(minReplicas=least, maxReplicas=least + more, behavior=behavior), HpaState()
    current, remembered = least, []
    for step, load in enumerate(loads):
        now = 15.0 * step
        before, current = current, ask(spec, state, current, load, now)
        remembered.append((now, max(least, min(least + more, math.ceil(load / 10)))))
        assert least <= current <= least + more
        if current < before:
            assert (
                current >= min(before, max(r for t, r in remembered if t > now - window or t == now) - 1)
                or window == 0
            )
