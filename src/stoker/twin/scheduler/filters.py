"""Which nodes can take a pod, and in the scheduler's words why the others cannot.

Plugins run in the order of the default profile (pkg/scheduler/apis/config/v1/default_plugins.go, 1.36); the first that
says no speaks for its node. A reason is unresolvable where removing pods from the node could not help.
"""

from dataclasses import dataclass

from stoker.kube.selectors import node_fits, tolerates, untolerated
from stoker.twin.scheduler.claims import device_reason, uses_devices
from stoker.twin.scheduler.pods import PodInfo
from stoker.twin.scheduler.state import ClusterState, NodeInfo
from stoker.twin.scheduler.topology import Affinity, Spread, read_affinity, read_spread
from stoker.twin.scheduler.volumes import alone, volume_limit, volume_reasons, zone_conflict

__all__ = ["Reading", "Refusal", "filter_node", "filter_with_promised", "read"]

_UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node does not take a pod."""

    reasons: tuple[str, ...]
    unresolvable: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pod needs to know of all other pods (the PreFilter state)."""

    affinity: Affinity
    spread: Spread
    alone: str
    devices: bool


def read(state: ClusterState, pod: PodInfo) -> Reading:
    """Count other pods once, before nodes are looked at one by one."""
    return Reading(
        read_affinity(state, pod),
        read_spread(state, pod),
        alone(state, pod) if pod.claims else "",
        uses_devices(state, pod),
    )


def filter_node(state: ClusterState, pod: PodInfo, node: NodeInfo, reading: Reading) -> Refusal | None:
    """None where the pod can run on the node as it is."""
    place = _placement(pod, node)
    if place:
        return Refusal((place,), True)
    if pod.ports and _port_conflict(pod, node):
        return Refusal(("node(s) didn't have free ports for the requested pod ports",), False)
    short = _resources(state, pod, node)
    if short is not None:
        return short
    if pod.claims:
        refusal = _volumes(state, pod, node, reading)
        if refusal is not None:
            return refusal
    reason, unresolvable = reading.spread.blocks(pod, node) if pod.spread else ("", False)
    if not reason:
        reason, unresolvable = reading.affinity.blocks(pod, node, state.namespaces)
    if reason:
        return Refusal((reason,), unresolvable)
    if reading.devices:
        reason = device_reason(state, pod, node)
        if reason:
            return Refusal((reason,), True)
    return None


def _volumes(state: ClusterState, pod: PodInfo, node: NodeInfo, reading: Reading) -> Refusal | None:
    """VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone."""
    if reading.alone:
        return Refusal((reading.alone,), False)
    full = volume_limit(state, pod, node)
    if full:
        return Refusal((full,), False)
    reasons = volume_reasons(state, pod, node)
    if reasons:
        return Refusal(reasons, True)
    return (
        Refusal(("node(s) had no available volume zone",), True) if zone_conflict(state, pod, node) else None
    )


def filter_with_promised(
    state: ClusterState, pod: PodInfo, node: NodeInfo, reading: Reading
) -> Refusal | None:
    """The filters, with and without pods of at least this priority that were promised room on the node."""
    promised = [
        other
        for other, name in state.nominated.values()
        if name == node.name and other.key != pod.key and other.priority >= pod.priority
    ]
    if promised:
        for other in promised:
            node.add(other)
        try:
            refusal = filter_node(state, pod, node, read(state, pod))
        finally:
            for other in promised:
                node.remove(other)
        if refusal is not None:
            return refusal
    return filter_node(state, pod, node, reading)


def _placement(pod: PodInfo, node: NodeInfo) -> str:
    """Why the node keeps the pod off whatever runs on it: NodeUnschedulable, NodeName, TaintToleration, NodeAffinity."""
    if node.unschedulable and not any(
        tolerates(toleration, _UNSCHEDULABLE) for toleration in pod.tolerations
    ):
        return "node(s) were unschedulable"
    wanted = pod.spec.get("nodeName")
    if wanted and wanted != node.name:
        return "node(s) didn't match the requested node name"
    if node.taints and untolerated(node.taints, pod.tolerations):
        return "node(s) had untolerated taint(s)"
    if pod.picky and not node_fits(pod.spec, node.name, node.labels):
        return "node(s) didn't match Pod's node affinity/selector"
    return ""


def _port_conflict(pod: PodInfo, node: NodeInfo) -> bool:
    taken = [port for other in node.pods.values() for port in other.ports]
    anywhere = "0.0.0.0"  # noqa: S104 - compared, not listened on
    return any(
        protocol == other_protocol
        and number == other_number
        and (ip == other_ip or anywhere in {ip, other_ip})
        for ip, protocol, number in pod.ports
        for other_ip, other_protocol, other_number in taken
    )


def _resources(state: ClusterState, pod: PodInfo, node: NodeInfo) -> Refusal | None:
    """NodeResourcesFit: every resource that is short, not the first (noderesources/fit.go fitsRequest)."""
    reasons: list[str] = []
    unresolvable = False
    offered = node.allocatable
    if len(node.pods) + 1 > offered.get("pods", 0):
        reasons.append("Too many pods")
    for name in ("cpu", "memory", "ephemeral-storage"):
        amount = pod.requests.get(name, 0)
        if amount > 0 and amount > offered.get(name, 0) - node.requested.get(name, 0):
            reasons.append(f"Insufficient {name}")
            unresolvable |= amount > offered.get(name, 0)
    for name, amount in pod.requests.items():
        if name in {"cpu", "memory", "ephemeral-storage"} or amount == 0:
            continue
        if state.extended and name in state.extended and not offered.get(name):
            continue  # A device class stands for it: the claims plugin looks for devices.
        if amount > offered.get(name, 0) - node.requested.get(name, 0):
            reasons.append(f"Insufficient {name}")
            unresolvable |= amount > offered.get(name, 0)
    return Refusal(tuple(reasons), unresolvable) if reasons else None
