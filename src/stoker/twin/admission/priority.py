"""Priority admission: the value of a pod's priority class (plugin/pkg/admission/priority), and classes themselves."""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["class_problem", "with_priority"]

Object = Mapping[str, Any]

# scheduling.SystemPriorityClasses (pkg/apis/scheduling/types.go): there without an object.
_SYSTEM: Final = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
_HIGHEST: Final = 1_000_000_000
_POLICIES: Final = ("PreemptLowerPriority", "Never")


def with_priority(pod: Object, classes: Mapping[str, Object]) -> dict[str, Any] | str:
    """The pod with its priority and preemption policy, or the words of the refusal."""
    spec = pod["spec"]
    name = spec.get("priorityClassName") or ""
    value, policy = 0, _POLICIES[0]
    if not name:
        defaults = [item for item in classes.values() if item.get("globalDefault")]
        # Of several defaults the lowest counts, so that nobody gains by the mistake.
        chosen = min(defaults, key=lambda item: int(item["value"]), default=None)
        if chosen is not None:
            name = chosen["metadata"]["name"]
    if name in classes:
        value = int(classes[name]["value"])
        policy = classes[name].get("preemptionPolicy") or policy
    elif name in _SYSTEM:
        value = _SYSTEM[name]
    elif name:
        return f"no PriorityClass with name {name} was found"
    given, chosen_policy = spec.get("priority"), spec.get("preemptionPolicy")
    if given is not None and int(given) != value:
        return (
            f"the integer value of priority ({given}) must not be provided in pod spec; priority admission controller "
            f"computed {value} from the given PriorityClass name"
        )
    if chosen_policy is not None and chosen_policy != policy:
        return (
            f"the string value of PreemptionPolicy ({chosen_policy}) must not be provided in pod spec; priority "
            f"admission controller computed {policy} from the given PriorityClass name"
        )
    named = {"priorityClassName": name} if name else {}
    return {**pod, "spec": {**spec, **named, "priority": value, "preemptionPolicy": policy}}


def class_problem(item: Object, classes: Mapping[str, Object]) -> str:
    """Why the server refuses a new PriorityClass, whole; empty where it takes it (pkg/apis/scheduling/validation)."""
    name, value = item["metadata"]["name"], int(item.get("value") or 0)
    found = []
    if name.startswith("system-"):
        if _SYSTEM.get(name) != value:
            known = name in _SYSTEM
            error = (
                f"value of {name} PriorityClass must be {_SYSTEM[name]}"
                if known
                else f"{name} is not a known system priority class"
            )
            found.append(
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. "
                f"error: {error}"
            )
    elif value > _HIGHEST:
        found.append(f"value: Forbidden: maximum allowed value of a user defined priority is {_HIGHEST}")
    policy = item.get("preemptionPolicy")
    if policy is not None and policy not in _POLICIES:
        listed = ", ".join(f'"{each}"' for each in _POLICIES)
        found.append(f'preemptionPolicy: Unsupported value: "{policy}": supported values: {listed}')
    if found:
        text = found[0] if len(found) == 1 else f"[{', '.join(found)}]"
        return f'PriorityClass.scheduling.k8s.io "{name}" is invalid: {text}'
    default = next((other for other in classes.values() if other.get("globalDefault")), None)
    if item.get("globalDefault") and default is not None:
        return (
            f'priorityclasses.scheduling.k8s.io "{name}" is forbidden: PriorityClass {default["metadata"]["name"]} is '
            "already marked as default. Only one default can exist"
        )
    return ""
