"""KEDA's ScaledObject with its defaults, and what its webhook refuses.

Sources: kedacore/keda v2.20.2 apis/keda/v1alpha1/scaledobject_types.go, pkg/scalers/*_scaler.go.

Left out: scalingModifiers (refused: the HPA would follow the formula, not the triggers), `useCachedMetrics` (the twin asks a
trigger once a tick), authentication, push scalers' own stream.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.errors import StokerError
from stoker.kube.quantities import parse

__all__ = ["RESOURCES", "Fallback", "ScaledObject", "Trigger", "parse_scaled_object"]

Object = Mapping[str, Any]

RESOURCES: Final = frozenset(("cpu", "memory"))
"""Triggers that are no external metrics: the HPA asks metrics-server itself, and they never say that they are active."""

_POLLING_S: Final = 30
_COOLDOWN_S: Final = 300
_MAX_REPLICAS: Final = 100
# Where a kind's metadata has its target and its activation, and the target where none is given.
_THRESHOLDS: Final = {
    "prometheus": ("threshold", "activationThreshold", "10"),
    "kafka": ("lagThreshold", "activationLagThreshold", "10"),
    "rabbitmq": ("value", "activationValue", "20"),
    "aws-sqs-queue": ("queueLength", "activationQueueLength", "5"),
    "redis-streams": ("pendingEntriesCount", "activationLagCount", "5"),
    "external-push": ("threshold", "activationThreshold", "10"),
    "external": ("threshold", "activationThreshold", "10"),
}
_OTHER: Final = ("threshold", "activationThreshold", "10")
_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))


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
class Fallback:
    """What the HPA is told after more than ``threshold`` failures in a row."""

    threshold: int
    replicas: int
    behavior: str

    def held(self, current: int) -> int:
        """The replicas that it holds (fallback.go doFallback)."""
        if self.behavior == "currentReplicas":
            return current
        if self.behavior == "currentReplicasIfHigher":
            return max(current, self.replicas)
        return min(current, self.replicas) if self.behavior == "currentReplicasIfLower" else self.replicas


@dataclass(frozen=True, slots=True)
class ScaledObject:
    """A ScaledObject with KEDA's defaults filled in.

    Attributes:
        hpa_name: of the HPA that KEDA keeps.
        paused: by either annotation. Its loop stands still and **its HPA is deleted**: nobody scales.
        paused_replicas: the count that it is paused at; None where it stays as it is.
        paused_in, paused_out: nothing is taken, or added, by KEDA or by its HPA.
    """

    name: str
    hpa_name: str
    polling_s: int
    cooldown_s: int
    initial_cooldown_s: int
    idle: int | None
    min_replicas: int
    max_replicas: int
    fallback: Fallback | None
    triggers: tuple[Trigger, ...]
    behavior: Object | None
    paused: bool
    paused_replicas: int | None
    paused_in: bool
    paused_out: bool
    force_activation: bool

    @property
    def only_resources(self) -> bool:
        """It has no trigger but CPU and memory."""
        return all(trigger.kind in RESOURCES for trigger in self.triggers)


def parse_scaled_object(scaled: Object) -> ScaledObject:
    """Read a keda.sh/v1alpha1 ScaledObject.

    Raises:
        StokerError: KEDA would refuse it, or it has what the twin has not.
    """
    spec = scaled["spec"]
    annotations: Mapping[str, str] = scaled["metadata"].get("annotations") or {}
    advanced = spec.get("advanced") or {}
    config = advanced.get("horizontalPodAutoscalerConfig") or {}
    name = scaled["metadata"]["name"]
    held = annotations.get("autoscaling.keda.sh/paused-replicas")
    idle = spec.get("idleReplicaCount")
    least, most = spec.get("minReplicaCount"), spec.get("maxReplicaCount")
    found = ScaledObject(
        name=name,
        hpa_name=config.get("name") or f"keda-hpa-{name}",
        polling_s=_POLLING_S if spec.get("pollingInterval") is None else int(spec["pollingInterval"]),
        cooldown_s=int(_COOLDOWN_S if spec.get("cooldownPeriod") is None else spec["cooldownPeriod"]),
        initial_cooldown_s=int(spec.get("initialCooldownPeriod") or 0),
        idle=None if idle is None else int(idle),
        min_replicas=int(least or 0),
        max_replicas=_MAX_REPLICAS if most is None else int(most),
        fallback=_fallback(spec.get("fallback")),
        triggers=tuple(_trigger(index, entry) for index, entry in enumerate(spec["triggers"])),
        behavior=config.get("behavior"),
        paused=held is not None or _flag(annotations, "paused"),
        # A count that is none leaves the target where it is: the controller reports the error and scales nothing.
        paused_replicas=int(held) if held is not None and held.isdecimal() else None,
        paused_in=_flag(annotations, "paused-scale-in"),
        paused_out=_flag(annotations, "paused-scale-out"),
        force_activation=_flag(annotations, "force-activation"),
    )
    _check(
        found,
        bound=0 if least is None else max(1, found.min_replicas),
        modifiers=advanced.get("scalingModifiers"),
    )
    return found


def _check(scaled: ScaledObject, bound: int, modifiers: object) -> None:
    """CheckReplicaCountBoundsAreValid and CheckFallbackValid, and the limits of the CRD's schema."""
    if modifiers:
        raise StokerError(f"{scaled.name}: the twin has no scalingModifiers", fix="say it in one query")
    if bound > scaled.max_replicas:
        raise StokerError(
            f"{scaled.name}: minReplicaCount={bound} must not be above maxReplicaCount={scaled.max_replicas}",
            fix="raise maxReplicaCount",
        )
    if scaled.idle is not None and scaled.idle >= bound:
        raise StokerError(
            f"{scaled.name}: idleReplicaCount={scaled.idle} must be below minReplicaCount={bound}",
            fix="raise minReplicaCount or leave idleReplicaCount out",
        )
    if scaled.fallback is None:
        return
    if scaled.fallback.threshold < 0 or scaled.fallback.replicas < 0:
        raise StokerError(f"{scaled.name}: a fallback's figures are not below zero", fix="use zero or more")
    if scaled.only_resources:
        raise StokerError(
            f"{scaled.name}: a fallback needs a trigger that is not cpu or memory", fix="remove fallback"
        )


