"""One replica of a model version: its pods, its place in the kernel, and which of several is given up first."""

from dataclasses import dataclass, field

from stoker.twin.fleet.pods import PodRun

__all__ = ["ReplicaRun", "worth"]


@dataclass(slots=True, eq=False)
class ReplicaRun:
    """One replica: the pods that make it, its slot in the kernel once it serves, starts that failed since it last did."""

    number: int
    created_s: float
    revision: int = 0
    pods: list[PodRun] = field(default_factory=list)
    started: int = 0
    slot: int = -1
    ready_s: float = -1.0
    bound_s: float = -1.0
    ending: bool = False
    crashes: int = 0
    warm: bool = False


def worth(replica: ReplicaRun) -> tuple[bool, bool, float, int]:
    """Order in which replicas are given up: not bound, not ready, then the one that became ready last.

    Source: kubernetes pkg/controller/controller_utils.go ActivePodsWithRanks.
    """
    return (replica.bound_s >= 0, replica.slot >= 0, -replica.ready_s, -replica.number)
