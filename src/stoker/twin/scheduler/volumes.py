"""Volumes: whether a pod's claims are bound, or can be, where a node is, and whether the node can have them.

Sources: kubernetes 1.36 pkg/scheduler/framework/plugins/{volumerestrictions,nodevolumelimits,volumebinding,volumezone}.
Left out: disks named in pods, and in-tree volumes that are translated to CSI.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.kube.quantities import parse
from stoker.kube.selectors import matches
from stoker.twin.scheduler.matching import asked, class_of, matching_volume, reaches, waits_for_pod
from stoker.twin.scheduler.pods import PodInfo, parse_pod
from stoker.twin.scheduler.state import ClaimKey, ClusterState, NodeInfo

__all__ = ["alone", "bind_volumes", "volume_limit", "volume_problem", "volume_reasons", "zone_conflict"]

Object = Mapping[str, Any]

_NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"
_SELECTED: Final = "volume.kubernetes.io/selected-node"
_ZONES: Final = (
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
)
_IN_USE: Final = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"


def volume_problem(state: ClusterState, pod: PodInfo) -> str:
    """Why the pod cannot run on any node: a claim that is missing, lost, or waits for a volume of its own accord."""
    for name in pod.claims:
        if name not in pod.ephemeral and (pod.namespace, name) not in state.claims:
            return f'persistentvolumeclaim "{name}" not found'
    for name in pod.claims:
        claim = state.claims.get((pod.namespace, name))
        if claim is None:
            return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
        if (claim.get("status") or {}).get("phase") == "Lost":
            return (
                f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume '
                f'"{claim["spec"].get("volumeName") or ""}"'
            )
        if claim["metadata"].get("deletionTimestamp"):
            return f'persistentvolumeclaim "{name}" is being deleted'
    return _unbound(state, pod)


def _unbound(state: ClusterState, pod: PodInfo) -> str:
    """A claim that is not bound and waits for no pod, or is bound to nothing."""
    for key, claim in _claims(state, pod):
        waits = waits_for_pod(claim, state.classes) and not claim["spec"].get("volumeName")
        if key not in state.bindings and not waits:
            return "pod has unbound immediate PersistentVolumeClaims"
    for key, _ in _claims(state, pod):
        volume = state.bindings.get(key)
        if volume is not None and volume not in state.volumes:
            return f'persistentvolume "{volume}" not found'
    return ""


def _claims(state: ClusterState, pod: PodInfo) -> Iterator[tuple[ClaimKey, Object]]:
    for name in pod.claims:
        yield (pod.namespace, name), state.claims[pod.namespace, name]


def alone(state: ClusterState, pod: PodInfo) -> str:
    """Why the pod has to wait for another one that uses a claim that only one pod may use."""
    for key, claim in _claims(state, pod):
        if "ReadWriteOncePod" in (claim["spec"].get("accessModes") or ()) and any(
            other.namespace == key[0] and key[1] in other.claims
            for node in state.nodes.values()
            for other in node.pods.values()
        ):
            return _IN_USE
    return ""


def volume_limit(state: ClusterState, pod: PodInfo, node: NodeInfo) -> str:
    """Why the node cannot attach the pod's volumes as well."""
    limits = {
        driver["name"]: int(driver["allocatable"]["count"])
        for driver in ((state.csi_nodes.get(node.name) or {}).get("spec") or {}).get("drivers") or ()
        if (driver.get("allocatable") or {}).get("count") is not None
    }
    if not limits:
        return ""
    attached = {each for other in node.pods.values() if other.claims for each in _attached(state, other)}
    new = {each for each in _attached(state, pod) if each not in attached}
    for name, most in limits.items():
        more = sum(driver == name for driver, _ in new)
        if more and more + sum(driver == name for driver, _ in attached) > most:
            return "node(s) exceed max volume count"
    return ""


def _attached(state: ClusterState, pod: PodInfo) -> Iterator[tuple[str, str]]:
    """Driver and handle of the pod's CSI volumes; one that is not there yet has a handle of its own."""
    for name in pod.claims:
        key = (pod.namespace, name)
        claim = state.claims.get(key)
        volume = state.volumes.get(state.bindings.get(key, ""))
        csi = volume["spec"].get("csi") if volume is not None else None
        if csi:
            yield csi["driver"], csi["volumeHandle"]
        elif volume is None and claim is not None:
            provisioner = (state.classes.get(class_of(claim, state.classes)) or {}).get("provisioner")
            if provisioner:
                yield provisioner, f"{pod.namespace}/{name}"