def _flag(annotations: Mapping[str, str], name: str) -> bool:
    """A boolean annotation (getBoolAnnotation): what is no boolean counts as true."""
    value = annotations.get(f"autoscaling.keda.sh/{name}")
    return value is not None and value not in _FALSE


def _fallback(fallback: Object | None) -> Fallback | None:
    if fallback is None:
        return None
    behavior = fallback.get("behavior") or "static"
    if behavior == "scalingModifiers":
        raise StokerError("the twin has no scalingModifiers", fix="use another fallback.behavior")
    return Fallback(int(fallback["failureThreshold"]), int(fallback["replicas"]), behavior)


def _trigger(index: int, entry: Object) -> Trigger:
    kind = entry["type"]
    metadata = {key: str(value) for key, value in (entry.get("metadata") or {}).items()}
    metric_type = entry.get("metricType") or ("" if kind in RESOURCES else "AverageValue")
    allowed = ("Utilization", "AverageValue") if kind in RESOURCES else ("AverageValue", "Value")
    if metric_type not in allowed:
        raise StokerError(
            f"trigger {index}: {kind} has no metricType {metric_type!r}", fix=f"use {' or '.join(allowed)}"
        )
    if kind in RESOURCES and not metadata.get("value"):
        raise StokerError(f"trigger {index}: {kind} has no value", fix="add metadata.value")
    threshold, activation, default = _THRESHOLDS.get(kind, _OTHER)
    if kind == "cron":
        # The metric is the number of replicas itself, one a target.
        target, awake = 1.0, 0.0
    elif kind in RESOURCES:
        target, awake = float(parse(metadata["value"]) or 0), 0.0
    else:
        target = float(metadata.get(threshold, default))
        awake = float(metadata.get(activation, "0") or 0)
    return Trigger(index, kind, entry.get("name") or "", target, awake, metric_type, metadata)
