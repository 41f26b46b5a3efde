"""Whether a kubelet takes a pod that somebody bound to its node. Pure.

Sources: kubernetes pkg/kubelet/lifecycle/predicate.go, pkg/kubelet/cm/devicemanager/manager.go (the allocation of devices is
asked first), pkg/kubelet/cm/admission/errors.go.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stoker.kube.selectors import node_fits, tolerates
from stoker.twin.scheduler.requests import requests_of, resources_of

__all__ = ["Rejection", "rejection"]

Object = dict[str, Any]

_WORDS = {"cpu": "cpu", "memory": "memory", "ephemeral-storage": "ephemeral-storage", "pods": "pods"}


@dataclass(frozen=True, slots=True)
class Rejection:
    """Reason and message of the event; the status says "Pod was rejected: " before the message."""

    reason: str
    message: str


def rejection(
    pod: Object, node: Object, others: Iterable[Mapping[str, int]], devices: Iterable[str]
) -> Rejection | None:
    """Why the node does not take the pod; None where it does.

    Args:
        pod: bound to the node.
        node: as it is now.
        others: requests of the pods that it has.
        devices: resources that its device plugins have.
    """
    allocatable = resources_of((node.get("status") or {}).get("allocatable"))
    used: dict[str, int] = {}
    count = 0
    for requests in others:
        count += 1
        for name, amount in requests.items():
            used[name] = used.get(name, 0) + amount
    requested = requests_of(pod["spec"])[0]
    short = _devices(requested, used, allocatable, devices)
    if short is not None:
        return short
    if count + 1 > allocatable.get("pods", 0):
        return _out_of("pods", 1, count, allocatable)
    for name in ("cpu", "memory", "ephemeral-storage"):
        amount = requested.get(name, 0)
        if amount > 0 and amount > allocatable.get(name, 0) - used.get(name, 0):
            return _out_of(name, amount, used.get(name, 0), allocatable)
    for name, amount in requested.items():
        # An extended resource that the node does not know is nobody's to refuse.
        if name in _WORDS or name not in allocatable:
            continue
        if amount > allocatable[name] - used.get(name, 0):
            return _out_of(name, amount, used.get(name, 0), allocatable)
    return _placement(pod, node)


def _devices(
    requested: Mapping[str, int],
    used: Mapping[str, int],
    allocatable: Mapping[str, int],
    names: Iterable[str],
) -> Rejection | None:
    """Devices are allocated before anything else is asked."""
    for name in names:
        wanted = requested.get(name, 0)
        free = allocatable.get(name, 0) - used.get(name, 0)
        if wanted > free:
            problem = f"requested number of devices unavailable for {name}. Requested: {wanted}, Available: {max(0, free)}"
            return Rejection(
                "UnexpectedAdmissionError", f"Allocate failed due to {problem}, which is unexpected"
            )
    return None


def _out_of(name: str, requested: int, used: int, allocatable: Mapping[str, int]) -> Rejection:
    return Rejection(
        f"OutOf{name}",
        f"Node didn't have enough resource: {name}, requested: {requested}, used: {used}, "
        f"capacity: {allocatable.get(name, 0)}",
    )


def _placement(pod: Object, node: Object) -> Rejection | None:
    spec, metadata = pod["spec"], node["metadata"]
    if not node_fits(spec, metadata["name"], metadata.get("labels") or {}):
        return Rejection(
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        )
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint.get("effect") == "NoExecute" and not any(
            tolerates(one, taint) for one in spec.get("tolerations") or ()
        ):
            return Rejection(
                "TaintToleration",
                "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate",
            )
    return None
