"""VolumeBinding: whether a pod's claims are bound, or can be, where a node is (plugins/volumebinding)."""

from collections.abc import Mapping
from typing import Any

from stoker.kube.quantities import parse
from stoker.kube.selectors import node_fits
from stoker.twin.scheduler.pods import PodInfo
from stoker.twin.scheduler.state import ClusterState, NodeInfo

__all__ = ["claims_problem", "volume_reason"]

Object = Mapping[str, Any]

_NO_PROVISIONER = "kubernetes.io/no-provisioner"


def claims_problem(state: ClusterState, pod: PodInfo) -> str:
    """Why the pod cannot run on any node: a claim that is missing, lost, or waits for a volume of its own accord."""
    for name in pod.claims:
        claim = state.claims.get((pod.namespace, name))
        if claim is None:
            return f'persistentvolumeclaim "{name}" not found'
        if claim["metadata"].get("deletionTimestamp"):
            return f'persistentvolumeclaim "{name}" is being deleted'
        if (claim.get("status") or {}).get("phase") == "Lost":
            return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{_volume_name(claim)}"'
        if not _volume_name(claim) and not _waits_for_pod(state, claim):
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def volume_reason(state: ClusterState, pod: PodInfo, node: NodeInfo) -> str:
    """Why the node does not do; empty where it does."""
    taken: set[str] = {_volume_name(claim) for claim in state.claims.values()}
    for name in pod.claims:
        claim = state.claims[pod.namespace, name]
        volume = state.volumes.get(_volume_name(claim))
        if volume is not None:
            if not _reaches(volume, node):
                return "node(s) didn't match PersistentVolume's node affinity"
            continue
        found = _available(state, claim, node, taken)
        if found is not None:
            taken.add(found)
        elif not _provisioned(state, claim):
            return "node(s) didn't find available persistent volumes to bind"
    return ""


def _volume_name(claim: Object) -> str:
    return str((claim.get("spec") or {}).get("volumeName") or "")


def _class_name(claim: Object) -> str:
    return str((claim.get("spec") or {}).get("storageClassName") or "")


def _waits_for_pod(state: ClusterState, claim: Object) -> bool:
    found = state.classes.get(_class_name(claim)) or {}
    return bool(found.get("volumeBindingMode") == "WaitForFirstConsumer")


def _provisioned(state: ClusterState, claim: Object) -> bool:
    found = state.classes.get(_class_name(claim)) or {}
    return bool(found.get("provisioner", _NO_PROVISIONER) != _NO_PROVISIONER)


def _reaches(volume: Object, node: NodeInfo) -> bool:
    required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
    if not required:
        return True
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    return node_fits({"affinity": affinity}, node.name, node.labels)


def _available(state: ClusterState, claim: Object, node: NodeInfo, taken: set[str]) -> str | None:
    """The smallest free volume that the claim could be bound to from this node."""
    wanted = claim["spec"]
    least = parse(((wanted.get("resources") or {}).get("requests") or {}).get("storage", "0")) or 0
    fitting = []
    for name, volume in state.volumes.items():
        spec = volume["spec"]
        size = parse((spec.get("capacity") or {}).get("storage", "0")) or 0
        if (
            name not in taken
            and not spec.get("claimRef")
            and (spec.get("storageClassName") or "") == _class_name(claim)
            and set(wanted.get("accessModes") or ()) <= set(spec.get("accessModes") or ())
            and size >= least
            and _reaches(volume, node)
        ):
            fitting.append((size, name))
    return min(fitting)[1] if fitting else None