def volume_reasons(state: ClusterState, pod: PodInfo, node: NodeInfo) -> tuple[str, ...]:
    """Why the pod's volumes cannot be reached or made from the node; empty where they can (binder.go FindPodVolumes)."""
    bound = [state.volumes[state.bindings[key]] for key, _ in _claims(state, pod) if key in state.bindings]
    reasons = []
    if not all(reaches(volume, node.name, node.labels) for volume in bound):
        reasons.append("node(s) didn't match PersistentVolume's node affinity")
    _, reason = _found(state, pod, node)
    return (*reasons, reason) if reason else tuple(reasons)


def _found(state: ClusterState, pod: PodInfo, node: NodeInfo) -> tuple[dict[ClaimKey, str], str]:
    """Volumes for claims that wait for a pod, empty for one to be made; and why that is not possible from the node."""
    found: dict[ClaimKey, str] = {}
    taken = set(state.bindings.values())
    none = "node(s) didn't find available persistent volumes to bind"
    waiting = [(key, claim) for key, claim in _claims(state, pod) if key not in state.bindings]
    for key, claim in sorted(waiting, key=lambda each: asked(each[1])):
        place = state.selected.get(key) or (claim["metadata"].get("annotations") or {}).get(_SELECTED)
        if place and place != node.name:
            return {}, none
        volume = None
        if not place:
            volume = matching_volume(claim, state.volumes, state.classes, taken, (node.name, node.labels))
        if volume is not None:
            taken.add(volume)
        elif not _provisioned(state, claim, node):
            return {}, none
        elif not _roomy(state, claim, node):
            return {}, "node(s) did not have enough free storage"
        found[key] = volume or ""
    return found, ""


def _provisioned(state: ClusterState, claim: Object, node: NodeInfo) -> bool:
    """Whether a volume can be made for the claim where the node is."""
    found = state.classes.get(class_of(claim, state.classes)) or {}
    if found.get("provisioner", _NO_PROVISIONER) == _NO_PROVISIONER:
        return False
    terms = found.get("allowedTopologies") or ()
    return not terms or any(
        all(
            node.labels.get(each["key"]) in each["values"] for each in term.get("matchLabelExpressions") or ()
        )
        for term in terms
    )


def _roomy(state: ClusterState, claim: Object, node: NodeInfo) -> bool:
    """Whether the driver has room, where it says how much it has (binder.go hasEnoughCapacity)."""
    name = class_of(claim, state.classes)
    driver = state.csi_drivers.get(state.classes[name]["provisioner"]) or {}
    if not (driver.get("spec") or {}).get("storageCapacity"):
        return True
    return any(
        capacity["storageClassName"] == name
        and (parse(capacity.get("maximumVolumeSize") or capacity.get("capacity") or "0") or 0) >= asked(claim)
        and matches(capacity.get("nodeTopology"), node.labels)
        for capacity in state.capacities
    )


def zone_conflict(state: ClusterState, pod: PodInfo, node: NodeInfo) -> bool:
    """Whether a bound volume is labelled with another zone or region than the node."""
    if not any(label in node.labels for label in _ZONES):
        return False
    for key, _ in _claims(state, pod):
        volume = state.volumes.get(state.bindings.get(key, "")) or {"metadata": {}}
        labels = volume["metadata"].get("labels") or {}
        for label in _ZONES:
            if label in labels:
                newer = f"topology.kubernetes.io/{label.rpartition('/')[2]}"
                there = node.labels.get(label, node.labels.get(newer))
                if there not in labels[label].split("__"):
                    return True
    return False


def bind_volumes(state: ClusterState, pod: Object, node: str) -> None:
    """A pod was put on a node: claims that waited for it are bound to volumes there, or made there."""
    info = parse_pod(pod)
    if not info.claims or any((info.namespace, name) not in state.claims for name in info.claims):
        return
    for key, volume in _found(state, info, state.nodes[node])[0].items():
        if volume:
            state.bindings[key] = volume
        else:
            state.selected[key] = node
