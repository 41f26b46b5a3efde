"""PriorityClass (pkg/apis/scheduling/validation/validation.go, plugin/pkg/admission/priority/admission.go)."""

from collections.abc import Iterable

from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import (
    ApiError,
    Cause,
    forbidden,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)

__all__ = ["PRIORITY_CLASS", "SYSTEM_PRIORITY_CLASSES", "check_default_class", "check_delete"]

_GROUP, _PLURAL = "scheduling.k8s.io", "priorityclasses"
_HIGHEST_USER = 1_000_000_000
_POLICIES = ("PreemptLowerPriority", "Never")

SYSTEM_PRIORITY_CLASSES: tuple[Object, ...] = tuple(
    {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        "description": f"Used for system critical pods that must {what}",
        "preemptionPolicy": "PreemptLowerPriority",
    }
    for name, value, what in (
        ("system-node-critical", 2_000_001_000, "not be moved from their current node."),
        (
            "system-cluster-critical",
            2_000_000_000,
            "run in the cluster, but can be moved to another node if necessary.",
        ),
    )
)
_SYSTEM_VALUES = {one["metadata"]["name"]: one["value"] for one in SYSTEM_PRIORITY_CLASSES}


def _default(found: Object) -> None:
    found.setdefault("value", 0)
    found.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _system_problem(name: str, value: int, is_default: object) -> str:
    """``IsKnownSystemPriorityClass``."""
    if name not in _SYSTEM_VALUES:
        return f"{name} is not a known system priority class"
    if value != _SYSTEM_VALUES[name]:
        return f"value of {name} PriorityClass must be {_SYSTEM_VALUES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


def _validate(found: Object) -> list[Cause]:
    name, value = found["metadata"].get("name", ""), found.get("value", 0)
    causes = []
    if name.startswith("system-"):
        problem = _system_problem(name, value, found.get("globalDefault"))
        if problem:
            text = f"priority class names with 'system-' prefix are reserved for system use only. error: {problem}"
            causes.append(forbidden_field("metadata.name", text))
    elif value > _HIGHEST_USER:
        text = f"maximum allowed value of a user defined priority is {_HIGHEST_USER}"
        causes.append(forbidden_field("value", text))
    policy = found.get("preemptionPolicy")
    if policy == "":
        causes.append(required("preemptionPolicy"))
    elif policy is not None and policy not in _POLICIES:
        causes.append(unsupported("preemptionPolicy", policy, _POLICIES))
    return causes


def _validate_update(new: Object, old: Object) -> list[Cause]:
    causes = []
    if new.get("value", 0) != old.get("value", 0):
        causes.append(forbidden_field("value", "may not be changed in an update."))
    policy = new.get("preemptionPolicy")
    if policy != old.get("preemptionPolicy"):
        causes.append(invalid_value("preemptionPolicy", policy, "field is immutable"))
    return causes


PRIORITY_CLASS = Strategy(
    default=_default, validate=_validate, validate_update=_validate_update, has_generation=True
)


# --- admission ----------------------------------------------------------------------------------------------------


def check_default_class(new: Object, stored: Iterable[Object], *, is_update: bool) -> None:
    """Refuses a second default class; the pipeline asks on creates and updates, after validation of neither.

    Raises:
        ApiError: another class is the default already (403).
    """
    if not new.get("globalDefault"):
        return
    defaults = [one for one in stored if one.get("globalDefault")]
    if not defaults:
        return
    # getDefaultPriorityClass: of several, the one with the lowest value
    current = min(defaults, key=lambda one: one.get("value", 0))["metadata"]["name"]
    name = new["metadata"].get("name", "")
    if not is_update or current != name:
        why = f"PriorityClass {current} is already marked as default. Only one default can exist"
        raise forbidden(_GROUP, _PLURAL, name, why)


def check_delete(name: str) -> ApiError | None:
    """The refusal to delete a system class (pkg/registry/scheduling/priorityclass/storage/storage.go)."""
    if name in _SYSTEM_VALUES:
        return forbidden(_GROUP, _PLURAL, name, "this is a system priority class and cannot be deleted")
    return None
