"""ResourceQuota, and names and amounts of resources as several kinds check them.

Upstream: pkg/apis/core/validation/validation.go, pkg/apis/core/helper/helpers.go, pkg/registry/core/resourcequota/strategy.go.
"""

from decimal import ROUND_CEILING, Decimal
from typing import Any

from stoker.kube.quantities import parse
from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.config_golang import go_value
from stoker.lab.kinds.metadata import is_qualified_name
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, invalid_value, required

__all__ = [
    "RESOURCE_QUOTA",
    "amount",
    "amount_causes",
    "container_resource_name",
    "is_native",
    "quota_status_causes",
    "resource_name",
]

_COMPUTE = {
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage", "limits.cpu",
    "limits.memory", "limits.ephemeral-storage",
}  # fmt: skip
_COUNTS = {
    "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
}  # fmt: skip
_QUOTA = _COMPUTE | _COUNTS | {"requests.storage"}
_STANDARD = _QUOTA | {"storage"}
# podComputeQuotaResources: what a scope that selects pods can count, besides pods
_POD_COMPUTE = {"cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"}
_SCOPES = {
    "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
}  # fmt: skip
_EXISTS_ONLY = {"BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"}
_OPPOSITES = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_HUGE = ("hugepages-", "requests.hugepages-")


# --- names and amounts --------------------------------------------------------------------------------------------


def amount(quantity: str) -> Decimal:
    """A quantity that decoding has accepted."""
    return parse(quantity) or Decimal(0)


