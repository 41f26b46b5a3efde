"""Nodes and the pods on them: admission, scheduling, preemption, node failure, and who pays for which GPU second."""

from collections.abc import Callable, Mapping
from typing import Any

from stoker.kube.quantities import parse
from stoker.twin.admission import Tenancy
from stoker.twin.fleet.agenda import Agenda
from stoker.twin.fleet.cpu import paces
from stoker.twin.fleet.memory import victims
from stoker.twin.fleet.pods import PodRun, Reason
from stoker.twin.fleet.sharing import SharedGpus
from stoker.twin.fleet.spec import NodeGroup
from stoker.twin.fleet.transfers import Source
from stoker.twin.scheduler import ClusterState, schedule

__all__ = ["Machines", "NodeRun"]

# One binding: the scheduler's own latency and the kubelet's sync (kubelet --sync-frequency is for the rest).
_BIND_S = 1.0


class NodeRun:
    """One node: its group, its pods, the images it has, and who has what of GPUs that are shared."""

    __slots__ = ("disk", "gpus", "group", "images", "name", "pods", "ready_s", "zone")

    def __init__(self, name: str, group: NodeGroup, zone: str, disk: Source, ready_s: float) -> None:
        self.name = name
        self.zone = zone
        self.group = group
        self.disk = disk
        self.ready_s = ready_s
        self.gpus = SharedGpus(group.sharing, group.gpus) if group.sharing is not None else None
        self.images: set[str] = set()
        self.pods: dict[tuple[str, str], PodRun] = {}


