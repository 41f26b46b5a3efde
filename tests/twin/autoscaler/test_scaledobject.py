"""Reading ScaledObjects and the HPA that KEDA keeps, by upstream's own cases: kedacore/keda v2.20.2.

Ids are those of apis/keda/v1alpha1/scaledobject_types_test.go where no other file is named.
"""

from typing import Any

import pytest

from stoker.errors import StokerError
from stoker.twin.autoscaler.hpa import parse_hpa
from stoker.twin.autoscaler.keda import hpa_of, parse_scaled_object
from stoker.twin.autoscaler.scaledobject import ScaledObject

PREFIX = "autoscaling.keda.sh/"


def scaled(
    annotations: dict[str, str] | None = None,
    triggers: list[dict[str, Any]] | None = None,
    **spec: Any,
) -> ScaledObject:
    default = [{"type": "couchdb", "metadata": {"threshold": "10"}}]
    return parse_scaled_object(
        {
            "metadata": {"name": "s", "annotations": annotations or {}},
            "spec": {"triggers": triggers or default, **spec},
        }
    )


def test_defaults_are_kedas() -> None:
    """withtriggers_types.go, scale_executor.go."""
    found = scaled()
    assert (found.polling_s, found.cooldown_s, found.initial_cooldown_s) == (30, 300, 0)
    assert (found.min_replicas, found.max_replicas, found.idle) == (0, 100, None)


@pytest.mark.parametrize(
    ("annotations", "paused", "count"),
    [
        pytest.param({}, False, None, id="No annotations"),
        pytest.param({"paused": "true"}, True, None, id="PausedAnnotation with true value"),
        pytest.param({"paused": "false"}, False, None, id="PausedAnnotation with false value"),
        pytest.param({"paused": "invalid"}, True, None, id="PausedAnnotation with invalid value"),
        pytest.param({"paused": "0"}, False, None, id="strconv.ParseBool: 0"),
        pytest.param({"paused": "T"}, True, None, id="strconv.ParseBool: T"),
        pytest.param({"paused-replicas": "5"}, True, 5, id="PausedReplicasAnnotation with value"),
        pytest.param({"paused-replicas": "0"}, True, 0, id="zero value annotation"),
        pytest.param({"paused-replicas": "not-a-number"}, True, None, id="invalid string annotation"),
        pytest.param({"paused": "true", "paused-replicas": "5"}, True, 5, id="Both annotations set"),
        pytest.param(
            {"paused": "false", "paused-replicas": "5"},
            True,
            5,
            id="Both annotations set, PausedAnnotation false",
        ),
    ],
)
def test_annotations_pause_as_upstream_says(
    annotations: dict[str, str], count: int | None, *, paused: bool
) -> None:
    """TestNeedToBePausedByAnnotation, TestGetPausedReplicaCount."""
    found = scaled({PREFIX + name: value for name, value in annotations.items()})
    assert (found.paused, found.paused_replicas) == (paused, count)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({"minReplicaCount": 1, "maxReplicaCount": 5}, "", id="Valid: min 1, max 5, no idle"),
        pytest.param(
            {"minReplicaCount": 1, "maxReplicaCount": 5, "idleReplicaCount": 0}, "", id="Valid: min 1, max 5, idle 0"
        ),
        pytest.param({"minReplicaCount": 2, "maxReplicaCount": 1}, "maxReplicaCount=1", id="Invalid: min 2 > max 1"),
        pytest.param(
            {"minReplicaCount": 1, "maxReplicaCount": 5, "idleReplicaCount": 1}, "idleReplicaCount=1", id="Invalid: idle 1 == min 1"
        ),
        pytest.param(
            {"minReplicaCount": 1, "maxReplicaCount": 5, "idleReplicaCount": 2}, "idleReplicaCount=2", id="Invalid: idle 2 > min 1"
        ),
    ],
)  # fmt: skip
def test_bounds_that_keda_refuses_are_refused(spec: dict[str, Any], message: str) -> None:
    """TestCheckReplicaCountBoundsAreValid."""
    if message:
        with pytest.raises(StokerError, match=message):
            scaled(**spec)
    else:
        assert scaled(**spec).max_replicas == 5


