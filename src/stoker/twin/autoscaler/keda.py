"""KEDA 2.20: its loop between zero and one, what its metrics server tells the HPA, and the HPA it makes.

Sources: kedacore/keda v2.20.2 controllers/keda/hpa.go, pkg/scaling/executor/scale_scaledobjects.go,
pkg/scaling/scale_handler.go (getScaledObjectState), pkg/fallback/fallback.go, pkg/scalers/scaler.go, prometheus_scaler.go.

Left out: conditions and events of the status, and `restoreToOriginalReplicaCount` (nobody deletes a ScaledObject here);
`scaledobject` says what is not read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stoker.twin.autoscaler.scaledobject import (
    RESOURCES,
    Fallback,
    ScaledObject,
    Trigger,
    parse_scaled_object,
)

__all__ = [
    "Fallback",
    "KedaState",
    "ScaledObject",
    "Trigger",
    "TriggerReading",
    "hpa_of",
    "metric_value",
    "parse_scaled_object",
    "poll",
    "prometheus_reading",
]


@dataclass(frozen=True, slots=True)
class TriggerReading:
    """What a scaler answers: a value, or an error."""

    value: float = 0.0
    error: str = ""


@dataclass(slots=True)
class KedaState:
    """What KEDA keeps in the status: when a trigger was last active, and failures in a row by trigger."""

    created_s: float = 0.0
    last_active_s: float | None = None
    failures: dict[int, int] = field(default_factory=dict)


def prometheus_reading(value: float | None, *, ignore_null: bool) -> TriggerReading:
    """What the Prometheus scaler makes of an answer: nothing, NaN and infinity are zero, or errors if those are not ignored."""
    if value is not None and math.isfinite(value):
        return TriggerReading(value)
    if ignore_null:
        return TriggerReading(0.0)
    return TriggerReading(error="prometheus: the result is empty or no number")


def hpa_of(scaled: ScaledObject) -> dict[str, Any]:
    """The HPA that KEDA keeps for a ScaledObject (newHPAForScaledObject). While it is paused there is none."""
    spec: dict[str, Any] = {
        "minReplicas": max(1, scaled.min_replicas),
        "maxReplicas": scaled.max_replicas,
        "metrics": sorted((_metric(trigger) for trigger in scaled.triggers), key=lambda entry: entry["type"]),
    }
    behavior = None if scaled.behavior is None else dict(scaled.behavior)
    for direction, is_paused in (("scaleDown", scaled.paused_in), ("scaleUp", scaled.paused_out)):
        if is_paused:
            behavior = behavior or {}
            behavior[direction] = {**(behavior.get(direction) or {}), "selectPolicy": "Disabled"}
    if behavior is not None:
        spec["behavior"] = behavior
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": scaled.hpa_name},
        "spec": spec,
    }


def _metric(trigger: Trigger) -> dict[str, Any]:
    target: dict[str, Any] = {"type": trigger.metric_type}
    if trigger.kind not in RESOURCES:
        field_name = "averageValue" if trigger.metric_type == "AverageValue" else "value"
        target[field_name] = _quantity(trigger.threshold)
        name = f"s{trigger.index}-{trigger.kind}"
        return {"type": "External", "external": {"metric": {"name": name}, "target": target}}
    if trigger.metric_type == "Utilization":
        target["averageUtilization"] = int(trigger.threshold)
    else:
        target["averageValue"] = trigger.metadata["value"]
    container = trigger.metadata.get("containerName")
    if container:
        source = {"name": trigger.kind, "container": container, "target": target}
        return {"type": "ContainerResource", "containerResource": source}
    return {"type": "Resource", "resource": {"name": trigger.kind, "target": target}}


def _quantity(value: float) -> str:
    """A figure as KEDA writes it (quantityFromFloat64): in thousandths; what is no quantity is zero."""
    if not math.isfinite(value) or value < 0:
        return "0"
    return f"{value:.3f}".rstrip("0").rstrip(".")


def metric_value(
    scaled: ScaledObject,
    state: KedaState,
    trigger: Trigger,
    reading: TriggerReading,
    current: int,
    *,
    ready: int | None = None,
) -> float | None:
    """What KEDA's metrics server tells the HPA of a trigger; None for an error (GetMetricsWithFallback).

    After more failures in a row than the fallback allows the value is the one that makes the HPA ask for the fallback's
    replicas: the target times the replicas, and for a Value target a ready pod's share of that.

    Args:
        scaled: the ScaledObject.
        state: what is remembered; changed: every question of the HPA and of the loop counts a failure.
        trigger: which one.
        reading: what its scaler answers.
        current: replicas of the target.
        ready: pods that are ready; ``current`` where not told.
    """
    if not reading.error:
        state.failures[trigger.index] = 0
        return float(_quantity(reading.value))
    if scaled.fallback is None:
        return None
    failures = state.failures.get(trigger.index, 0) + 1
    state.failures[trigger.index] = failures
    if failures <= scaled.fallback.threshold:
        return None
    replicas = float(scaled.fallback.held(current))
    if trigger.metric_type == "Value":
        there = current if ready is None else ready
        if there == 0:
            return None
        replicas /= there
    return int(float(_quantity(trigger.threshold)) * 1000 * replicas) / 1000


def poll(
    scaled: ScaledObject,
    state: KedaState,
    readings: Sequence[TriggerReading],
    current: int,
    now: float,
    *,
    ready: int | None = None,
) -> int:
    """One round of KEDA's own loop (checkScalers, RequestScale): the replicas it sets, or those there are.

    Args:
        scaled: the ScaledObject.
        state: what is remembered; changed.
        readings: of each trigger, in order; those of CPU and memory are not looked at.
        current: replicas of the target.
        now: seconds.
        ready: pods that are ready, for a fallback of a Value target; ``current`` where not told.
    """
    if scaled.paused:
        return current if scaled.paused_replicas is None else scaled.paused_replicas
    active, failed = _activity(scaled, state, readings, current, ready)
    if active or scaled.force_activation:
        return _awake(scaled, state, current, now, failed=failed)
    if failed and (scaled.fallback is None or scaled.fallback.replicas != 0):
        # The HPA will go to the fallback's replicas; at zero it would not.
        return current
    rests_at = 0 if scaled.idle is None else scaled.idle
    if current > rests_at and (scaled.idle is not None or scaled.min_replicas == 0):
        return _resting(scaled, state, current, now)
    if scaled.idle is None and current < scaled.min_replicas:
        return scaled.min_replicas
    return current


def _activity(
    scaled: ScaledObject,
    state: KedaState,
    readings: Sequence[TriggerReading],
    current: int,
    ready: int | None,
) -> tuple[bool, bool]:
    """Whether a trigger is active, and whether one failed (getScaledObjectState).

    One that falls back is active, and has not failed.
    """
    active = failed = False
    for trigger, reading in zip(scaled.triggers, readings, strict=True):
        if trigger.kind in RESOURCES:
            continue
        if metric_value(scaled, state, trigger, reading, current, ready=ready) is None:
            failed = True
        elif reading.error or reading.value > trigger.activation:
            active = True
    # From zero nothing would ever wake a target that only CPU or memory scale.
    return active or (scaled.only_resources and not failed), failed


def _awake(scaled: ScaledObject, state: KedaState, current: int, now: float, *, failed: bool) -> int:
    if current == 0 or (scaled.idle is not None and current < scaled.min_replicas):
        if scaled.paused_out:
            return current
        state.last_active_s = now
        return max(1, scaled.min_replicas)
    if not failed:
        # With some triggers failing the time is left: the cooldown counts from when all of them answered.
        state.last_active_s = now
    return current


def _resting(scaled: ScaledObject, state: KedaState, current: int, now: float) -> int:
    """To zero or idle, once the cooldown is over since the last activity; before any, the initial one since creation."""
    if scaled.paused_in:
        return current
    if state.last_active_s is None:
        over = state.created_s + scaled.initial_cooldown_s < now
    else:
        over = state.last_active_s + scaled.cooldown_s < now
    if not over:
        return current
    return scaled.min_replicas if scaled.idle is None else scaled.idle
