"""LimitRanger: defaults and bounds of a namespace's containers, pods and claims (plugin/pkg/admission/limitranger)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.twin.admission.amounts import Amount, Amounts, amounts_of
from stoker.twin.admission.pods import aggregate, containers_of

__all__ = ["claim_problems", "limit_problems", "parse_limits", "with_limit_defaults"]

Object = Mapping[str, Any]

_FIELDS: Final = ("default", "defaultRequest", "min", "max", "maxLimitRequestRatio")
# Longer amounts are compared in whole units (resource.MaxMilliValue).
_MAX_MILLI: Final = (2**63 - 1) // 1000


@dataclass(frozen=True, slots=True)
class Limit:
    """One item of a LimitRange."""

    kind: str
    amounts: Mapping[str, Amounts]


def parse_limits(limit_range: Object) -> tuple[Limit, ...]:
    """The items of a LimitRange, in order, with their own defaults.

    Limits default to the maximum, requests to the limits or the minimum (pkg/apis/core/v1/defaults.go
    SetDefaults_LimitRangeItem).
    """
    found = []
    for item in limit_range["spec"].get("limits") or ():
        amounts = {field: amounts_of(item.get(field)) for field in _FIELDS}
        if item.get("type") == "Container":
            amounts["default"] = {**amounts["max"], **amounts["default"]}
            amounts["defaultRequest"] = {**amounts["min"], **amounts["default"], **amounts["defaultRequest"]}
        found.append(Limit(item.get("type", ""), amounts))
    return tuple(found)


def with_limit_defaults(pod: Object, ranges: Sequence[Sequence[Limit]]) -> dict[str, Any]:
    """The pod with limits and requests that its containers do not set themselves."""
    spec = dict(pod["spec"])
    for limits in ranges:
        items = [limit.amounts for limit in limits if limit.kind == "Container"]
        # Of several items the last counts.
        default = {name: str(value) for item in items for name, value in item["default"].items()}
        request = {name: str(value) for item in items for name, value in item["defaultRequest"].items()}
        for field in ("containers", "initContainers"):
            if spec.get(field):
                spec[field] = [_defaulted(container, default, request) for container in spec[field]]
    return {**pod, "spec": spec}


def _defaulted(container: Object, default: Mapping[str, str], request: Mapping[str, str]) -> Object:
    resources = container.get("resources") or {}
    limits = {**default, **(resources.get("limits") or {})}
    requests = {**request, **(resources.get("requests") or {})}
    return {**container, "resources": {**resources, "limits": limits, "requests": requests}}


def limit_problems(pod: Object, limits: Sequence[Limit]) -> list[str]:
    """What of a pod breaks the bounds of one LimitRange, in the plugin's words and order, each thing once."""
    found: list[str] = []
    for limit in limits:
        if limit.kind == "Container":
            for _, _, container in containers_of(pod["spec"]):
                own = container.get("resources") or {}
                found += _bounds(limit, amounts_of(own.get("requests")), amounts_of(own.get("limits")))
        elif limit.kind == "Pod":
            found += _bounds(limit, _whole(pod["spec"], "requests"), _whole(pod["spec"], "limits"))
    return list(dict.fromkeys(found))


def claim_problems(claim: Object, limits: Sequence[Limit]) -> list[str]:
    """What of a PersistentVolumeClaim breaks the bounds of one LimitRange."""
    asked = amounts_of((claim["spec"].get("resources") or {}).get("requests"))
    found: list[str] = []
    for limit in limits:
        if limit.kind == "PersistentVolumeClaim":
            found += _too_little(limit, asked, {})
            for name, greatest in sorted(limit.amounts["max"].items()):
                start = f"maximum {name} usage per {limit.kind} is {greatest}"
                if name not in asked:
                    found.append(f"{start}.  No request is specified")
                elif asked[name] > greatest:
                    found.append(f"{start}, but request is {asked[name]}")
    return list(dict.fromkeys(found))


def _whole(spec: Object, field: str) -> Amounts:
    """What a pod counts for: without overhead, its own CPU and memory before those of its containers."""
    total = aggregate(spec, field)
    own = amounts_of((spec.get("resources") or {}).get(field))
    for name in ("cpu", "memory"):
        if name in own:
            total[name] = own[name]
    return total


def _bounds(limit: Limit, requests: Amounts, limits: Amounts) -> Iterator[str]:
    yield from _too_little(limit, requests, limits)
    yield from _too_much(limit, requests, limits)
    for name, ratio in sorted(limit.amounts["maxLimitRequestRatio"].items()):
        start = f"{name} max limit to request ratio per {limit.kind} is {ratio}, but"
        asked, most_of = requests.get(name), limits.get(name)
        if not asked:
            yield f"{start} no request is specified or request is 0"
        elif not most_of:
            yield f"{start} no limit is specified or limit is 0"
        else:
            share = _observed(most_of, asked)
            if share > float(ratio.value):
                yield f"{start} provided ratio is {share:f}"


def _observed(limit: Amount, request: Amount) -> float:
    """Limit over request, both in thousandths where they are small enough, rounded up as Quantity.MilliValue does."""
    scale = 1000 if max(limit.value, request.value) <= _MAX_MILLI else 1
    return float(-(-limit.value * scale // 1)) / float(-(-request.value * scale // 1))


def _too_little(limit: Limit, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, least in sorted(limit.amounts["min"].items()):
        start = f"minimum {name} usage per {limit.kind} is {least}"
        if name not in requests:
            yield f"{start}.  No request is specified"
        elif requests[name] < least:
            yield f"{start}, but request is {requests[name]}"
        elif name in limits and limits[name] < least:
            yield f"{start}, but limit is {limits[name]}"


def _too_much(limit: Limit, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, greatest in sorted(limit.amounts["max"].items()):
        start = f"maximum {name} usage per {limit.kind} is {greatest}"
        if name not in limits:
            yield f"{start}.  No limit is specified"
        elif limits[name] > greatest:
            yield f"{start}, but limit is {limits[name]}"
        elif name in requests and requests[name] > greatest:
            yield f"{start}, but request is {requests[name]}"