def trigger(kind: str, metric_type: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"type": kind, "metadata": {"threshold": "10", "value": "50"}}
    return {**found, "metricType": metric_type} if metric_type else found


FALLBACK = {"failureThreshold": 3, "replicas": 1}
AVERAGE, CPU = trigger("couchdb", "AverageValue"), trigger("cpu", "AverageValue")


@pytest.mark.parametrize(
    ("triggers", "fallback", "refused"),
    [
        pytest.param([trigger("couchdb")], None, False, id="No fallback configured"),
        pytest.param([AVERAGE], FALLBACK, False, id="Explicit AverageValue metricType - valid"),
        pytest.param([trigger("couchdb")], FALLBACK, False, id="Implicit AverageValue metricType - valid"),
        pytest.param([trigger("couchdb", "Value")], FALLBACK, False, id="Value metricType - valid"),
        pytest.param([trigger("prometheus", "Value"), AVERAGE], FALLBACK, False, id="Multiple triggers, one AverageValue"),
        pytest.param([CPU], FALLBACK, True, id="CPU trigger - invalid"),
        pytest.param([trigger("memory", "AverageValue")], FALLBACK, True, id="Memory trigger - invalid"),
        pytest.param([trigger("cpu", "Utilization"), AVERAGE], FALLBACK, False, id="one CPU and one valid - valid"),
        pytest.param([AVERAGE], {**FALLBACK, "failureThreshold": -1}, True, id="Negative FailureThreshold - invalid"),
        pytest.param([AVERAGE], {**FALLBACK, "replicas": -1}, True, id="Negative Replicas - invalid"),
    ],
)  # fmt: skip
def test_fallbacks_that_keda_refuses_are_refused(
    triggers: list[dict[str, Any]], fallback: dict[str, int] | None, *, refused: bool
) -> None:
    """TestCheckFallbackValid."""
    if refused:
        with pytest.raises(StokerError, match="fallback"):
            scaled(triggers=triggers, fallback=fallback)
    else:
        assert (scaled(triggers=triggers, fallback=fallback).fallback is None) == (fallback is None)


@pytest.mark.parametrize(
    ("advanced", "fallback"),
    [
        pytest.param({"scalingModifiers": {"formula": "x * 2"}}, None, id="Has ScalingModifiers formula"),
        pytest.param({"scalingModifiers": {"target": "100"}}, None, id="Has ScalingModifiers target"),
        pytest.param({}, {**FALLBACK, "behavior": "scalingModifiers"}, id="a fallback that is one"),
    ],
)
def test_scaling_modifiers_are_refused_because_the_twin_has_none(
    advanced: dict[str, Any], fallback: dict[str, Any] | None
) -> None:
    """TestIsUsingModifiers says what counts as using them; an empty object does not."""
    with pytest.raises(StokerError, match="scalingModifiers"):
        scaled(advanced=advanced, fallback=fallback)
    assert scaled(advanced={"scalingModifiers": {}}).fallback is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(trigger("kafka", "Utilization"), None, id="TestGetMetricTargetType: utilization"),
        pytest.param(trigger("kafka", "AverageValue"), "AverageValue", id="TestGetMetricTargetType: average value"),
        pytest.param(trigger("kafka", "Value"), "Value", id="TestGetMetricTargetType: value"),
        pytest.param(trigger("kafka"), "AverageValue", id="TestGetMetricTargetType: none"),
        pytest.param(trigger("cpu"), None, id="TestCPUMemoryParseMetadata: none"),
        pytest.param(trigger("cpu", "Utilization"), "Utilization", id="TestCPUMemoryParseMetadata: utilization"),
        pytest.param(trigger("cpu", "AverageValue"), "AverageValue", id="TestCPUMemoryParseMetadata: average value"),
        pytest.param(trigger("cpu", "Value"), None, id="TestCPUMemoryParseMetadata: value"),
        pytest.param(
            {"type": "cpu", "metricType": "Utilization", "metadata": {"value": ""}}, None, id="TestCPUMemoryParseMetadata: nothing"
        ),
    ],
)  # fmt: skip
def test_a_trigger_has_the_metric_types_that_its_scaler_has(
    given: dict[str, Any], expected: str | None
) -> None:
    """pkg/scalers/scaler_test.go and cpu_memory_scaler_test.go."""
    if expected is None:
        with pytest.raises(StokerError, match="trigger 0"):
            scaled(triggers=[given])
    else:
        assert scaled(triggers=[given]).triggers[0].metric_type == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("kafka", 10.0), ("aws-sqs-queue", 5.0), ("redis-streams", 5.0), ("rabbitmq", 20.0)],
)
def test_a_target_that_is_not_given_is_the_scalers(kind: str, expected: float) -> None:
    """Defaults in kafka_scaler.go, aws_sqs_queue_scaler.go, redis_streams_scaler.go, rabbitmq_scaler.go."""
    assert scaled(triggers=[{"type": kind, "metadata": {}}]).triggers[0].threshold == expected


