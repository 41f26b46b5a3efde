"""KEDA's loop and fallback, by upstream's own cases: kedacore/keda v2.20.2.

Ids are the names of upstream's tests in pkg/scaling/executor/scale_scaledobjects_test.go, pkg/fallback/fallback_test.go and
pkg/scaling/scale_handler_test.go; others say what they are in words.
"""

from typing import Any

import pytest

from stoker.twin.autoscaler.keda import (
    KedaState,
    ScaledObject,
    TriggerReading,
    metric_value,
    parse_scaled_object,
    poll,
    prometheus_reading,
)

ACTIVE, IDLE, ERROR = TriggerReading(5.0), TriggerReading(0.0), TriggerReading(error="down")
NOW = 1e6
PREFIX = "autoscaling.keda.sh/"
IN, OUT, FORCE, PAUSED = (
    {PREFIX + name: "true"} for name in ("paused-scale-in", "paused-scale-out", "force-activation", "paused")
)


def scaled(
    annotations: dict[str, str] | None = None,
    triggers: list[dict[str, Any]] | None = None,
    **spec: Any,
) -> ScaledObject:
    default = [{"type": "prometheus", "metadata": {"query": "q", "threshold": "10"}}]
    return parse_scaled_object(
        {
            "metadata": {"name": "s", "annotations": annotations or {}},
            "spec": {"triggers": triggers or default, **spec},
        }
    )


@pytest.mark.parametrize(
    ("annotations", "spec", "reading", "current", "expected", "woke"),
    [
        pytest.param({}, {"minReplicaCount": 0}, IDLE, 10, 0, False, id="TestScaleToMinReplicasWhenNotActive"),
        pytest.param(
            {}, {"minReplicaCount": 5}, IDLE, 1, 5, False, id="TestScaleToMinReplicasFromLowerInitialReplicaCount"
        ),
        pytest.param({}, {"minReplicaCount": 0}, ACTIVE, 0, 1, True, id="TestScaleFromMinReplicasWhenActive"),
        pytest.param(
            {}, {"minReplicaCount": 5, "idleReplicaCount": 0}, IDLE, 10, 0, False, id="TestScaleToIdleReplicasWhenNotActive"
        ),
        pytest.param(
            {}, {"minReplicaCount": 5, "idleReplicaCount": 0}, ACTIVE, 0, 5, True, id="TestScaleFromIdleToMinReplicasWhenActive"
        ),
        pytest.param({PREFIX + "paused-replicas": "0"}, {}, ACTIVE, 4, 0, False, id="TestScaleToPausedReplicasCount"),
        pytest.param({}, {"minReplicaCount": 5, "idleReplicaCount": 0}, ACTIVE, 2, 5, True, id="TestEventWitTriggerInfo"),
        pytest.param(
            IN, {"minReplicaCount": 0}, IDLE, 10, 10, False,
            id="TestNoScaleToMinReplicasWhenNotActiveAndPauseScaleInAnnotationSet",
        ),
        pytest.param(
            IN, {"minReplicaCount": 5, "idleReplicaCount": 0}, IDLE, 10, 10, False,
            id="TestNoScaleToIdleReplicasWhenNotActiveAndPauseScaleInAnnotationSet",
        ),
        pytest.param(FORCE, {"minReplicaCount": 0}, IDLE, 0, 1, True, id="TestScaleFromMinReplicasWhenActivationForced"),
        pytest.param(
            OUT, {"minReplicaCount": 0}, ACTIVE, 0, 0, False,
            id="TestNoScaleFromMinReplicasWhenActiveAndPausedScaleOutAnnotationSet",
        ),
        pytest.param(
            OUT, {"minReplicaCount": 5, "idleReplicaCount": 0, "maxReplicaCount": 10}, ACTIVE, 0, 0, False,
            id="TestNoScaleFromIdleReplicasToMinReplicasWhenActiveAndPausedScaleOutAnnotationSet",
        ),
        pytest.param({}, {"minReplicaCount": 1}, ACTIVE, 1, 1, True, id="TestRequestScale_AllHealthy_HPAHealthy"),
        pytest.param({}, {"minReplicaCount": 1}, ERROR, 1, 1, False, id="TestRequestScale_ScalerError_HPAHealthy"),
        pytest.param(
            {}, {"minReplicaCount": 1, "fallback": {"failureThreshold": 3, "replicas": 5}}, ERROR, 1, 1, False,
            id="TestRequestScale_ScalerErrorWithFallback_HPAHealthy",
        ),
        pytest.param({}, {}, ACTIVE, 4, 4, True, id="active and running: left to the HPA"),
        pytest.param({}, {"minReplicaCount": 5}, IDLE, 5, 5, False, id="inactive at the minimum: left"),
        pytest.param({}, {"minReplicaCount": 3}, IDLE, 9, 9, False, id="inactive above a minimum: left to the HPA"),
        pytest.param({}, {}, ERROR, 4, 4, False, id="an error keeps what would go to zero"),
        pytest.param(
            {}, {"fallback": {"failureThreshold": 3, "replicas": 0}}, ERROR, 4, 0, False,
            id="an error with a fallback to nothing does not",
        ),
        pytest.param({}, {"minReplicaCount": 5}, ERROR, 2, 2, False, id="an error keeps what is below the minimum"),
        pytest.param(PAUSED, {}, IDLE, 7, 7, False, id="paused where it is"),
    ],
)  # fmt: skip
def test_a_round_of_kedas_loop_sets_what_upstream_sets(
    annotations: dict[str, str],
    spec: dict[str, Any],
    reading: TriggerReading,
    current: int,
    expected: int,
    *,
    woke: bool,
) -> None:
    state = KedaState()
    assert poll(scaled(annotations, **spec), state, [reading], current, NOW) == expected
    assert (state.last_active_s == NOW) == woke


