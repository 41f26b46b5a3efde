"""KEDA's loop and fallback, by the cases of kedacore/keda v2.20.2 scale_scaledobjects_test.go and fallback_test.go."""

import pytest

from stoker.errors import StokerError
from stoker.twin.autoscaler.cron import parse_window
from stoker.twin.autoscaler.keda import (
    KedaState,
    ScaledObject,
    TriggerReading,
    hpa_of,
    metric_value,
    parse_scaled_object,
    poll,
)
from stoker.twin.autoscaler.knative import KpaSpec, KpaState, decide

ACTIVE, IDLE, ERROR = TriggerReading(5.0), TriggerReading(0.0), TriggerReading(error="down")


def scaled(annotations: dict[str, str] | None = None, **spec: object) -> ScaledObject:
    trigger = {"type": "prometheus", "metadata": {"query": "q", "threshold": "10"}}
    return parse_scaled_object(
        {"metadata": {"name": "s", "annotations": annotations or {}}, "spec": {"triggers": [trigger], **spec}}
    )


def test_defaults_are_kedas() -> None:
    found = scaled()
    assert (found.polling_s, found.cooldown_s, found.min_replicas, found.max_replicas) == (30, 300, 0, 100)


@pytest.mark.parametrize(
    ("name", "spec", "reading", "current", "expected"),
    [
        ("active at zero: one replica", {}, ACTIVE, 0, 1),
        ("active at zero with a minimum: the minimum", {"minReplicaCount": 3}, ACTIVE, 0, 3),
        ("active and running: left to the HPA", {}, ACTIVE, 4, 4),
        (
            "idle mode and active: from idle to the minimum",
            {"minReplicaCount": 5, "idleReplicaCount": 1},
            ACTIVE,
            1,
            5,
        ),
        ("inactive below the minimum: the minimum", {"minReplicaCount": 5}, IDLE, 2, 5),
        ("inactive at the minimum: left", {"minReplicaCount": 5}, IDLE, 5, 5),
        ("an error without fallback: left", {}, ERROR, 4, 4),
        ("an error with a fallback", {"fallback": {"failureThreshold": 3, "replicas": 6}}, ERROR, 2, 6),
        (
            "a fallback that only raises",
            {"fallback": {"failureThreshold": 3, "replicas": 6, "behavior": "currentReplicasIfHigher"}},
            ERROR,
            8,
            8,
        ),
        (
            "a fallback that only lowers",
            {"fallback": {"failureThreshold": 3, "replicas": 6, "behavior": "currentReplicasIfLower"}},
            ERROR,
            8,
            6,
        ),
    ],
)
def test_kedas_own_loop(
    name: str, spec: dict[str, object], reading: TriggerReading, current: int, expected: int
) -> None:
    assert poll(scaled(None, **spec), KedaState(), [reading], current, 1000.0) == expected, name


def test_the_last_replica_goes_after_the_cooldown_since_it_was_last_active() -> None:
    found, state = scaled(cooldownPeriod=300), KedaState()
    assert poll(found, state, [ACTIVE], 1, 100.0) == 1
    assert poll(found, state, [IDLE], 1, 400.0) == 1
    assert poll(found, state, [IDLE], 1, 401.0) == 0


def test_a_new_scaled_object_waits_its_initial_cooldown() -> None:
    found = scaled(initialCooldownPeriod=120)
    assert poll(found, KedaState(), [IDLE], 1, 120.0) == 1
    assert poll(found, KedaState(), [IDLE], 1, 121.0) == 0


@pytest.mark.parametrize(
    ("annotation", "reading", "current", "expected"),
    [
        ({"autoscaling.keda.sh/paused-replicas": "2"}, ACTIVE, 7, 2),
        ({"autoscaling.keda.sh/paused": "true"}, IDLE, 7, 7),
        ({"autoscaling.keda.sh/paused-scale-in": "true"}, IDLE, 7, 7),
        ({"autoscaling.keda.sh/paused-scale-out": "true"}, ACTIVE, 0, 0),
        ({"autoscaling.keda.sh/force-activation": "true"}, IDLE, 0, 1),
    ],
)
def test_annotations(
    annotation: dict[str, str], reading: TriggerReading, current: int, expected: int
) -> None:
    assert poll(scaled(annotation), KedaState(), [reading], current, 1e6) == expected


def test_the_hpa_sees_the_fallback_after_enough_failures_in_a_row() -> None:
    found = scaled(fallback={"failureThreshold": 2, "replicas": 4})
    state, trigger = KedaState(), found.triggers[0]
    seen = [metric_value(found, state, trigger, ERROR, 2) for _ in range(3)]
    assert seen == [None, None, 40.0]
    assert metric_value(found, state, trigger, TriggerReading(7.0), 2) == 7.0
    assert metric_value(found, state, trigger, ERROR, 2) is None


def test_the_hpa_that_keda_keeps() -> None:
    made = hpa_of(scaled(minReplicaCount=0, maxReplicaCount=8))
    assert made["metadata"]["name"] == "keda-hpa-s"
    assert (made["spec"]["minReplicas"], made["spec"]["maxReplicas"]) == (1, 8)
    assert made["spec"]["metrics"] == [
        {
            "type": "External",
            "external": {
                "metric": {"name": "s0-prometheus"},
                "target": {"type": "AverageValue", "averageValue": "10"},
            },
        }
    ]


def test_a_cron_window_opens_and_closes() -> None:
    window = parse_window("0 8 * * 1-5", "0 18 * * 1-5")
    hour = 3600.0
    assert [window.contains(day * 24 * hour + at * hour) for day, at in ((0, 7), (0, 8), (0, 17), (0, 18), (5, 12))] == [
        False, True, True, False, False,
    ]  # fmt: skip
    with pytest.raises(StokerError, match="cron"):
        parse_window("every day", "0 18 * * *")


def test_knative_follows_concurrency_panics_and_goes_to_zero() -> None:
    spec, state = KpaSpec(target=10.0, min_scale=0, max_scale=50), KpaState()
    now = 0.0
    current = 1
    for _ in range(40):
        now += 2
        current = decide(spec, state, 20.0, current, current, now)
    assert current == 2
    for _ in range(3):
        now += 2
        current = decide(spec, state, 200.0, 2, current, now)
    assert current == 20
    for _ in range(120):
        now += 2
        current = decide(spec, state, 0.0, current, current, now)
    assert current == 0
    assert decide(spec, state, 1.0, 0, 0, now + 2) == 1
