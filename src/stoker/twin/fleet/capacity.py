"""Will these pods fit on those nodes? The scheduler's own answer, before anything is applied."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stoker.twin.admission import Tenancy
from stoker.twin.fleet.pods import named
from stoker.twin.fleet.spec import FleetSpec, WorkloadSpec
from stoker.twin.scheduler import ClusterState, schedule

__all__ = ["Capacity", "Placed", "place"]

_ZONES = ("a", "b", "c")


@dataclass(frozen=True, slots=True)
class Placed:
    """One workload.

    Attributes:
        wanted, bound: pods.
        nodes: where they are, with how many on each.
        message: the scheduler's, or admission's, words for the first pod that is not bound; empty where all are.
    """

    workload: str
    tenant: str
    wanted: int
    bound: int
    gpus_per_pod: float
    nodes: dict[str, int]
    message: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """Everything placed, in the order in which priorities let it."""

    workloads: tuple[Placed, ...]
    gpus: int
    gpus_taken: float
    nodes: int
    largest_free: int  # GPUs of the node with the most free ones

    @property
    def fits(self) -> bool:
        return all(placed.bound == placed.wanted for placed in self.workloads)


def place(spec: FleetSpec, *, at_most: bool) -> Capacity:
    """Place every workload at its maximum replicas, or at its minimum."""
    state = ClusterState(spec.profiles)
    free: dict[str, float] = {}
    for group in spec.groups:
        for number in range(group.nodes):
            name = f"{group.name}-{number}"
            labels = {
                **group.template["metadata"].get("labels", {}),
                "kubernetes.io/hostname": name,
                "topology.kubernetes.io/zone": _ZONES[number % len(_ZONES)],
            }
            metadata = {**group.template["metadata"], "name": name, "labels": labels}
            state.add_node({**group.template, "metadata": metadata})
            free[name] = float(group.gpus)
    tenancy = Tenancy(spec.policies)
    placed = [_place(state, tenancy, workload, free, at_most=at_most) for workload in _by_priority(spec)]
    total = sum(group.nodes * group.gpus for group in spec.groups)
    return Capacity(
        workloads=tuple(placed),
        gpus=total,
        gpus_taken=total - sum(free.values()),
        nodes=len(free),
        largest_free=int(max(free.values(), default=0.0)),
    )


def _by_priority(spec: FleetSpec) -> Iterable[WorkloadSpec]:
    values = {
        item["metadata"]["name"]: int(item["value"])
        for item in spec.policies
        if item["kind"] == "PriorityClass"
    }
    return sorted(
        spec.workloads, key=lambda each: -values.get(each.pod["spec"].get("priorityClassName", ""), 0)
    )


def _place(
    state: ClusterState,
    tenancy: Tenancy,
    workload: WorkloadSpec,
    free: dict[str, float],
    *,
    at_most: bool,
) -> Placed:
    replicas = workload.max_replicas if at_most else workload.min_replicas
    wanted = replicas * workload.pods_per_replica
    nodes: dict[str, int] = {}
    message = ""
    for number in range(wanted):
        pod = tenancy.try_admit(named(workload.pod, f"{workload.name}-{number}"))
        if isinstance(pod, str):
            message = message or pod
            continue
        decision = schedule(state, pod)
        if decision.node is None:
            message = message or decision.message
            continue
        bound: dict[str, Any] = {**pod, "spec": {**pod["spec"], "nodeName": decision.node}}
        state.add_pod(bound)
        nodes[decision.node] = nodes.get(decision.node, 0) + 1
        free[decision.node] -= workload.gpus_per_pod
    return Placed(
        workload.name, workload.tenant, wanted, sum(nodes.values()), workload.gpus_per_pod, nodes, message
    )
