"""A pod on its way into the store: defaults that other admission relies on, and the checks of its resources."""

from collections.abc import Iterator, Mapping
from typing import Any

from stoker.twin.admission.amounts import Amounts, add, amounts_of, most, written

__all__ = ["containers_of", "defaulted", "resource_problems", "usage"]

Object = Mapping[str, Any]


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
    return {**pod, "spec": spec}


def _with_requests(container: Object) -> Object:
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    if not limits:
        return container
    requests = {**limits, **(resources.get("requests") or {})}
    return {**container, "resources": {**resources, "requests": requests}}


def resource_problems(pod: Object) -> list[str]:
    """What validation says of requests and limits, in the server's words (validation.go ValidateResourceRequirements)."""
    found = []
    for field, index, container in containers_of(pod["spec"]):
        resources = container.get("resources") or {}
        requests, limits = amounts_of(resources.get("requests")), amounts_of(resources.get("limits"))
        path = f"spec.{field}[{index}].resources"
        for part, amounts in (("limits", limits), ("requests", requests)):
            found += [
                f'{path}.{part}[{name}]: Invalid value: "{written(name, value)}": must be greater than or equal to 0'
                for name, value in sorted(amounts.items())
                if value < 0
            ]
        for name, value in sorted(requests.items()):
            limit = limits.get(name)
            if limit is None and "/" in name:
                found.append(
                    f"{path}.limits: Required value: Limit must be set for non overcommitable resources"
                )
            elif limit is not None and "/" in name and value != limit:
                found.append(
                    f'{path}.requests: Invalid value: "{written(name, value)}": must be equal to {name} limit of '
                    f"{written(name, limit)}"
                )
            elif limit is not None and value > limit:
                found.append(
                    f'{path}.requests: Invalid value: "{written(name, value)}": must be less than or equal to {name} '
                    f"limit of {written(name, limit)}"
                )
    return found


def usage(spec: Object, field: str) -> Amounts:
    """``requests`` or ``limits`` of a pod.

    Those of its containers and sidecars together, or what an init container needs beside the sidecars before it, if that
    is more; plus overhead (component-helpers resource/helpers.go).
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
    overhead = amounts_of(spec.get("overhead"))
    if field == "requests":
        add(total, overhead)
    else:
        add(total, {name: value for name, value in overhead.items() if name in total})
    return total