@pytest.mark.parametrize(
    ("spec", "least", "most"),
    [
        pytest.param({}, 1, 100, id="Default min and max"),
        pytest.param({"minReplicaCount": 5}, 5, 100, id="Custom min, default max"),
        pytest.param({"maxReplicaCount": 10}, 1, 10, id="Default min, custom max"),
        pytest.param({"minReplicaCount": 5, "maxReplicaCount": 10}, 5, 10, id="Custom min and max"),
        pytest.param({"minReplicaCount": 0}, 1, 100, id="Zero min, default max"),
    ],
)
def test_the_hpa_has_the_bounds_that_upstream_gives_it(spec: dict[str, Any], least: int, most: int) -> None:
    """TestGetHPAReplicas."""
    made = hpa_of(scaled(**spec))["spec"]
    assert (made["minReplicas"], made["maxReplicas"]) == (least, most)


def test_the_hpa_that_keda_keeps_has_a_metric_a_trigger_sorted_by_type() -> None:
    """newHPAForScaledObject; TestGetMetricSpecForScaling and TestGetContainerMetricSpecForScaling of cpu_memory_scaler_test.go."""
    memory = {"type": "memory", "metricType": "AverageValue", "metadata": {"value": "1Gi"}}
    container = {
        "type": "cpu",
        "metricType": "Utilization",
        "metadata": {"value": "50", "containerName": "foo"},
    }
    kafka = {"type": "kafka", "metricType": "Value", "metadata": {"lagThreshold": "1234567"}}
    made = hpa_of(scaled(triggers=[memory, kafka, container]))
    assert made["metadata"]["name"] == "keda-hpa-s"
    assert made["spec"]["metrics"] == [
        {
            "type": "ContainerResource",
            "containerResource": {
                "name": "cpu",
                "container": "foo",
                "target": {"type": "Utilization", "averageUtilization": 50},
            },
        },
        {
            "type": "External",
            "external": {"metric": {"name": "s1-kafka"}, "target": {"type": "Value", "value": "1234567"}},
        },
        {
            "type": "Resource",
            "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}},
        },
    ]
    assert [metric.value for metric in parse_hpa(made).metrics] == [50.0, 1234567.0, 2.0**30]


def test_the_hpa_has_the_name_and_the_behavior_that_are_asked_for() -> None:
    """getHPAName; behavior is handed on as it is."""
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    made = hpa_of(scaled(advanced={"horizontalPodAutoscalerConfig": {"name": "mine", "behavior": behavior}}))
    assert (made["metadata"]["name"], made["spec"]["behavior"]) == ("mine", behavior)
    assert "behavior" not in hpa_of(scaled())["spec"]


@pytest.mark.parametrize(
    ("annotation", "paused", "free"),
    [("paused-scale-in", "down", "up"), ("paused-scale-out", "up", "down")],
)
def test_a_direction_that_is_paused_is_disabled_in_the_hpa_too(
    annotation: str, paused: str, free: str
) -> None:
    """newHPAForScaledObject: the rest of the direction's rules stays."""
    rules = {"stabilizationWindowSeconds": 77}
    config = {"behavior": {"scaleDown": rules, "scaleUp": rules}}
    found = scaled({PREFIX + annotation: "true"}, advanced={"horizontalPodAutoscalerConfig": config})
    read = parse_hpa(hpa_of(found))
    assert (getattr(read, paused).select, getattr(read, free).select) == ("Disabled", "Max")
    assert getattr(read, paused).stabilization_s == 77
    assert parse_hpa(hpa_of(scaled({PREFIX + annotation: "true"}))).has_behavior
