"""What validation says of requests and limits, in the server's words (pkg/apis/core/validation/validation.go)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.twin.admission.amounts import Amounts, amounts_of
from stoker.twin.admission.pods import aggregate, containers_of

__all__ = ["STANDARD", "container_resource", "resource_problems"]

Object = Mapping[str, Any]

_CONTAINER: Final = frozenset(("cpu", "memory", "ephemeral-storage"))
# helper.IsStandardResourceName: known, though not to containers.
STANDARD: Final = frozenset((
    "requests.cpu", "requests.memory", "requests.ephemeral-storage", "limits.cpu", "limits.memory",
    "limits.ephemeral-storage", "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
    "persistentvolumeclaims", "storage", "requests.storage", "services.nodeports", "services.loadbalancers",
))  # fmt: skip


def resource_problems(pod: Object) -> list[str]:
    """Everything that is wrong with the pod's resources, each thing once."""
    found: list[str] = []
    for field, index, container in containers_of(pod["spec"]):
        found += _requirements(container.get("resources") or {}, f"spec.{field}[{index}].resources")
    if pod["spec"].get("resources"):
        found += _whole(pod["spec"])
    return list(dict.fromkeys(found))


def _requirements(resources: Object, path: str) -> Iterator[str]:
    requests, limits = amounts_of(resources.get("requests")), amounts_of(resources.get("limits"))
    for name in sorted(limits):
        yield from _amount(limits, name, f"{path}.limits[{name}]")
    for name, value in sorted(requests.items()):
        yield from _amount(requests, name, f"{path}.requests[{name}]")
        limit = limits.get(name)
        fixed = "/" in name or name.startswith("hugepages-")
        if limit is None:
            if fixed:
                yield f"{path}.limits: Required value: Limit must be set for non overcommitable resources"
        elif fixed and value != limit:
            yield f'{path}.requests: Invalid value: "{value}": must be equal to {name} limit of {limit}'
        elif value > limit:
            yield (
                f'{path}.requests: Invalid value: "{value}": must be less than or equal to {name} limit of {limit}'
            )


def container_resource(name: str, path: str) -> Iterator[str]:
    """What is wrong with a resource as one of a container (validateContainerResourceName)."""
    if "/" not in name and name not in _CONTAINER and not name.startswith("hugepages-"):
        if name not in STANDARD:
            yield f'{path}: Invalid value: "{name}": must be a standard resource type or fully qualified'
        yield f'{path}: Invalid value: "{name}": must be a standard resource for containers'


def _amount(amounts: Amounts, name: str, path: str) -> Iterator[str]:
    """A resource that a container may name, with an amount that it may have."""
    value = amounts[name]
    yield from container_resource(name, path)
    if value.value < 0:
        yield f'{path}: Invalid value: "{value}": must be greater than or equal to 0'
    if "/" in name and value.value * 1000 % 1000 != 0:
        yield f'{path}: Invalid value: "{value}": must be an integer'


def _whole(spec: Object) -> Iterator[str]:
    """Resources of the pod as a whole against those of its containers (validatePodResourceConsistency)."""
    resources = spec["resources"]
    yield from _requirements(resources, "spec.resources")
    requests, limits = amounts_of(resources.get("requests")), amounts_of(resources.get("limits"))
    for name, total in sorted(aggregate(spec, "requests").items()):
        if name in requests and total > requests[name]:
            yield (
                f'spec.resources.requests[{name}]: Invalid value: "{requests[name]}": must be greater than or equal to '
                f"aggregate container requests of {total}"
            )
    for index, container in enumerate(spec.get("containers") or ()):
        own = amounts_of((container.get("resources") or {}).get("limits"))
        for name, limit in sorted(own.items()):
            if name in limits and limit > limits[name]:
                yield (
                    f'spec.resources.containers[{index}][{name}].limits: Invalid value: "{limit}": must be less than or '
                    f"equal to pod limits of {limits[name]}"
                )
