"""What KEDA writes: the HPA of a ScaledObject, its status, and the state that it keeps there. Pure.

Source: kedacore/keda v2.20.2 controllers/keda/hpa.go, apis/keda/v1alpha1/{scaledobject_types,condition_types}.go.
"""

from datetime import datetime
from typing import Any

from stoker.lab.controllers.objects import controller_reference
from stoker.lab.platform.triggers import metric_name
from stoker.twin.autoscaler.keda import KedaState, ScaledObject, hpa_of
from stoker.twin.autoscaler.scaledobject import RESOURCES

__all__ = ["INITIAL", "OWNER_LABEL", "hpa_object", "names_of_metrics", "remember", "set_keda", "state_of"]

Object = dict[str, Any]

OWNER_LABEL = "scaledobject.keda.sh/name"
_EXCLUDED = "scaledobject.keda.sh/hpa-excluded-labels"
_VERSION = "2.20.2"
INITIAL = (
    {"type": "Ready", "status": "Unknown"},
    {"type": "Active", "status": "Unknown"},
    {"type": "Fallback", "status": "Unknown"},
    {"type": "Paused", "status": "False"},
)


def set_keda(conditions: list[Object], kind: str, status: str, reason: str, message: str) -> None:
    """KEDA's conditions have no times and keep their order."""
    new = {"type": kind, "status": status, "reason": reason, "message": message}
    for place, one in enumerate(conditions):
        if one["type"] == kind:
            conditions[place] = new
            return
    conditions.append(new)


def names_of_metrics(scaled: ScaledObject, namespace: str) -> tuple[list[str], list[str]]:
    """Names of external metrics, and of resources."""
    outside = [metric_name(one, namespace) for one in scaled.triggers if one.kind not in RESOURCES]
    inside = [
        one.kind for one in scaled.triggers if one.kind in RESOURCES and not one.metadata.get("containerName")
    ]
    return outside, inside


def hpa_object(obj: Object, scaled: ScaledObject, api_version: str, kind: str) -> Object:
    """The HPA (newHPAForScaledObject), owned by the ScaledObject."""
    metadata = obj["metadata"]
    namespace = metadata["namespace"]
    made = hpa_of(scaled)
    named = {f"s{one.index}-{one.kind}": metric_name(one, namespace) for one in scaled.triggers}
    for entry in made["spec"]["metrics"]:
        if entry["type"] == "External":
            entry["external"]["metric"] = {
                "name": named[entry["external"]["metric"]["name"]],
                "selector": {"matchLabels": {OWNER_LABEL: metadata["name"]}},
            }
    made["spec"]["scaleTargetRef"] = {
        "apiVersion": api_version,
        "kind": kind,
        "name": obj["spec"]["scaleTargetRef"]["name"],
    }
    annotations = metadata.get("annotations") or {}
    excluded = set(annotations.get(_EXCLUDED, "").split(","))
    made["metadata"] |= {
        "namespace": namespace,
        "labels": {
            "app.kubernetes.io/name": scaled.hpa_name,
            "app.kubernetes.io/version": _VERSION,
            "app.kubernetes.io/part-of": metadata["name"],
            "app.kubernetes.io/managed-by": "keda-operator",
            **{key: value for key, value in (metadata.get("labels") or {}).items() if key not in excluded},
        },
        "ownerReferences": [controller_reference(obj)],
    }
    if annotations:
        made["metadata"]["annotations"] = dict(annotations)
    return made


# --- the state that KEDA keeps in the status ------------------------------------------------------------------------


def state_of(obj: Object, scaled: ScaledObject) -> KedaState:
    """When a trigger was last active, and failures in a row, as the status has them."""
    status = obj.get("status") or {}
    active = status.get("lastActiveTime")
    health = status.get("health") or {}
    namespace = obj["metadata"]["namespace"]
    return KedaState(
        created_s=datetime.fromisoformat(obj["metadata"]["creationTimestamp"]).timestamp(),
        last_active_s=None if active is None else datetime.fromisoformat(active).timestamp(),
        failures={
            one.index: int((health.get(metric_name(one, namespace)) or {}).get("numberOfFailures") or 0)
            for one in scaled.triggers
            if one.kind not in RESOURCES
        },
    )


def remember(status: Object, scaled: ScaledObject, state: KedaState, namespace: str) -> None:
    """Write failures in a row, and the Fallback condition that follows from them (fallback.updateStatus)."""
    if scaled.fallback is None:
        return
    health = status.setdefault("health", {})
    for one in scaled.triggers:
        if one.kind in RESOURCES or one.index not in state.failures:
            continue
        count = state.failures[one.index]
        health[metric_name(one, namespace)] = {
            "numberOfFailures": count,
            "status": "Failing" if count else "Happy",
        }
    if any(count > scaled.fallback.threshold for count in state.failures.values()):
        set_keda(
            status["conditions"],
            "Fallback",
            "True",
            "FallbackExists",
            "At least one trigger is falling back on this scaled object",
        )
    else:
        set_keda(
            status["conditions"],
            "Fallback",
            "False",
            "NoFallbackFound",
            "No fallbacks are active on this scaled object",
        )
