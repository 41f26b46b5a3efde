"""What controllers ask of objects again and again: owners, readiness, templates, conditions, counts in per cent. Pure.

Sources: kubernetes pkg/controller/controller_utils.go, pkg/api/v1/pod/util.go, apimachinery pkg/util/intstr.
"""

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

__all__ = [
    "Object",
    "condition_of",
    "controller_of",
    "controller_reference",
    "is_active",
    "is_available",
    "is_ready",
    "is_terminal",
    "is_terminating",
    "moment",
    "pod_of_template",
    "ready_since",
    "restarts",
    "scaled_value",
    "seconds_to_available",
]

Object = dict[str, Any]


def moment(text: str) -> datetime:
    """A time as the API writes it."""
    return datetime.fromisoformat(text)


# --- owners -------------------------------------------------------------------------------------------------------


def controller_of(obj: Object) -> Object | None:
    """The owner that manages an object; at most one does."""
    return next((one for one in obj["metadata"].get("ownerReferences") or () if one.get("controller")), None)


def controller_reference(owner: Object) -> Object:
    """The reference by which an owner manages an object and is kept from going before it (metav1.NewControllerRef)."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


# --- pods ---------------------------------------------------------------------------------------------------------


def condition_of(obj: Object, kind: str) -> Object | None:
    """A condition of an object's status."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind), None)


def is_ready(pod: Object) -> bool:
    found = condition_of(pod, "Ready")
    return found is not None and found["status"] == "True"


def ready_since(pod: Object) -> str:
    """When a ready pod became so; empty where it is not ready or does not say."""
    found = condition_of(pod, "Ready")
    return "" if found is None or found["status"] != "True" else found.get("lastTransitionTime") or ""


def seconds_to_available(pod: Object, min_ready: int, now: datetime) -> float | None:
    """Seconds until a pod has been ready for ``min_ready`` seconds; 0 where it has, None where it is not ready."""
    if not is_ready(pod):
        return None
    if min_ready <= 0:
        return 0.0
    since = ready_since(pod)
    if not since:
        return None
    return max(0.0, min_ready - (now - moment(since)).total_seconds())


def is_available(pod: Object, min_ready: int, now: datetime) -> bool:
    return seconds_to_available(pod, min_ready, now) == 0.0


def is_terminal(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def is_terminating(pod: Object) -> bool:
    """On its way out, and not yet stopped."""
    return bool(pod["metadata"].get("deletionTimestamp")) and not is_terminal(pod)


def is_active(pod: Object) -> bool:
    return not is_terminal(pod) and not pod["metadata"].get("deletionTimestamp")


def restarts(pod: Object) -> tuple[int, int]:
    """Most restarts of any container, and of any sidecar."""
    status = pod.get("status") or {}
    sidecars = {
        one["name"] for one in pod["spec"].get("initContainers") or () if one.get("restartPolicy") == "Always"
    }
    regular = max(
        (int(one.get("restartCount") or 0) for one in status.get("containerStatuses") or ()), default=0
    )
    side = (
        int(one.get("restartCount") or 0)
        for one in status.get("initContainerStatuses") or ()
        if one["name"] in sidecars
    )
    return regular, max(side, default=0)


def pod_of_template(template: Object, owner: Object, *, name: str = "") -> Object:
    """A pod to create for a workload (GetPodFromTemplate): its name is made up from the owner's where none is given."""
    metadata = template.get("metadata") or {}
    own: Object = {"namespace": owner["metadata"].get("namespace", "")}
    if name:
        own["name"] = name
    else:
        own["generateName"] = _prefix(owner["metadata"]["name"])
    for field in ("labels", "annotations"):
        if metadata.get(field):
            own[field] = dict(metadata[field])
    if metadata.get("finalizers"):
        own["finalizers"] = list(metadata["finalizers"])
    own["ownerReferences"] = [controller_reference(owner)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": own, "spec": template["spec"]}


def _prefix(name: str) -> str:
    """A prefix that makes no valid name is the name itself (getPodsPrefix): names may be as long as a label is not."""
    prefix = f"{name}-"
    return prefix if len(prefix) <= 253 else name


# --- counts -------------------------------------------------------------------------------------------------------


def scaled_value(value: int | str | None, total: int, *, is_up: bool, default: int | str = 0) -> int:
    """An IntOrString of a total (GetScaledValueFromIntOrPercent).

    Raises:
        ValueError: text that is no percentage.
    """
    value = default if value is None else value
    if isinstance(value, int):
        return value
    if not value.endswith("%"):
        raise ValueError(
            f"invalid value for IntOrString: invalid type: string is not a percentage: {value!r}"
        )
    share = int(value[:-1]) * total / 100
    return math.ceil(share) if is_up else math.floor(share)


def first(objects: Iterable[Object], wanted: Callable[[Object], bool]) -> Object | None:
    return next((one for one in objects if wanted(one)), None)
