"""The HPA against rows of upstream's own tables (kubernetes 1.36 pkg/controller/podautoscaler)."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.twin.autoscaler.controller import HpaState, Reading, sync
from stoker.twin.autoscaler.hpa import HpaSpec, Metric, parse_hpa
from stoker.twin.autoscaler.replicas import NoMetricsError, PodSample, replicas_for


def hpa(metrics: list[Any] | None = None, **spec: object) -> HpaSpec:
    default = [
        {
            "type": "External",
            "external": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "10"}},
        }
    ]
    return parse_hpa({"spec": {"minReplicas": 1, "maxReplicas": 100, "metrics": metrics or default, **spec}})


CPU = [
    {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 30}},
    }
]


def cpu_pods(values: list[float | None], **fields: object) -> list[PodSample]:
    return [
        PodSample(None if value is None else value / 1000, request=1.0, sampled_s=1000.0, **fields)  # type: ignore[arg-type]
        for value in values
    ]


def wanted(target: int, values: list[float | None], current: int, **fields: object) -> int:
    metrics: list[Any] = [
        {
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}},
        }
    ]
    spec = hpa(metrics)
    return replicas_for(spec, spec.metrics[0], current, pods=cpu_pods(values, **fields), now=1000.0)


@pytest.mark.parametrize(
    ("upstream", "target", "values", "current", "expected"),
    [
        # replica_calculator_test.go, requests of 1 core a pod, values in millicores.
        ("TestReplicaCalcScaleUp", 30, [300, 500, 700], 3, 5),
        ("TestReplicaCalcScaleDown", 50, [100, 300, 500, 250, 250], 5, 3),
        ("TestReplicaCalcTolerance", 100, [1010, 1030, 1020], 3, 3),
        ("TestReplicaCalcMissingMetrics", 100, [400, 95, None, None], 4, 3),
        ("TestReplicaCalcMissingMetricsNoChangeEq", 100, [1000, None], 2, 2),
        ("TestReplicaCalcMissingMetricsNoChangeGt", 100, [1900, None], 2, 2),
        ("TestReplicaCalcMissingMetricsNoChangeLt", 100, [600, None], 2, 2),
    ],
)
def test_cpu_utilisation_rows_of_upstream(
    upstream: str, target: int, values: list[float | None], current: int, expected: int
) -> None:
    assert wanted(target, values, current) == expected, upstream


def test_unready_pods_hold_a_scale_up_back_as_upstream_says() -> None:
    """TestReplicaCalcScaleUpUnreadyLessScale: of three pods one is unready, and two at 500 and 700 ask for four."""
    spec = hpa(CPU)
    pods = [
        PodSample(0.3, request=1.0, ready=False, ready_since_s=900.0, started_s=900.0, sampled_s=1000.0),
        *cpu_pods([500, 700]),
    ]
    assert replicas_for(spec, spec.metrics[0], 3, pods=pods, now=1000.0) == 4


@pytest.mark.parametrize("phase", ["Failed", "deleted"])
def test_failed_and_deleted_pods_are_passed_over(phase: str) -> None:
    """TestReplicaCalcScaleUpIgnoresFailedPods, …IgnoresDeletionPods."""
    gone = PodSample(None, phase=phase) if phase == "Failed" else PodSample(None, deleted=True)
    spec = hpa(CPU)
    assert replicas_for(spec, spec.metrics[0], 2, pods=[*cpu_pods([500, 700]), gone, gone], now=1000.0) == 4


def test_without_samples_there_is_no_answer() -> None:
    """TestReplicaCalcEmptyMetrics."""
    spec = hpa(CPU)
    with pytest.raises(NoMetricsError):
        replicas_for(spec, spec.metrics[0], 2, pods=cpu_pods([None, None]), now=1000.0)


@pytest.mark.parametrize(
    ("upstream", "kind", "target", "value", "current", "expected"),
    [
        ("TestReplicaCalcScaleUpCMExternal", "Value", 4.4, 8.6, 1, 2),
        ("TestReplicaCalcScaleUpCMExternalNoLabels", "Value", 4.4, 8.6, 1, 2),
        ("TestReplicaCalcScaleUpPerPodCMExternal", "AverageValue", 2.15, 8.6, 3, 4),
        ("TestReplicaCalcScaleDownCMExternal", "Value", 14.334, 8.6, 5, 3),
        ("TestReplicaCalcScaleDownPerPodCMExternal", "AverageValue", 2.867, 8.6, 5, 3),
        ("TestReplicaCalcToleranceCMExternal", "Value", 8.888, 8.6, 3, 3),
        ("TestReplicaCalcTolerancePerPodCMExternal", "AverageValue", 2.9, 8.6, 3, 3),
    ],
)
def test_external_metric_rows_of_upstream(
    upstream: str, kind: str, target: float, value: float, current: int, expected: int
) -> None:
    metric = Metric("m", "External", kind, target)
    assert replicas_for(hpa(), metric, current, value=value, ready=current) == expected, upstream


def ask(spec: HpaSpec, state: HpaState, current: int, load: float | None, now: float) -> int:
    reading = Reading(error="gone") if load is None else Reading(value=load)
    return sync(spec, state, current, lambda _: reading, now).replicas


def test_a_lower_load_waits_for_the_stabilisation_window() -> None:
    spec, state = hpa(), HpaState()
    assert ask(spec, state, 10, 100, 0.0) == 10
    assert ask(spec, state, 10, 20, 15.0) == 10
    assert ask(spec, state, 10, 20, 299.0) == 10
    assert ask(spec, state, 10, 20, 301.0) == 2


def test_without_behavior_growth_is_bounded_by_double_or_four() -> None:
    """TestScaleUpRCImmediately and calculateScaleUpLimit: max(2 x current, 4)."""
    assert ask(hpa(), HpaState(), 1, 1000, 0.0) == 4
    assert ask(hpa(), HpaState(), 10, 1000, 0.0) == 20


@pytest.mark.parametrize(("select", "expected"), [("Max", 14), ("Min", 13), ("Disabled", 10)])
def test_policies_bound_growth_by_what_was_added_in_their_period(select: str, expected: int) -> None:
    """TestScalingWithRules: 4 pods or 30 % of 10 in the period."""
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


def test_zero_replicas_switch_the_hpa_off() -> None:
    decision = sync(hpa(), HpaState(), 0, lambda _: Reading(value=100), 0.0)
    assert (decision.replicas, decision.active, decision.reason) == (0, False, "ScalingDisabled")


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
