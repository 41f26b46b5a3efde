"""How pods behave: pkg/registry/core/pod/strategy.go, 1.36."""

from collections.abc import Mapping
from typing import Any

from stoker.lab.kinds.pod_defaults import default_pod
from stoker.lab.kinds.pod_resources import qos_class
from stoker.lab.kinds.pod_update import (
    ephemeral_update_causes,
    pod_causes,
    pod_status_causes,
    pod_update_causes,
)
from stoker.lab.kinds.pod_warnings import pod_warnings
from stoker.lab.kinds.pods_fields import apply_apparmor_annotations, drop_disabled_fields, merge_label_keys
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.templates import keep_status, on_create
from stoker.lab.status import Cause, required, unsupported

__all__ = [
    "POD",
    "binding_causes",
    "ephemeral_update_causes",
    "pod_status_causes",
    "prepare_ephemeral",
    "termination_grace_s",
]


def _prepare_create(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    status: dict[str, Any] = {"phase": "Pending"}
    drop_disabled_fields(spec)
    if spec.get("schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": (pod.get("metadata") or {}).get("creationTimestamp"),
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
        ]
    status["qosClass"] = (pod.get("status") or {}).get("qosClass") or qos_class(pod)
    pod["status"] = status
    merge_label_keys(pod)
    apply_apparmor_annotations(pod)


def _prepare_update(new: Object, old: Object) -> None:
    keep_status(new, old)
    drop_disabled_fields(new.setdefault("spec", {}), old.get("spec"))


def _prepare_status(new: Object, old: Object) -> None:
    """The kubelet's write: neither spec nor owners change, what it leaves out of what it once wrote stays."""
    new["spec"] = old.get("spec") or {}
    meta, before = new.setdefault("metadata", {}), old.get("metadata") or {}
    for key in ("ownerReferences", "deletionTimestamp"):
        meta.pop(key, None)
        if key in before:
            meta[key] = before[key]
    status, was = new.setdefault("status", {}), old.get("status") or {}
    if not status.get("qosClass") and was.get("qosClass"):
        status["qosClass"] = was["qosClass"]
    _keep_generations(status, was)


def _keep_generations(status: Object, was: Mapping[str, Any]) -> None:
    """A write that leaves observedGeneration out keeps it (upstream preserveOldObservedGeneration)."""
    if not status.get("observedGeneration") and was.get("observedGeneration"):
        status["observedGeneration"] = was["observedGeneration"]
    known: dict[str, list[int]] = {}
    for condition in was.get("conditions") or ():
        known.setdefault(condition.get("type", ""), []).append(condition.get("observedGeneration", 0))
    for condition in status.get("conditions") or ():
        left = known.get(condition.get("type", ""))
        generation = left.pop(0) if left else 0
        if generation and not condition.get("observedGeneration"):
            condition["observedGeneration"] = generation


POD = Strategy(
    default=default_pod,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=on_create(pod_causes),
    validate_update=pod_update_causes,
    warnings=pod_warnings,
    has_generation=True,
)


def prepare_ephemeral(new: Object, old: Object) -> None:
    """The subresource ephemeralcontainers writes nothing else (dropNonEphemeralContainerUpdates)."""
    containers = (new.get("spec") or {}).get("ephemeralContainers")
    new["spec"] = dict(old.get("spec") or {})
    new["spec"].pop("ephemeralContainers", None)
    if containers:
        new["spec"]["ephemeralContainers"] = containers
    keep_status(new, old)
    meta, before = new.setdefault("metadata", {}), old.get("metadata") or {}
    for key in ("deletionTimestamp", "labels", "annotations", "finalizers", "ownerReferences"):
        meta.pop(key, None)
        if key in before:
            meta[key] = before[key]


def binding_causes(binding: Mapping[str, Any]) -> list[Cause]:
    """ValidatePodBinding."""
    target = binding.get("target") or {}
    kind = target.get("kind", "")
    found: list[Cause] = []
    if kind and kind != "Node":
        found.append(unsupported("target.kind", kind, ("Node", "<empty>")))
    if not target.get("name"):
        found.append(required("target.name"))
    return found


def termination_grace_s(pod: Mapping[str, Any], asked_s: int | None) -> int:
    """CheckGracefulDelete: how long a deleted pod has; 0 deletes it at once."""
    spec = pod.get("spec") or {}
    period = asked_s if asked_s is not None else spec.get("terminationGracePeriodSeconds", 0)
    if not spec.get("nodeName") or (pod.get("status") or {}).get("phase") in {"Failed", "Succeeded"}:
        return 0
    return 1 if period < 0 else period
