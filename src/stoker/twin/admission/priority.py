"""Priority admission: the value of a pod's priority class (plugin/pkg/admission/priority)."""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["with_priority"]

Object = Mapping[str, Any]

# scheduling.SystemPriorityClasses (pkg/apis/scheduling/types.go): there without an object.
_SYSTEM: Final = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}


def with_priority(pod: Object, classes: Mapping[str, Object]) -> dict[str, Any] | str:
    """The pod with its priority and preemption policy, or the words of the refusal."""
    name = pod["spec"].get("priorityClassName") or ""
    policy = "PreemptLowerPriority"
    if not name:
        defaults = [item for item in classes.values() if item.get("globalDefault")]
        # Of several defaults the lowest counts, so that nobody gains by the mistake.
        chosen = min(defaults, key=lambda item: int(item["value"]), default=None)
        if chosen is None:
            return _set(pod, "", 0, policy)
        return _set(
            pod, chosen["metadata"]["name"], int(chosen["value"]), chosen.get("preemptionPolicy") or policy
        )
    if name in classes:
        found = classes[name]
        return _set(pod, name, int(found["value"]), found.get("preemptionPolicy") or policy)
    if name in _SYSTEM:
        return _set(pod, name, _SYSTEM[name], policy)
    return f"no PriorityClass with name {name} was found"


def _set(pod: Object, name: str, value: int, policy: str) -> dict[str, Any]:
    spec = {
        **pod["spec"],
        "priority": value,
        "preemptionPolicy": pod["spec"].get("preemptionPolicy") or policy,
    }
    if name:
        spec["priorityClassName"] = name
    return {**pod, "spec": spec}
