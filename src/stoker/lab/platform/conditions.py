"""Conditions of two kinds: Kubernetes' own, and Knative's, which KServe has too. Pure but for the time that is given."""

from collections.abc import Sequence
from typing import Any

__all__ = ["find", "set_condition", "set_knative", "summarise"]

Object = dict[str, Any]
Conditions = list[Object]


def find(conditions: Sequence[Object], kind: str) -> Object | None:
    return next((one for one in conditions if one["type"] == kind), None)


def set_condition(
    conditions: Conditions,
    kind: str,
    status: str,
    reason: str,
    message: str,
    *,
    now: str,
    generation: int = 0,
) -> None:
    """As meta.SetStatusCondition of apimachinery: the time moves only with the status."""
    found = find(conditions, kind)
    if found is None:
        found = {"type": kind}
        conditions.append(found)
    if found.get("status") != status:
        found["lastTransitionTime"] = now
    found |= {"status": status, "reason": reason, "message": message}
    if generation:
        found["observedGeneration"] = generation


def set_knative(
    conditions: Conditions,
    kind: str,
    status: str,
    *,
    now: str,
    reason: str = "",
    message: str = "",
    severity: str = "",
) -> None:
    """knative.dev/pkg/apis conditionsImpl.SetCondition: sorted by type, untouched where nothing but the time would change."""
    new: Object = {"type": kind, "status": status}
    for name, value in (("severity", severity), ("reason", reason), ("message", message)):
        if value:
            new[name] = value
    old = find(conditions, kind)
    if old is not None:
        if {key: value for key, value in old.items() if key != "lastTransitionTime"} == new:
            return
        conditions.remove(old)
    conditions.append({**new, "lastTransitionTime": now})
    conditions.sort(key=lambda one: str(one["type"]))


def summarise(conditions: Conditions, dependents: Sequence[str], *, now: str, happy: str = "Ready") -> None:
    """The happy condition of its dependents: the latest that is False, else the latest that is Unknown, else True."""
    found = [find(conditions, one) for one in dependents]
    for status in ("False", "Unknown"):
        bad = [one for one in found if one is not None and one["status"] == status]
        if bad:
            last = max(bad, key=lambda one: str(one.get("lastTransitionTime") or ""))
            set_knative(
                conditions,
                happy,
                status,
                now=now,
                reason=last.get("reason", ""),
                message=last.get("message", ""),
            )
            return
    if any(one is None for one in found):
        set_knative(conditions, happy, "Unknown", now=now)
        return
    set_knative(conditions, happy, "True", now=now)