TWO = [
    {"type": "prometheus", "metadata": {"query": "q", "threshold": "10"}},
    {"type": "prometheus", "metadata": {"query": "r", "threshold": "10"}},
]


def test_with_one_trigger_failing_the_others_still_wake_but_the_cooldown_is_not_put_off() -> None:
    """TestRequestScale_PartialError_HPAHealthy, TestCheckScaledObjectFindFirstActiveNotIgnoreOthers."""
    found, state = scaled(triggers=TWO, cooldownPeriod=300), KedaState()
    assert poll(found, state, [ACTIVE, ERROR], 0, 0.0) == 1
    assert poll(found, state, [ACTIVE, ERROR], 1, 290.0) == 1
    assert state.last_active_s == 0.0
    assert poll(found, state, [IDLE, IDLE], 1, 310.0) == 0


def test_a_failing_trigger_is_not_active() -> None:
    """TestCheckScaledObjectScalersWithError."""
    assert poll(scaled(), KedaState(), [ERROR], 0, NOW) == 0


def test_the_last_replica_goes_after_the_cooldown_since_it_was_last_active() -> None:
    found, state = scaled(cooldownPeriod=300), KedaState()
    assert poll(found, state, [ACTIVE], 1, 100.0) == 1
    assert poll(found, state, [IDLE], 1, 400.0) == 1
    assert poll(found, state, [IDLE], 1, 401.0) == 0


def test_a_new_scaled_object_waits_its_initial_cooldown() -> None:
    found = scaled(initialCooldownPeriod=120)
    assert poll(found, KedaState(), [IDLE], 1, 120.0) == 1
    assert poll(found, KedaState(), [IDLE], 1, 121.0) == 0


def test_activation_has_its_own_threshold() -> None:
    """GetMetricsAndActivity of prometheus_scaler.go: above the activation threshold, not at it."""
    metadata = {"query": "q", "threshold": "10", "activationThreshold": "5"}
    found = scaled(triggers=[{"type": "prometheus", "metadata": metadata}])
    assert poll(found, KedaState(), [TriggerReading(5.0)], 0, NOW) == 0
    assert poll(found, KedaState(), [TriggerReading(5.1)], 0, NOW) == 1


@pytest.mark.parametrize(
    ("kinds", "readings", "expected"),
    [
        pytest.param(["cpu"], [IDLE], 1, id="cpu alone is always active"),
        pytest.param(["cpu", "memory"], [IDLE, IDLE], 1, id="cpu and memory too"),
        pytest.param(["cpu", "prometheus"], [ACTIVE, IDLE], 0, id="beside another, cpu wakes nothing"),
        pytest.param(["cpu", "prometheus"], [IDLE, ACTIVE], 1, id="the other does"),
    ],
)
def test_cpu_and_memory_wake_only_where_nothing_else_could(
    kinds: list[str], readings: list[TriggerReading], expected: int
) -> None:
    """TestGetScaledObjectStateRecordsResourceScalerActiveMetric; the end of getScaledObjectState."""
    metadata = {"value": "50", "query": "q", "threshold": "10"}
    triggers = [
        {
            "type": kind,
            "metricType": "AverageValue" if kind == "prometheus" else "Utilization",
            "metadata": metadata,
        }
        for kind in kinds
    ]
    assert poll(scaled(triggers=triggers), KedaState(), readings, 0, NOW) == expected


def fallback(behavior: str = "", metric_type: str = "AverageValue", threshold: str = "10") -> ScaledObject:
    trigger = {
        "type": "prometheus",
        "metricType": metric_type,
        "metadata": {"query": "q", "threshold": threshold},
    }
    chosen = {"behavior": behavior} if behavior else {}
    return scaled(triggers=[trigger], fallback={"failureThreshold": 3, "replicas": 10, **chosen})


