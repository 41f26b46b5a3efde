"""LimitRanger: defaults and bounds of a namespace's containers and pods (plugin/pkg/admission/limitranger)."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from stoker.twin.admission.amounts import Amounts, amounts_of, written
from stoker.twin.admission.pods import containers_of, usage

__all__ = ["limit_problems", "with_limit_defaults"]

Object = Mapping[str, Any]


def _items(ranges: Sequence[Object], kind: str) -> Iterator[dict[str, Amounts]]:
    for item in ranges:
        for limit in item["spec"].get("limits") or ():
            if limit.get("type") == kind:
                yield _complete({field: amounts_of(limit.get(field)) for field in _FIELDS}, kind)


_FIELDS = ("default", "defaultRequest", "min", "max", "maxLimitRequestRatio")


def _complete(item: dict[str, Amounts], kind: str) -> dict[str, Amounts]:
    """Defaults of the LimitRange itself: limits default to the maximum, requests to the limits or the minimum.

    Source: pkg/apis/core/v1/defaults.go SetDefaults_LimitRangeItem.
    """
    if kind == "Container":
        item["default"] = {**item["max"], **item["default"]}
        item["defaultRequest"] = {**item["min"], **item["default"], **item["defaultRequest"]}
    return item


def with_limit_defaults(pod: Object, ranges: Sequence[Object]) -> dict[str, Any]:
    """The pod with limits and requests that its containers do not set themselves."""
    spec = dict(pod["spec"])
    for item in _items(ranges, "Container"):
        for field in ("containers", "initContainers"):
            if spec.get(field):
                spec[field] = [_defaulted(container, item) for container in spec[field]]
    return {**pod, "spec": spec}


def _defaulted(container: Object, item: Mapping[str, Amounts]) -> Object:
    resources = container.get("resources") or {}
    limits, requests = dict(resources.get("limits") or {}), dict(resources.get("requests") or {})
    for name, value in item["default"].items():
        limits.setdefault(name, written(name, value))
    for name, value in item["defaultRequest"].items():
        requests.setdefault(name, written(name, value))
    return {**container, "resources": {**resources, "limits": limits, "requests": requests}}


def limit_problems(pod: Object, ranges: Sequence[Object]) -> list[str]:
    """What breaks a bound, in the plugin's words and order."""
    found: list[str] = []
    for item in _items(ranges, "Container"):
        for _, _, container in containers_of(pod["spec"]):
            resources = container.get("resources") or {}
            found += _bounds(
                "Container", item, amounts_of(resources.get("requests")), amounts_of(resources.get("limits"))
            )
    for item in _items(ranges, "Pod"):
        found += _bounds("Pod", item, usage(pod["spec"], "requests"), usage(pod["spec"], "limits"))
    return found


def _bounds(kind: str, item: Mapping[str, Amounts], requests: Amounts, limits: Amounts) -> Iterator[str]:
    yield from _too_little(kind, item["min"], requests, limits)
    yield from _too_much(kind, item["max"], requests, limits)
    for name, ratio in sorted(item["maxLimitRequestRatio"].items()):
        asked, limit = requests.get(name), limits.get(name)
        if not asked or not limit:
            yield f"{name} max limit to request ratio per {kind} is {ratio}, but no request is specified or request is 0"
        elif limit / asked > ratio:
            yield (
                f"{name} max limit to request ratio per {kind} is {ratio}, but provided ratio is "
                f"{float(limit / asked):f}"
            )


def _too_little(kind: str, least_of: Amounts, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, least in sorted(least_of.items()):
        word = written(name, least)
        if name not in requests:
            yield f"minimum {name} usage per {kind} is {word}.  No request is specified"
        elif requests[name] < least:
            yield f"minimum {name} usage per {kind} is {word}, but request is {written(name, requests[name])}"
        elif name in limits and limits[name] < least:
            yield f"minimum {name} usage per {kind} is {word}, but limit is {written(name, limits[name])}"


def _too_much(kind: str, most_of: Amounts, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, greatest in sorted(most_of.items()):
        word = written(name, greatest)
        if name not in limits:
            yield f"maximum {name} usage per {kind} is {word}.  No limit is specified"
        elif limits[name] > greatest:
            yield f"maximum {name} usage per {kind} is {word}, but limit is {written(name, limits[name])}"
        elif requests.get(name, Decimal(0)) > greatest:
            yield f"maximum {name} usage per {kind} is {word}, but request is {written(name, requests[name])}"