def is_native(name: str) -> bool:
    """``IsNativeResource``."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """``IsExtendedResourceName``."""
    return (
        not is_native(name) and not name.startswith("requests.") and not is_qualified_name(f"requests.{name}")
    )


def resource_name(name: str, path: str) -> list[Cause]:
    """``validateResourceName``."""
    causes = each(path, name, is_qualified_name)
    if not causes and "/" not in name and name not in _STANDARD and not name.startswith(_HUGE):
        causes.append(invalid_value(path, name, "must be a standard resource type or fully qualified"))
    return causes


def container_resource_name(name: str, path: str) -> list[Cause]:
    """``validateContainerResourceName``."""
    causes = resource_name(name, path)
    if "/" not in name:
        if name not in {"cpu", "memory", "ephemeral-storage"} and not name.startswith("hugepages-"):
            causes.append(invalid_value(path, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        causes.append(invalid_value(path, name, "doesn't follow extended resource name standard"))
    return causes


def amount_causes(name: str, quantity: str, path: str) -> list[Cause]:
    """``ValidateResourceQuantityValue``."""
    value = amount(quantity)
    causes = []
    if value < 0:
        causes.append(invalid_value(path, quantity, "must be greater than or equal to 0"))
    # MilliValue rounds up, so what is below a thousandth counts as one
    if (name in _COUNTS or is_extended(name)) and (value * 1000).to_integral_value(ROUND_CEILING) % 1000:
        causes.append(invalid_value(path, quantity, "must be an integer"))
    return causes


# --- ResourceQuota ------------------------------------------------------------------------------------------------


def _quota_resource_causes(name: str, quantity: str, path: str) -> list[Cause]:
    causes = resource_name(name, path)
    if "/" not in name and name not in _QUOTA and not name.startswith(_HUGE):
        causes.append(invalid_value(path, name, "must be a standard resource for quota"))
    return causes + amount_causes(name, quantity, path)


def _amounts_causes(found: dict[str, str], path: str) -> list[Cause]:
    return [
        cause
        for name in sorted(found)
        for cause in _quota_resource_causes(name, found[name], f"{path}[{name}]")
    ]


def _validate(quota: Object) -> list[Cause]:
    spec = quota.get("spec", {})
    causes = _amounts_causes(spec.get("hard", {}), "spec.hard")
    return causes + _scope_list_causes(spec) + _scope_selector_causes(spec)


def quota_status_causes(quota: Object) -> list[Cause]:
    """``ValidateResourceQuotaStatusUpdate``."""
    status = quota.get("status", {})
    return [
        cause
        for field in ("hard", "used")
        for cause in _amounts_causes(status.get(field, {}), f"status.{field}")
    ]


def _counts(scope: str, name: str) -> bool:
    """``IsResourceQuotaScopeValidForResource``, asked of standard resources only."""
    if scope == "BestEffort":
        return name == "pods"
    if scope == "VolumeAttributesClass":
        return name in {"persistentvolumeclaims", "requests.storage"}
    return scope not in _SCOPES or name == "pods" or name in _POD_COMPUTE


def _is_quota_name(name: str) -> bool:
    return name in _QUOTA or name.startswith(_HUGE)


def _scope_list_causes(spec: Object) -> list[Cause]:
    scopes, path = spec.get("scopes", []), "spec.scopes"
    causes = []
    for scope in scopes:
        if scope not in _SCOPES:
            causes.append(invalid_value(path, scopes, "unsupported scope"))
        causes += [
            invalid_value(path, scopes, "unsupported scope applied to resource")
            for name in sorted(spec.get("hard", {}))
            if _is_quota_name(name) and not _counts(scope, name)
        ]
    return causes + _conflicts(path, scopes, scopes)


def _conflicts(path: str, used: list[str], printed: list[str] | None) -> list[Cause]:
    return [invalid_value(path, printed, "conflicting scopes") for pair in _OPPOSITES if pair <= set(used)]


def _scope_selector_causes(spec: Object) -> list[Cause]:
    selector = spec.get("scopeSelector")
    if selector is None:
        return []
    path = "spec.scopeSelector.matchExpressions"
    causes: list[Cause] = []
    for expression in selector.get("matchExpressions", ()):
        scope = expression.get("scopeName", "")
        if scope not in _SCOPES:
            causes.append(invalid_value(f"{path}.scopeName", scope, "unsupported scope"))
        causes += [
            invalid_value(path, go_value("ScopeSelector", selector), "unsupported scope applied to resource")
            for name in sorted(spec.get("hard", {}))
            if _is_quota_name(name) and not _counts(scope, name)
        ]
        causes += _operator_causes(expression, path)
    used = [one.get("scopeName", "") for one in selector.get("matchExpressions", ())]
    return causes + _conflicts(path, used, spec.get("scopes"))


def _operator_causes(expression: Object, path: str) -> list[Cause]:
    operator: str = expression.get("operator", "")
    values: list[Any] = expression.get("values", [])
    causes = []
    if expression.get("scopeName") in _EXISTS_ONLY and operator != "Exists":
        message = (
            "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating,"
            " ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or"
            " ResourceQuotaScopeCrossNamespacePodAffinity"
        )
        causes.append(invalid_value(f"{path}.operator", operator, message))
    if operator in {"In", "NotIn"}:
        if not values:
            message = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            causes.append(required(f"{path}.values", message))
    elif operator in {"Exists", "DoesNotExist"}:
        if values:
            message = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            causes.append(invalid_value(f"{path}.values", values, message))
    else:
        causes.append(invalid_value(f"{path}.operator", operator, "not a valid selector operator"))
    return causes


def _validate_update(new: Object, old: Object) -> list[Cause]:
    scopes = new.get("spec", {}).get("scopes")
    if set(scopes or ()) == set(old.get("spec", {}).get("scopes", ())):
        return []
    return [invalid_value("spec.scopes", scopes, "field is immutable")]


def _prepare_create(quota: Object) -> None:
    quota.setdefault("spec", {})
    quota["status"] = {}


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old.get("status", {})


def _prepare_status(new: Object, old: Object) -> None:
    new["spec"] = old.get("spec", {})


def _warnings(quota: Object) -> list[str]:
    hard = quota.get("spec", {}).get("hard", {})
    found = []
    for name in ("cpu", "memory", "ephemeral-storage"):
        request, limit = f"requests.{name}", f"limits.{name}"
        if request not in hard and name != "ephemeral-storage":
            request = name
        if request in hard and limit in hard and amount(hard[request]) > amount(hard[limit]):
            found.append(
                f"ResourceQuota {request} ({hard[request]}) should be less than {limit} ({hard[limit]})"
            )
    return found


RESOURCE_QUOTA = Strategy(
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    warnings=_warnings,
)
