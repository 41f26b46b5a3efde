"""KEDA 2.20: the ScaledObject, its loop between zero and one, and the HPA it makes.

Sources: kedacore/keda v2.20.2 apis/keda/v1alpha1/scaledobject_types.go, controllers/keda/hpa.go,
pkg/scaling/executor/scale_scaledobjects.go, pkg/fallback/fallback.go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = [
    "KedaState",
    "ScaledObject",
    "Trigger",
    "TriggerReading",
    "hpa_of",
    "metric_value",
    "parse_scaled_object",
    "poll",
]

Object = Mapping[str, Any]

_POLLING_S: Final = 30
_COOLDOWN_S: Final = 300
_MAX_REPLICAS: Final = 100
_THRESHOLDS: Final = {
    "prometheus": ("threshold", "activationThreshold"),
    "kafka": ("lagThreshold", "activationLagThreshold"),
    "rabbitmq": ("value", "activationValue"),
    "aws-sqs-queue": ("queueLength", "activationQueueLength"),
    "redis-streams": ("pendingEntriesCount", "activationLagCount"),
    "external-push": ("threshold", "activationThreshold"),
    "external": ("threshold", "activationThreshold"),
    "cron": ("desiredReplicas", ""),
    "cpu": ("value", "activationValue"),
    "memory": ("value", "activationValue"),
}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger.

    Attributes:
        index: its place; its metric is called ``s<index>-…``.
        threshold: the HPA's target.
        activation: active while the value is above it.
        metric_type: AverageValue, Value or Utilization.
    """

    index: int
    kind: str
    name: str
    threshold: float
    activation: float
    metric_type: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ScaledObject:
    """A ScaledObject with KEDA's defaults filled in. ``fallback`` is (failureThreshold, replicas, behavior) or None."""

    name: str
    polling_s: int
    cooldown_s: int
    initial_cooldown_s: int
    idle: int | None
    min_replicas: int
    max_replicas: int
    fallback: tuple[int, int, str] | None
    triggers: tuple[Trigger, ...]
    behavior: Object | None
    paused: bool
    paused_replicas: int | None
    paused_in: bool
    paused_out: bool
    force_activation: bool


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


def parse_scaled_object(scaled: Object) -> ScaledObject:
    """Read a keda.sh/v1alpha1 ScaledObject."""
    spec = scaled["spec"]
    annotations = scaled["metadata"].get("annotations") or {}
    fallback = spec.get("fallback")
    advanced = (spec.get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}
    held = annotations.get("autoscaling.keda.sh/paused-replicas")
    idle = spec.get("idleReplicaCount")
    return ScaledObject(
        name=scaled["metadata"]["name"],
        polling_s=int(spec.get("pollingInterval") or _POLLING_S),
        cooldown_s=int(_COOLDOWN_S if spec.get("cooldownPeriod") is None else spec["cooldownPeriod"]),
        initial_cooldown_s=int(spec.get("initialCooldownPeriod") or 0),
        idle=None if idle is None else int(idle),
        min_replicas=int(spec.get("minReplicaCount") or 0),
        max_replicas=int(spec.get("maxReplicaCount") or _MAX_REPLICAS),
        fallback=None
        if fallback is None
        else (
            int(fallback["failureThreshold"]),
            int(fallback["replicas"]),
            fallback.get("behavior") or "static",
        ),
        triggers=tuple(_trigger(index, entry) for index, entry in enumerate(spec["triggers"])),
        behavior=advanced.get("behavior"),
        paused=annotations.get("autoscaling.keda.sh/paused") == "true",
        paused_replicas=None if held is None else int(held),
        paused_in=annotations.get("autoscaling.keda.sh/paused-scale-in") == "true",
        paused_out=annotations.get("autoscaling.keda.sh/paused-scale-out") == "true",
        force_activation=annotations.get("autoscaling.keda.sh/force-activation") == "true",
    )


def _trigger(index: int, entry: Object) -> Trigger:
    metadata = {key: str(value) for key, value in (entry.get("metadata") or {}).items()}
    threshold, activation = _THRESHOLDS.get(entry["type"], ("threshold", "activationThreshold"))
    default = "Utilization" if entry["type"] in {"cpu", "memory"} else "AverageValue"
    # The cron scaler's metric is the number of replicas itself, one a target.
    target = 1.0 if entry["type"] == "cron" else float(metadata.get(threshold, "10"))
    return Trigger(
        index=index,
        kind=entry["type"],
        name=entry.get("name") or "",
        threshold=target,
        activation=float(metadata.get(activation, "0") or 0),
        metric_type=entry.get("metricType") or default,
        metadata=metadata,
    )


