"""PodDisruptionBudget, and what stands between an eviction and a pod.

Upstream: pkg/apis/policy/validation/validation.go, pkg/registry/policy/poddisruptionbudget/strategy.go,
pkg/registry/core/pod/storage/eviction.go.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.config_checks import each, percent
from stoker.lab.kinds.config_golang import go_value
from stoker.lab.kinds.metadata import label_selector_causes, selector_matches
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import (
    ApiError,
    Cause,
    bad_request,
    forbidden,
    invalid,
    invalid_value,
    too_many_requests,
    unsupported,
)

__all__ = ["DISRUPTION_BUDGET", "Admission", "admit_eviction", "budget_status_causes", "check_eviction"]

_EVICTION_POLICIES = ("AlwaysAllow", "IfHealthyBudget")
_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
_VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
_MOST_DISRUPTED = 2000


def _prepare_create(budget: Object) -> None:
    budget["status"] = dict.fromkeys(_COUNTS, 0)


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old["status"]


def _prepare_status(new: Object, old: Object) -> None:
    new["spec"] = old.get("spec", {})


def _amount_causes(value: int | str, path: str) -> list[Cause]:
    """``ValidatePositiveIntOrPercent`` and ``IsNotMoreThan100Percent``."""
    if isinstance(value, int):
        return [invalid_value(path, value, "must be greater than or equal to 0")] if value < 0 else []
    causes = each(path, value, percent)
    if not causes and int(value[:-1]) > 100:
        causes.append(invalid_value(path, value, "must not be greater than 100%"))
    return causes


def _validate(budget: Object) -> list[Cause]:
    spec = budget.get("spec", {})
    causes = []
    if "minAvailable" in spec and "maxUnavailable" in spec:
        printed = go_text(go_value("PodDisruptionBudgetSpec", spec))
        causes.append(invalid_text("spec", printed, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        if name in spec:
            causes += _amount_causes(spec[name], f"spec.{name}")
    causes += label_selector_causes(spec.get("selector"), "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy", "AlwaysAllow")
    if policy not in _EVICTION_POLICIES:
        causes.append(unsupported("spec.unhealthyPodEvictionPolicy", policy, _EVICTION_POLICIES))
    return causes


def budget_status_causes(new: Object) -> list[Cause]:
    """``ValidatePodDisruptionBudgetStatusUpdate``."""
    status = new.get("status", {})
    return [
        invalid_value(f"status.{name}", status[name], "must be greater than or equal to 0")
        for name in _COUNTS
        if status.get(name, 0) < 0
    ]


DISRUPTION_BUDGET = Strategy(
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    has_generation=True,
    allows_unconditional_update=False,
)


# --- evictions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admission:
    """An eviction that may go on.

    Attributes:
        budget: the budget whose status changes, a new object: one disruption fewer, the pod named; None for none.
        pins_version: the pod must still be the version that was looked at when it is deleted.
    """

    budget: Object | None = None
    pins_version: bool = False


def check_eviction(name: str, eviction: Object) -> None:
    """What is wrong with the request itself.

    Raises:
        ApiError: the names differ (400), or an option that evictions do not take is set (422).
    """
    if eviction.get("metadata", {}).get("name", "") != name:
        raise bad_request("name in URL does not match name in Eviction object")
    option = "ignoreStoreReadErrorWithClusterBreakingPotential"
    if eviction.get("deleteOptions", {}).get(option):
        text = "can not be set for pod eviction, try after removing the option"
        raise invalid("policy", "Eviction", name, [invalid_value(f"deleteOptions.{option}", True, text)])


def admit_eviction(pod: Object, budgets: Iterable[Object], now: str) -> Admission:
    """Whether a pod may be evicted; ``budgets`` are those of its namespace, ``now`` is an RFC 3339 time.

    Raises:
        ApiError: a budget says no (429), says too little yet (429), or is broken (403); several cover the pod (500).
    """
    phase = pod.get("status", {}).get("phase")
    if phase in {"Succeeded", "Failed", "Pending"} or pod["metadata"].get("deletionTimestamp"):
        return Admission(pins_version=phase == "Pending" and "deletionTimestamp" not in pod["metadata"])
    labels = pod["metadata"].get("labels", {})
    covering = [one for one in budgets if selector_matches(one["spec"].get("selector"), labels)]
    if not covering:
        return Admission()
    if len(covering) > 1:
        text = (
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
        raise ApiError(500, "", text)
    budget = covering[0]
    status = budget.get("status", {})
    if not _is_ready(pod):
        desired = status.get("desiredHealthy", 0)
        is_enough = status.get("currentHealthy", 0) >= desired > 0
        if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow" or is_enough:
            return Admission(pins_version=True)
    return Admission(_decremented(budget, pod["metadata"]["name"], now))


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _refusal(text: str, retry_after_s: int) -> ApiError:
    details: dict[str, Any] = {"causes": [{"reason": "DisruptionBudget", "message": text}]}
    if not retry_after_s:  # nothing is said of when, neither in the body nor in a header
        return ApiError(429, "TooManyRequests", _VIOLATES, details)
    return too_many_requests(_VIOLATES, retry_after_s, details | {"retryAfterSeconds": retry_after_s})


def _decremented(budget: Object, pod_name: str, now: str) -> Object:
    """``checkAndDecrement``."""
    status, metadata = budget.get("status", {}), budget["metadata"]
    name, allowed = metadata["name"], status.get("disruptionsAllowed", 0)
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        raise _refusal(f"The disruption budget {name} is still being processed by the server.", 10)
    if allowed < 0:
        raise forbidden("policy", "poddisruptionbudget", name, "pdb disruptions allowed is negative")
    if len(status.get("disruptedPods", ())) > _MOST_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise forbidden("policy", "poddisruptionbudget", name, why)
    if allowed == 0:
        raise _refusal(_why_none(name, status), 0)
    changed = {
        **status,
        "disruptionsAllowed": allowed - 1,
        "disruptedPods": {**status.get("disruptedPods", {}), pod_name: now},
    }
    if allowed == 1:
        changed["conditions"] = _no_more_allowed(status, now)
    return {**budget, "status": changed}


def _why_none(name: str, status: Object) -> str:
    conditions = status.get("conditions", ())
    found: Object = next((one for one in conditions if one["type"] == "DisruptionAllowed"), {})
    message = found.get("message", "") if found.get("status") == "False" else ""
    reason = found.get("reason", "")
    if message and reason == "SyncFailed":
        return f"The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
    healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    if healthy <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
    if message:
        return f"The disruption budget {name} does not allow evicting pods currently ({reason}): {message}"
    return f"The disruption budget {name} does not allow evicting pods currently"


def _no_more_allowed(status: Object, now: str) -> list[Object]:
    """``UpdateDisruptionAllowedCondition`` of a budget that is used up (component-helpers apps/poddisruptionbudget)."""
    conditions: list[Object] = status.get("conditions", [])
    before = next((one for one in conditions if one["type"] == "DisruptionAllowed"), None)
    since = before["lastTransitionTime"] if before is not None and before["status"] == "False" else now
    changed = {
        "type": "DisruptionAllowed",
        "status": "False",
        "observedGeneration": status.get("observedGeneration", 0),
        "lastTransitionTime": since,
        "reason": "InsufficientPods",
        "message": "",
    }
    if before is None:
        return [*conditions, changed]
    return [changed if one is before else one for one in conditions]