@pytest.mark.parametrize(
    ("found", "reading", "before", "current", "value", "after"),
    [
        pytest.param(scaled(), ACTIVE, {}, 5, 5.0, 0, id="should return the expected metric when fallback is disabled"),
        pytest.param(fallback(), ACTIVE, {}, 5, 5.0, 0, id="should initialise the health status on success when fallback is enabled"),
        pytest.param(fallback(), ACTIVE, {0: 5}, 5, 5.0, 0, id="should reset the health status when scaler metrics are available"),
        pytest.param(scaled(), ERROR, {}, 5, None, 0, id="should propagate the error when fallback is disabled"),
        pytest.param(fallback(), ERROR, {0: 0}, 5, None, 1, id="should bump the number of failures when metrics call fails"),
        pytest.param(fallback(), ERROR, {0: 3}, 5, 100.0, 4, id="should return a normalised metric beyond threshold"),
        pytest.param(fallback("currentReplicasIfHigher"), ERROR, {0: 3}, 4, 100.0, 4, id="should use fallback replicas when current replicas is lower when behavior is 'currentReplicasIfHigher'"),
        pytest.param(fallback("currentReplicas"), ERROR, {0: 3}, 6, 60.0, 4, id="should use current replicas when behavior is 'currentReplicas'"),
        pytest.param(fallback("static"), ERROR, {0: 3}, 15, 100.0, 4, id="should ignore current replicas when behavior is 'static'"),
        pytest.param(fallback("currentReplicasIfHigher"), ERROR, {0: 3}, 15, 150.0, 4, id="doFallback: the current count where it is higher"),
        pytest.param(fallback("currentReplicasIfLower"), ERROR, {0: 3}, 15, 100.0, 4, id="doFallback: not the current count where it is not lower"),
        pytest.param(fallback("currentReplicasIfLower"), ERROR, {0: 3}, 4, 40.0, 4, id="doFallback: the current count where it is lower"),
        pytest.param(fallback(threshold="2.5"), ERROR, {0: 3}, 5, 25.0, 4, id="doFallback: a target that is no whole number"),
    ],
)  # fmt: skip
def test_the_hpa_is_told_the_fallback_after_more_failures_than_its_threshold(
    found: ScaledObject,
    reading: TriggerReading,
    before: dict[int, int],
    current: int,
    value: float | None,
    after: int,
) -> None:
    state = KedaState(failures=dict(before))
    assert metric_value(found, state, found.triggers[0], reading, current) == value
    assert state.failures.get(0, 0) == after


def test_a_fallback_of_a_value_target_is_a_ready_pods_share() -> None:
    """See doFallback with getReadyReplicasCount: the HPA multiplies by the ready pods, and none cannot be divided by."""
    found = fallback(metric_type="Value")
    trigger = found.triggers[0]
    assert metric_value(found, KedaState(failures={0: 3}), trigger, ERROR, 5, ready=4) == 25.0
    assert metric_value(found, KedaState(failures={0: 3}), trigger, ERROR, 5, ready=3) == 33.333
    assert metric_value(found, KedaState(failures={0: 3}), trigger, ERROR, 5, ready=0) is None


def test_the_loop_counts_failures_too_and_a_trigger_that_falls_back_is_active() -> None:
    """getScalerState: the fourth failure makes it active, from zero to one, and from there the HPA goes to ten."""
    found, state = fallback(), KedaState()
    assert [poll(found, state, [ERROR], 0, 30.0 * turn) for turn in range(4)] == [0, 0, 0, 1]
    assert state.last_active_s == 90.0
    assert metric_value(found, state, found.triggers[0], ERROR, 1) == 100.0


@pytest.mark.parametrize(
    ("value", "ignored", "strict"),
    [
        pytest.param(None, 0.0, None, id="no values"),
        pytest.param(2.0, 2.0, 2.0, id="valid value"),
        pytest.param(float("inf"), 0.0, None, id="+Inf"),
        pytest.param(float("-inf"), 0.0, None, id="-Inf"),
        pytest.param(float("nan"), 0.0, None, id="NaN"),
    ],
)
def test_an_answer_that_is_no_number_is_zero_or_an_error(
    value: float | None, ignored: float, strict: float | None
) -> None:
    """TestPrometheusScalerExecutePromQuery, with ignoreNullValues and without."""
    assert prometheus_reading(value, ignore_null=True) == TriggerReading(ignored)
    found = prometheus_reading(value, ignore_null=False)
    assert bool(found.error) == (strict is None)
    assert strict is None or found.value == strict


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(42.5, 42.5, id="small value"),
        pytest.param(1e18, 1e18, id="large value in quintillion range"),
        pytest.param(9.3e15, 9.3e15, id="value just above int64 milli overflow threshold"),
        pytest.param(float("nan"), 0.0, id="NaN treated as zero"),
        pytest.param(float("inf"), 0.0, id="positive Inf treated as zero"),
        pytest.param(-1.0, 0.0, id="negative value treated as zero"),
        pytest.param(-9.3e15, 0.0, id="large negative value treated as zero"),
        pytest.param(0.1239, 0.124, id="thousandths"),
    ],
)
def test_the_hpa_is_told_thousandths_and_nothing_below_zero(value: float, expected: float) -> None:
    """TestGenerateMetricInMili of pkg/scalers/scaler_test.go."""
    found = scaled()
    assert metric_value(found, KedaState(), found.triggers[0], TriggerReading(value), 2) == expected
