"""CPU of a node that is asked for more than it has: what each pod gets.

The kernel gives each cgroup its weight, which the kubelet sets from the CPU request: a pod gets at least what it requests,
and what is left goes to those that want more (cpu.weight, pkg/kubelet/cm). Here the rest is shared in proportion to what
is wanted beyond the request.
"""

from collections.abc import Iterable

from stoker.twin.fleet.pods import PodRun

__all__ = ["paces"]


def paces(pods: Iterable[PodRun], cores: float) -> list[tuple[PodRun, float]]:
    """How many times longer CPU work of each pod takes on a node with ``cores``: 1 where it gets all it uses."""
    running = [pod for pod in pods if not pod.ending]
    sure = [min(pod.cpu_request, pod.cores) for pod in running]
    wanted = [pod.cores - own for pod, own in zip(running, sure, strict=True)]
    spare, more = cores - sum(sure), sum(wanted)
    if more <= spare:
        return [(pod, 1.0) for pod in running]
    return [
        (
            pod,
            pod.cores / max(own + max(spare, 0.0) * extra / more, 0.01 * pod.cores) if pod.cores > 0 else 1.0,
        )
        for pod, own, extra in zip(running, sure, wanted, strict=True)
    ]
