"""A pod on its way into the store: defaults that other admission relies on, and what it asks for altogether."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.twin.admission.amounts import Amounts, add, amounts_of, most

__all__ = ["aggregate", "containers_of", "defaulted", "pod_level", "usage"]

Object = Mapping[str, Any]

_BOTH: Final = ("cpu", "memory")


def pod_level(name: str) -> bool:
    """Whether pods can ask for the resource as a whole (component-helpers resource/helpers.go)."""
    return name in _BOTH or name.startswith("hugepages-")


def containers_of(spec: Object) -> Iterator[tuple[str, int, Object]]:
    """Field, index and container, of all containers and init containers."""
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            yield field, index, container


def defaulted(pod: Object) -> dict[str, Any]:
    """The pod with requests that follow from its limits (pkg/apis/core/v1/defaults.go SetDefaults_Pod)."""
    spec = dict(pod["spec"])
    for field in ("containers", "initContainers"):
        if spec.get(field):
            spec[field] = [_with_requests(container) for container in spec[field]]
    if (spec.get("resources") or {}).get("limits"):
        spec["resources"] = {**spec["resources"], "requests": _pod_requests(spec)}
    return {**pod, "spec": spec}


def _with_requests(container: Object) -> Object:
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    if not limits:
        return container
    requests = {**limits, **(resources.get("requests") or {})}
    return {**container, "resources": {**resources, "requests": requests}}


def _pod_requests(spec: Object) -> dict[str, Any]:
    """Requests of a pod with limits of its own: what its containers ask for, or the limit where they ask for nothing."""
    resources = spec["resources"]
    requests = dict(resources.get("requests") or {})
    for name, amount in aggregate(spec, "requests").items():
        if name in _BOTH:
            requests.setdefault(name, str(amount))
    for name, limit in resources["limits"].items():
        if pod_level(name):
            requests.setdefault(name, limit)
    return requests


def aggregate(spec: Object, field: str) -> Amounts:
    """``requests`` or ``limits`` of all containers.

    Those of containers and sidecars together, or what an init container needs beside the sidecars before it, if that is
    more (component-helpers resource/helpers.go AggregateContainerRequests).
    """
    total: Amounts = {}
    for container in spec.get("containers") or ():
        add(total, amounts_of((container.get("resources") or {}).get(field)))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = amounts_of((container.get("resources") or {}).get(field))
        if container.get("restartPolicy") == "Always":
            add(total, own)
            add(sidecars, own)
            most(peak, sidecars)
        else:
            add(own, sidecars)
            most(peak, own)
    most(total, peak)
    return total


def usage(spec: Object, field: str) -> Amounts:
    """``requests`` or ``limits`` of a pod with its overhead; what it says for itself as a whole goes before its containers."""
    total = aggregate(spec, field)
    own = amounts_of((spec.get("resources") or {}).get(field))
    total.update({name: amount for name, amount in own.items() if pod_level(name)})
    overhead = amounts_of(spec.get("overhead"))
    # Overhead widens limits that are there, and makes none.
    add(total, overhead if field == "requests" else {n: v for n, v in overhead.items() if total.get(n)})
    return total
