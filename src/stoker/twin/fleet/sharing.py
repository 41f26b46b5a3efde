"""GPUs of a node that several pods share: which one a pod gets, what memory is left on it, how its time is divided.

- The kubelet asks the device plugin, which takes shares from the GPU that has given away the fewest
  (NVIDIA/k8s-device-plugin internal/rm/allocate.go, policy ``distributed``, the default); ties, which Go's map order
  decides there, go to the lowest number.
- Time-slicing splits no memory: whoever asks for more than is left fails, whatever it is entitled to, and those that
  have theirs keep it. MPS gives each client memory / replicas and no more (the plugin's
  ``set_default_device_pinned_mem_limit``). A MIG slice is a device of its own size.
- Time-slicing takes turns among the processes that have work: one of n that are busy takes n times as long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from stoker.platform.cluster import SharingMode

__all__ = ["GpuSharing", "SharedGpus", "crash_pause", "distributed", "slowdowns"]

Key = tuple[str, str]
"""Namespace and name of a pod."""

_ROUNDING_BYTES: Final = 1.0
_BACK_OFF_S: Final = 10.0
_LONGEST_BACK_OFF_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class GpuSharing:
    """How every GPU of a node group is divided.

    Attributes:
        mode: time-slicing, MPS or MIG.
        memory_bytes: usable memory of one physical GPU.
        limits: bytes that one pod may take by one share, by resource name; the whole GPU under time-slicing.
        shares: how many of a resource one GPU gives, by resource name.
    """

    mode: SharingMode
    memory_bytes: float
    limits: Mapping[str, float]
    shares: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Held:
    """What one pod has: shares of a resource, by the GPU of each; the most it may take, and has taken, of a GPU in bytes."""

    resource: str
    gpus: tuple[int, ...]
    limit: float
    taken: float = 0.0


def distributed(given: Sequence[int], per_gpu: int, size: int) -> list[int]:
    """GPUs, once per share, that a pod gets which asks for ``size`` shares.

    Args:
        given: shares of each GPU that other pods have.
        per_gpu: shares that one GPU gives.
        size: shares asked for.

    Raises:
        ValueError: fewer are left; the scheduler binds no such pod.
    """
    counts = list(given)
    found: list[int] = []
    for _ in range(size):
        free = [gpu for gpu, count in enumerate(counts) if count < per_gpu]
        if not free:
            raise ValueError(f"{size} shares asked for, {per_gpu * len(given) - sum(given)} left")
        best = min(free, key=lambda gpu: (counts[gpu], found.count(gpu), gpu))
        counts[best] += 1
        found.append(best)
    return found


def crash_pause(crashes: int) -> float:
    """Seconds that the kubelet waits after a container's n-th crash: 10, doubling up to 300 (pkg/kubelet/kubelet.go)."""
    return float(min(_LONGEST_BACK_OFF_S, _BACK_OFF_S * 2 ** min(crashes - 1, 5)))


class SharedGpus:
    """The GPUs of one node: who has shares of which, and who has taken how much memory of them."""

    __slots__ = ("_given", "_held", "_sharing")

    def __init__(self, sharing: GpuSharing, gpus: int) -> None:
        self._sharing = sharing
        self._given = {resource: [0] * gpus for resource in sharing.limits}
        self._held: dict[Key, _Held] = {}

    def bind(self, key: Key, pod: Mapping[str, Any]) -> None:
        """The kubelet admits a pod: it gets the shares it asks for, of one resource. Without any it is not counted."""
        for resource, size in _asked(pod, self._sharing.limits):
            given = self._given[resource]
            chosen = distributed(given, self._sharing.shares[resource], size)
            for gpu in chosen:
                given[gpu] += 1
            self._held[key] = _Held(resource, tuple(chosen), self._sharing.limits[resource])

    def remove(self, key: Key) -> None:
        """The pod is gone with all that it held."""
        held = self._held.pop(key, None)
        if held is not None:
            for gpu in held.gpus:
                self._given[held.resource][gpu] -= 1

    def take(self, key: Key, memory_bytes: float) -> bool:
        """The pod's process takes memory on each of its GPUs, in place of what it had; False where it cannot."""
        held = self._held.get(key)
        if held is None:
            return True
        if memory_bytes > held.limit + _ROUNDING_BYTES:
            return False
        if self._sharing.mode is not SharingMode.MIG:
            room = min(self.free(gpu, besides=key) for gpu in held.gpus)
            if memory_bytes > room + _ROUNDING_BYTES:
                return False
        self._held[key] = replace(held, taken=memory_bytes)
        return True

    def drop(self, key: Key) -> None:
        """The pod's process has ended: its memory is free, its shares stay its own."""
        if key in self._held:
            self._held[key] = replace(self._held[key], taken=0.0)

    def free(self, gpu: int, *, besides: Key | None = None) -> float:
        """Bytes of a GPU that nobody has taken; what ``besides`` has counts as free."""
        return self._sharing.memory_bytes - sum(
            held.taken for key, held in self._held.items() if gpu in held.gpus and key != besides
        )

    def gpus_of(self, key: Key) -> tuple[int, ...]:
        """Numbers of the pod's GPUs, once per share."""
        held = self._held.get(key)
        return held.gpus if held else ()


def slowdowns(gpus: Mapping[Key, Sequence[int]], work: Mapping[Key, float]) -> dict[Key, float]:
    """How many times longer each pod's GPU work takes where GPUs take turns: one, and the others that have work.

    Args:
        gpus: GPUs of each pod.
        work: share of the time in which a pod has work for its GPU.
    """
    total: dict[int, float] = {}
    for key, numbers in gpus.items():
        for gpu in dict.fromkeys(numbers):
            total[gpu] = total.get(gpu, 0.0) + work[key]
    return {
        key: max((1.0 + total[gpu] - work[key] for gpu in numbers), default=1.0)
        for key, numbers in gpus.items()
    }


def _asked(pod: Mapping[str, Any], resources: Mapping[str, float]) -> list[tuple[str, int]]:
    """Shares that the pod's containers ask for, by resource."""
    counts: dict[str, int] = {}
    for container in pod["spec"]["containers"]:
        for resource, amount in ((container.get("resources") or {}).get("limits") or {}).items():
            if resource in resources:
                counts[resource] = counts.get(resource, 0) + int(amount)
    return list(counts.items())