class Machines:
    """The cluster as the scheduler sees it, and the pods that wait for it."""

    def __init__(
        self,
        agenda: Agenda,
        state: ClusterState,
        tenancy: Tenancy,
        choose: Callable[[tuple[str, ...]], str],
        disk: Callable[[], Source],
    ) -> None:
        """``choose`` breaks the scheduler's ties; ``disk`` makes the local disk of a new node."""
        self.agenda = agenda
        self.nodes: dict[str, NodeRun] = {}
        self.pending: dict[tuple[str, str], PodRun] = {}
        self.preempted = 0
        self.refusals: dict[str, int] = {}
        self._state = state
        self._tenancy = tenancy
        self._choose = choose
        self._disk = disk
        self._kicked = False
        self._retired: list[tuple[NodeGroup, float]] = []

    # --- nodes ---------------------------------------------------------------------------------------------------

    def add_node(self, group: NodeGroup, name: str, zone: str) -> NodeRun:
        """A node joins, Ready."""
        self._state.add_node(_node_object(group, name, zone))
        node = NodeRun(name, group, zone, self._disk(), self.agenda.now)
        self.nodes[name] = node
        self.kick()
        return node

    def cordon(self, name: str) -> None:
        """No pod is bound to the node any more."""
        node = self.nodes[name]
        found = _node_object(node.group, name, node.zone)
        self._state.update_node({**found, "spec": {**(found.get("spec") or {}), "unschedulable": True}})

    def remove_node(self, name: str, reason: str) -> None:
        """A node is gone, and all that ran on it."""
        node = self.nodes.pop(name)
        self._retired.append((node.group, self.agenda.now - node.ready_s))
        for pod in list(node.pods.values()):
            if not pod.ending:
                pod.ending = reason
                pod.owner.pod_ending(pod, reason)
            self._gone(pod, reason)
        self._state.remove_node(name)

    def node_seconds(self) -> list[tuple[NodeGroup, float]]:
        """Seconds that each node existed, with its group: what is paid for."""
        return [
            *self._retired,
            *((node.group, self.agenda.now - node.ready_s) for node in self.nodes.values()),
        ]

    # --- pods ----------------------------------------------------------------------------------------------------

    def submit(self, pod: PodRun) -> None:
        """A pod is created: admission, then the scheduling queue."""
        admitted = self._tenancy.try_admit(pod.object)
        if isinstance(admitted, str):
            self.refusals[pod.key[0]] = self.refusals.get(pod.key[0], 0) + 1
            pod.message = admitted
            pod.owner.pod_refused(pod, admitted)
            return
        pod.object = admitted
        pod.priority = admitted["spec"].get("priority") or 0
        pod.memory_request, pod.memory_limit = memory_of(admitted)
        pod.cpu_request = cpu_request_of(admitted)
        pod.created_s = self.agenda.now
        self.pending[pod.key] = pod
        self.kick()

    def uses(self, pod: PodRun, memory_bytes: float) -> None:
        """The pod's memory changes; whoever the node cannot hold any more is killed."""
        pod.host_memory_bytes = memory_bytes
        if pod.node is None:
            return
        node = self.nodes[pod.node]
        for victim in victims(node.pods.values(), node.group.memory_bytes):
            victim.host_memory_bytes = 0.0
            self.frees_gpu(victim)
            victim.owner.pod_killed(victim)

    def takes_gpu(self, pod: PodRun, memory_bytes: float) -> bool:
        """The pod's process takes memory of each of its GPUs; False where there is none, and it fails."""
        gpus = self.nodes[pod.node].gpus if pod.node is not None else None
        return gpus is None or gpus.take(pod.key, memory_bytes)

    def frees_gpu(self, pod: PodRun) -> None:
        """The pod's process has ended, and with it what it had of GPU memory."""
        gpus = self.nodes[pod.node].gpus if pod.node is not None else None
        if gpus is not None:
            gpus.drop(pod.key)

    def stop(self, pod: PodRun, reason: str, grace_s: float | None = None) -> None:
        """Tell a pod to stop; it is gone after its grace period, at once where it never ran."""
        if pod.ending:
            return
        pod.ending = reason
        if pod.node is None:
            self.pending.pop(pod.key, None)
            self._gone(pod, reason)
            return
        self._state.terminate(*pod.key, preempted=reason == Reason.PREEMPTED)
        pod.owner.pod_ending(pod, reason)
        self.agenda.after(pod.grace_s if grace_s is None else grace_s, self.end, pod, reason)

    def end(self, pod: PodRun, reason: str) -> None:
        """A pod that stops has stopped, maybe before its grace period is over."""
        if pod.node is not None and pod.key in self.nodes[pod.node].pods:
            self._gone(pod, reason)

    def _gone(self, pod: PodRun, reason: str) -> None:
        if pod.node is not None:
            node = self.nodes.get(pod.node)
            self._state.remove_pod(*pod.key)
            pod.node = None
            if node is not None:
                del node.pods[pod.key]
                if node.gpus is not None:
                    node.gpus.remove(pod.key)
                self._share_cpu(node)
            self.kick()
        self._tenancy.release(pod.object)
        pod.owner.pod_gone(pod, reason)

    # --- scheduling ----------------------------------------------------------------------------------------------

    def kick(self) -> None:
        """Something changed: try what waits, once, after everything else that happens now."""
        if not self._kicked and self.pending:
            self._kicked = True
            self.agenda.after(0.0, self._schedule)

    def _schedule(self) -> None:
        self._kicked = False
        failed: set[tuple[int, int]] = set()
        # PrioritySort: higher priority first, then the one that waited longest.
        for pod in sorted(self.pending.values(), key=lambda each: (-each.priority, each.created_s)):
            if (pod.shape, pod.priority) in failed:
                continue
            decision = schedule(self._state, pod.object, self._choose)
            if decision.node is not None:
                self._bind(pod, decision.node)
                continue
            pod.message = decision.message
            if decision.victims:
                self._preempt(pod, decision.nominated, decision.victims)
            else:
                failed.add((pod.shape, pod.priority))

    def _bind(self, pod: PodRun, name: str) -> None:
        del self.pending[pod.key]
        spec = {**pod.object["spec"], "nodeName": name}
        pod.object = {**pod.object, "spec": spec}
        self._state.add_pod(pod.object)
        pod.node = name
        pod.bound_s = self.agenda.now
        node = self.nodes[name]
        pod.usd_per_gpu_s = node.group.usd_per_gpu_hour / 3600
        node.pods[pod.key] = pod
        if node.gpus is not None:
            node.gpus.bind(pod.key, pod.object)
        # What is there when the simulation starts has been bound before.
        self.agenda.after(_BIND_S if self.agenda.now > 0.0 else 0.0, self._started, pod)

    def _started(self, pod: PodRun) -> None:
        if not pod.ending and pod.node is not None:
            pod.owner.pod_bound(pod)
            self._share_cpu(self.nodes[pod.node])

    @staticmethod
    def _share_cpu(node: NodeRun) -> None:
        """Tell pods whose share of the node's CPU has changed."""
        for pod, pace in paces(node.pods.values(), node.group.cores):
            if pace != pod.pace:
                pod.pace = pace
                pod.owner.pod_paced(pod, pace)

    def _preempt(self, pod: PodRun, nominated: str | None, victims: tuple[tuple[str, str], ...]) -> None:
        if nominated is not None:
            pod.object = {**pod.object, "status": {"nominatedNodeName": nominated}}
            self._state.nominate(pod.object, nominated)
        for key in victims:
            for node in self.nodes.values():
                victim = node.pods.get(key)
                if victim is not None and not victim.ending:
                    self.preempted += 1
                    self.stop(victim, Reason.PREEMPTED)


def _node_object(group: NodeGroup, name: str, zone: str) -> dict[str, Any]:
    template: Mapping[str, Any] = group.template
    labels = {
        **template["metadata"].get("labels", {}),
        "kubernetes.io/hostname": name,
        "topology.kubernetes.io/zone": zone,
    }
    return {**template, "metadata": {**template["metadata"], "name": name, "labels": labels}}


def cpu_request_of(pod: Mapping[str, Any]) -> float:
    """Cores that the pod's containers request."""
    containers = (container.get("resources") or {} for container in pod["spec"]["containers"])
    return sum(float(parse(resources.get("requests", {}).get("cpu", "0")) or 0) for resources in containers)


def memory_of(pod: Mapping[str, Any]) -> tuple[float, float]:
    """Memory that the pod's containers request, and their limit in bytes: infinite where one has none."""
    request = limit = 0.0
    for container in pod["spec"]["containers"]:
        resources = container.get("resources") or {}
        request += float(parse(resources.get("requests", {}).get("memory", "0")) or 0)
        own = resources.get("limits", {}).get("memory")
        limit += float("inf") if own is None else float(parse(own) or 0)
    return request, limit
