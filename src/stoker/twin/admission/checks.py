"""What validation says of ResourceQuotas and LimitRanges (pkg/apis/core/validation ValidateResourceQuotaSpec, ValidateLimitRange)."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from stoker.twin.admission.amounts import ONE, Amount, Amounts, amounts_of
from stoker.twin.admission.resources import STANDARD, container_resource

__all__ = ["limit_range_problems", "quota_problems"]

Object = Mapping[str, Any]

_NAME: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_NAME_WORDS: Final = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_WHOLE: Final = frozenset((
    "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
))  # fmt: skip
_PODS_SCOPES: Final = (
    "Terminating",
    "NotTerminating",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
)
_POD_AMOUNTS: Final = frozenset(
    ("pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
)
_CONFLICTS: Final = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_BARE: Final = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


def quota_problems(quota: Object) -> list[str]:
    """Everything that is wrong with a ResourceQuota."""
    spec = quota["spec"]
    hard = amounts_of(spec.get("hard"))
    found: list[str] = []
    for name, value in sorted(hard.items()):
        path = f"spec.hard[{name}]"
        found += _named(name, path)
        if "/" not in name and name not in _quota_names() and not _huge(name):
            found.append(f'{path}: Invalid value: "{name}": must be a standard resource for quota')
        found += _amount(name, value, path)
    scopes = spec.get("scopes") or []
    found += _scopes(scopes, hard, "spec.scopes", scopes)
    selector = spec.get("scopeSelector")
    if selector is not None:
        found += _selector(selector, hard)
    return list(dict.fromkeys(found))


def _quota_names() -> frozenset[str]:
    return STANDARD - {"storage"} | {"cpu", "memory", "ephemeral-storage"}


def _huge(name: str) -> bool:
    return name.removeprefix("requests.").startswith("hugepages-")


def _named(name: str, path: str) -> Iterator[str]:
    last = name.rpartition("/")[2]
    problems = []
    if not last:
        problems.append("name part must be non-empty")
    if not _NAME.fullmatch(last):
        problems.append(_NAME_WORDS)
    if not problems and "/" not in name and name not in _quota_names() | {"storage"} and not _huge(name):
        problems.append("must be a standard resource type or fully qualified")
    for problem in problems:
        yield f'{path}: Invalid value: "{name}": {problem}'


def _amount(name: str, value: Amount, path: str) -> Iterator[str]:
    if value.value < 0:
        yield f'{path}: Invalid value: "{value}": must be greater than or equal to 0'
    domain, slash, _ = name.partition("/")
    extended = bool(slash) and not name.startswith("requests.") and "kubernetes.io" not in domain
    if (name in _WHOLE or extended) and value.value * 1000 % 1000 != 0:
        yield f'{path}: Invalid value: "{value}": must be an integer'


def _scopes(scopes: Sequence[str], hard: Amounts, path: str, shown: object) -> Iterator[str]:
    """Scopes that are known, fit all resources, and do not contradict each other."""
    text = json.dumps(shown, separators=(",", ":"))
    for scope in scopes:
        if scope not in {*_PODS_SCOPES, "BestEffort", "VolumeAttributesClass"}:
            yield f"{path}: Invalid value: {text}: unsupported scope"
        for name in sorted(hard):
            fits = name == "pods" if scope == "BestEffort" else name in _POD_AMOUNTS
            if scope in {*_PODS_SCOPES, "BestEffort"} and name in _quota_names() and not fits:
                yield f"{path}: Invalid value: {text}: unsupported scope applied to resource"
    for pair in _CONFLICTS:
        if pair <= set(scopes):
            yield f"{path}: Invalid value: {text}: conflicting scopes"


def _selector(selector: Object, hard: Amounts) -> Iterator[str]:
    path = "spec.scopeSelector.matchExpressions"
    entries = selector.get("matchExpressions") or ()
    for entry in entries:
        scope, operator, values = (
            entry.get("scopeName", ""),
            entry.get("operator", ""),
            entry.get("values") or [],
        )
        if scope not in {*_PODS_SCOPES, "BestEffort", "VolumeAttributesClass"}:
            yield f'{path}.scopeName: Invalid value: "{scope}": unsupported scope'
        else:
            yield from _scopes([scope], hard, path, selector)
        if scope in {*_PODS_SCOPES, "BestEffort"} - {"PriorityClass"} and operator != "Exists":
            yield f'{path}.operator: Invalid value: "{operator}": {_BARE}'
        if operator in {"In", "NotIn"}:
            if not values:
                yield (
                    f"{path}.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for "
                    "scope selector"
                )
        elif operator in {"Exists", "DoesNotExist"}:
            if values:
                yield (
                    f"{path}.values: Invalid value: {json.dumps(values, separators=(',', ':'))}: must be no value when "
                    "`operator` is 'Exist' or 'DoesNotExist' for scope selector"
                )
        else:
            yield f'{path}.operator: Invalid value: "{operator}": not a valid selector operator'


def limit_range_problems(item: Object) -> list[str]:
    """Everything that is wrong with a LimitRange, its own defaults included."""
    found: list[str] = []
    kinds: set[str] = set()
    for index, limit in enumerate(item["spec"].get("limits") or ()):
        path = f"spec.limits[{index}]"
        kind = limit.get("type", "")
        if "/" not in kind and kind not in {"Pod", "Container", "PersistentVolumeClaim"}:
            found.append(
                f'{path}.type: Invalid value: "{kind}": must be a standard limit type or fully qualified'
            )
        if kind in kinds:
            found.append(f'{path}.type: Duplicate value: "{kind}"')
        kinds.add(kind)
        found += _limit(kind, _filled(limit), path)
    return list(dict.fromkeys(found))


def _filled(limit: Object) -> Object:
    """The item with defaults that follow from its bounds (pkg/apis/core/v1/defaults.go SetDefaults_LimitRangeItem)."""
    if limit.get("type") != "Container":
        return limit
    default = {**(limit.get("max") or {}), **(limit.get("default") or {})}
    request = {**(limit.get("min") or {}), **default, **(limit.get("defaultRequest") or {})}
    return {**limit, "default": default, "defaultRequest": request}


def _limit(kind: str, limit: Object, path: str) -> Iterator[str]:
    fields = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]
    if kind == "Pod":
        for field in ("default", "defaultRequest"):
            if limit.get(field):
                yield f"{path}.{field}: Forbidden: may not be specified when `type` is 'Pod'"
            fields.remove(field)
    amounts = {field: amounts_of(limit.get(field)) for field in fields}
    for field in fields:
        for name in sorted(amounts[field]):
            if kind in {"Pod", "Container"}:
                yield from container_resource(name, f"{path}.{field}[{name}]")
    if kind == "PersistentVolumeClaim" and not {"storage"} & {*amounts["min"], *amounts["max"]}:
        yield (
            f"{path}.limits: Required value: either minimum or maximum storage value is required, but neither was "
            "provided"
        )
    for name in sorted({name for field in fields for name in amounts[field]}):
        yield from _consistent(name, amounts, path)


# What must not be above what, whose field is at fault, and whether the second of the two is shown there.
_ORDER: Final = (
    ("min", "max", "min", False, "min value {} is greater than max value {}"),
    (
        "min",
        "defaultRequest",
        "defaultRequest",
        True,
        "min value {} is greater than default request value {}",
    ),
    (
        "defaultRequest",
        "max",
        "defaultRequest",
        False,
        "default request value {} is greater than max value {}",
    ),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        False,
        "default request value {} is greater than default limit value {}",
    ),
    ("min", "default", "default", False, "min value {} is greater than default value {}"),
    ("default", "max", "default", True, "default value {} is greater than max value {}"),
)


def _consistent(name: str, amounts: Mapping[str, Amounts], path: str) -> Iterator[str]:
    """Amounts of one resource that should rise from minimum to maximum, and its ratio."""
    for low, high, field, second, words in _ORDER:
        first, last = amounts.get(low, {}).get(name), amounts.get(high, {}).get(name)
        if first is not None and last is not None and first > last:
            shown = last if second else first
            yield f'{path}.{field}[{name}]: Invalid value: "{shown}": {words.format(first, last)}'
    ratio = amounts["maxLimitRequestRatio"].get(name)
    least, most = amounts["min"].get(name), amounts["max"].get(name)
    if ratio is not None:
        start = f'{path}.maxLimitRequestRatio[{name}]: Invalid value: "{ratio}": ratio {ratio} is'
        if ratio < ONE:
            yield f"{start} less than 1"
        if least and most is not None and ratio.value > most.value / least.value:
            yield f"{start} greater than max/min = {float(most.value / least.value):f}"
    request, default = amounts.get("defaultRequest", {}).get(name), amounts.get("default", {}).get(name)
    fixed = "/" in name or name.startswith("hugepages-")
    if fixed and request is not None and default is not None and request != default:
        yield (
            f'{path}.defaultRequest[{name}]: Invalid value: "{request}": default value {default} must equal to '
            f"defaultRequest value {request} in {name}"
        )
