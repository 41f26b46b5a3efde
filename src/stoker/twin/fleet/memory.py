"""Host memory of a node: who is killed when what pods use exceeds what there is.

A container above its own limit is killed by its cgroup and hurts nobody else. Where limits are missing the node itself
runs out, and the kernel kills the process with the highest score: its share of the node's memory in thousandths plus the
adjustment that the kubelet gives its pod (pkg/kubelet/qos/policy.go): -997 for Guaranteed, 1000 for BestEffort, for
Burstable 1000 - 1000 * request / capacity, within 2 and 999.
"""

from collections.abc import Iterable

from stoker.twin.fleet.pods import PodRun

__all__ = ["victims"]

_SYSTEM_BYTES = 8 * 2**30  # operating system, kubelet, container runtime, device plugin: an assumption


def _adjustment(pod: PodRun, capacity: float) -> float:
    if pod.memory_request > 0 and pod.memory_request == pod.memory_limit:
        return -997.0
    if pod.memory_request == 0:
        return 1000.0
    return min(999.0, max(2.0, 1000.0 - 1000.0 * pod.memory_request / capacity))


def victims(pods: Iterable[PodRun], capacity: float) -> list[PodRun]:
    """Pods that are killed on a node with ``capacity`` bytes: those above their own limit, then by the kernel's score."""
    running = [pod for pod in pods if not pod.ending]
    killed = [pod for pod in running if pod.host_memory_bytes > pod.memory_limit]
    left = [pod for pod in running if pod.host_memory_bytes <= pod.memory_limit]
    used = _SYSTEM_BYTES + sum(pod.host_memory_bytes for pod in left)
    left.sort(
        key=lambda pod: (1000.0 * pod.host_memory_bytes / capacity + _adjustment(pod, capacity), pod.key)
    )
    while left and used > capacity:
        worst = left.pop()
        used -= worst.host_memory_bytes
        killed.append(worst)
    return killed