def hpa_of(scaled: ScaledObject) -> dict[str, Any]:
    """The HPA that KEDA keeps for a ScaledObject (controllers/keda/hpa.go newHPAForScaledObject)."""
    metrics = []
    for trigger in scaled.triggers:
        target: dict[str, Any] = {"type": trigger.metric_type}
        if trigger.kind in {"cpu", "memory"}:
            field_name = "averageUtilization" if trigger.metric_type == "Utilization" else "averageValue"
            target[field_name] = (
                int(trigger.threshold) if field_name == "averageUtilization" else trigger.threshold
            )
            metrics.append({"type": "Resource", "resource": {"name": trigger.kind, "target": target}})
            continue
        target["averageValue" if trigger.metric_type == "AverageValue" else "value"] = (
            f"{trigger.threshold:g}"
        )
        name = f"s{trigger.index}-{trigger.kind}"
        metrics.append({"type": "External", "external": {"metric": {"name": name}, "target": target}})
    spec: dict[str, Any] = {
        "minReplicas": max(1, scaled.min_replicas),
        "maxReplicas": scaled.max_replicas,
        "metrics": metrics,
    }
    if scaled.behavior:
        spec["behavior"] = scaled.behavior
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": f"keda-hpa-{scaled.name}"},
        "spec": spec,
    }


def metric_value(
    scaled: ScaledObject, state: KedaState, trigger: Trigger, reading: TriggerReading, current: int
) -> float | None:
    """What KEDA's metrics server tells the HPA of a trigger; None for an error.

    After more failures in a row than the fallback allows the value is the one that makes the HPA ask for the fallback's
    replicas (fallback.go doFallback): for AverageValue the target times the replicas.
    """
    if not reading.error:
        state.failures[trigger.index] = 0
        return reading.value
    failures = state.failures.get(trigger.index, 0) + 1
    state.failures[trigger.index] = failures
    if scaled.fallback is None or failures <= scaled.fallback[0]:
        return None
    replicas = _fallen_back(scaled.fallback, current)
    if trigger.metric_type == "Value":
        return trigger.threshold * replicas / max(1, current)
    return trigger.threshold * replicas


def poll(
    scaled: ScaledObject, state: KedaState, readings: Sequence[TriggerReading], current: int, now: float
) -> int:
    """One round of KEDA's own loop (scale_scaledobjects.go RequestScale): the replicas it sets, or those there are.

    Args:
        scaled: the ScaledObject.
        state: what is remembered; changed.
        readings: of each trigger, in order.
        current: replicas of the target.
        now: seconds.
    """
    if scaled.paused_replicas is not None:
        return scaled.paused_replicas
    if scaled.paused:
        return current
    active = scaled.force_activation or any(
        not reading.error and reading.value > trigger.activation
        for trigger, reading in zip(scaled.triggers, readings, strict=True)
    )
    failed = any(reading.error for reading in readings)
    if active:
        state.last_active_s = now
        asleep = current == 0 or (scaled.idle is not None and current < scaled.min_replicas)
        return current if scaled.paused_out or not asleep else max(1, scaled.min_replicas)
    if failed:
        if scaled.fallback is not None and scaled.fallback[1] != 0:
            return _fallen_back(scaled.fallback, current)
        return current
    rest = scaled.idle if scaled.idle is not None else 0
    may_rest = scaled.idle is not None or scaled.min_replicas == 0
    if may_rest and current > rest:
        return rest if not scaled.paused_in and _cooled_down(scaled, state, now) else current
    if scaled.idle is None and current < scaled.min_replicas:
        return scaled.min_replicas
    return current


def _fallen_back(fallback: tuple[int, int, str], current: int) -> int:
    """Replicas that a fallback holds (scale_scaledobjects.go doFallbackScaling)."""
    _, replicas, behavior = fallback
    if behavior == "currentReplicas":
        return current
    if behavior == "currentReplicasIfHigher":
        return max(current, replicas)
    return min(current, replicas) if behavior == "currentReplicasIfLower" else replicas


def _cooled_down(scaled: ScaledObject, state: KedaState, now: float) -> bool:
    """Cooldown counts from the last activity; before any, from creation with the initial period (scaleToZeroOrIdle)."""
    if state.last_active_s is None:
        return now > state.created_s + scaled.initial_cooldown_s
    return now > state.last_active_s + scaled.cooldown_s
