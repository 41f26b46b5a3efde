"""Host memory of containers: who is killed for it, and who has to leave a node that runs short. Pure.

An assumption, on the lab's page of differences: an engine uses what `sizing.host` counts before any weights (8 GiB); weights
that are mapped are page cache, which the kernel drops before it kills. Every other program uses 64 MiB, or what its pod says
(annotation ``lab.stoker.dev/memory``).

Sources: kubernetes pkg/kubelet/eviction/helpers.go (rankMemoryPressure, evictionMessage), pkg/kubelet/types (IsCriticalPod).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stoker.kube.quantities import parse

__all__ = ["MEMORY", "Usage", "available", "evicted", "eviction_message", "limit_bytes", "used_bytes"]

Object = dict[str, Any]

MEMORY = "lab.stoker.dev/memory"
_GIB = 2**30
_ENGINE_BYTES = 8 * _GIB
_PLAIN_BYTES = 64 * 2**20
# Operating system, kubelet, container runtime: as the twin's `fleet.memory`, for machines of that size.
_SYSTEM_SHARE, _SYSTEM_MOST = 0.02, 8 * _GIB
_THRESHOLD = 100 * 2**20
_CRITICAL = 2_000_000_000


def used_bytes(pod: Object, *, is_engine: bool) -> float:
    """What a container uses at its peak."""
    said = parse((pod["metadata"].get("annotations") or {}).get(MEMORY, ""))
    if said is not None:
        return float(said)
    return float(_ENGINE_BYTES if is_engine else _PLAIN_BYTES)


def limit_bytes(container: Object) -> float:
    value = parse(((container.get("resources") or {}).get("limits") or {}).get("memory", ""))
    return float("inf") if value is None else float(value)


def request_bytes(container: Object) -> float:
    return float(parse(((container.get("resources") or {}).get("requests") or {}).get("memory", "0")) or 0)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a running pod uses, by container."""

    pod: Object
    used: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.used.values())

    @property
    def requested(self) -> float:
        return sum(request_bytes(one) for one in self.pod["spec"]["containers"])


def available(usages: Iterable[Usage], capacity: float) -> float:
    """Memory that the kubelet sees as available (capacity less the working set)."""
    return capacity - min(capacity * _SYSTEM_SHARE, _SYSTEM_MOST) - sum(one.total for one in usages)


def evicted(usages: Iterable[Usage], capacity: float) -> tuple[Usage, float] | None:
    """The pod that the kubelet evicts, with the memory that was available; None where there is no pressure.

    First those above their requests, then by priority, then by how far they are above.
    """
    every = list(usages)
    left = available(every, capacity)
    if left >= _THRESHOLD:
        return None
    every = [one for one in every if int(one.pod["spec"].get("priority") or 0) < _CRITICAL]
    if not every:
        return None
    every.sort(
        key=lambda one: (
            one.total <= one.requested,
            int(one.pod["spec"].get("priority") or 0),
            one.requested - one.total,
        )
    )
    return every[0], left


def eviction_message(usage: Usage, left: float) -> str:
    text = "The node was low on resource: memory. "
    text += f"Threshold quantity: {_quantity(_THRESHOLD)}, available: {_quantity(max(0.0, left))}. "
    for container in usage.pod["spec"]["containers"]:
        used, requested = usage.used.get(container["name"], 0.0), request_bytes(container)
        if used > requested:
            wanted = ((container.get("resources") or {}).get("requests") or {}).get("memory", "0")
            text += (
                f"Container {container['name']} was using {_quantity(used)}, request is {wanted}, "
                "has larger consumption of memory. "
            )
    return text


def _quantity(value: float) -> str:
    """Bytes as resource.Quantity prints them in binary units: whole Gi and Mi as such, others in Ki."""
    number = int(value)
    for unit, size in (("Gi", _GIB), ("Mi", 2**20)):
        if number and number % size == 0:
            return f"{number // size}{unit}"
    return f"{number // 1024}Ki"
