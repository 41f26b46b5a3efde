"""Bind a pod to a node: a write of its own kind (registry/core/pod/storage setPodNodeAndMetadata).

It is neither validated as an update nor counted as a new generation, and nobody owns what it wrote.
"""

from stoker.lab.api.cluster import Cluster
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import conflict, not_found
from stoker.lab.store import Key

__all__ = ["bind_pod"]

_TOPOLOGY = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")


def bind_pod(cluster: Cluster, namespace: str, name: str, node: str, *, uid: str = "") -> None:
    """Write where a pod runs, and the topology labels of its node (admission plugin PodTopologyLabels).

    Args:
        cluster: where the pod is.
        namespace: of the pod.
        name: of the pod.
        node: its node's name.
        uid: of the pod that is meant; empty for whichever has the name.

    Raises:
        ApiError: it is bound already, is going, is another one, or is gone.
    """
    key = Key("pods", namespace, name)
    record = cluster.store.get(key)
    if record is None:
        raise not_found("", "pods", name)
    found = record.object()
    problem = _problem(found, name, uid)
    if problem:
        raise conflict("", "pods/binding", name, problem)
    found["spec"]["nodeName"] = node
    status = found.setdefault("status", {})
    status.pop("nominatedNodeName", None)
    place = cluster.get("nodes", "", node)
    known = ((place or {}).get("metadata") or {}).get("labels") or {}
    labels = {label: known[label] for label in _TOPOLOGY if label in known}
    if labels:
        found["metadata"]["labels"] = {**(found["metadata"].get("labels") or {}), **labels}
    _scheduled(status, cluster.now())
    cluster.store.put(key, found)


def _problem(found: Object, name: str, uid: str) -> str:
    metadata, spec = found["metadata"], found["spec"]
    if uid and metadata["uid"] != uid:
        return f"Precondition failed: UID in precondition: {uid}, UID in object meta: {metadata['uid']}"
    if metadata.get("deletionTimestamp"):
        return f"pod {name} is being deleted, cannot be assigned to a host"
    if spec.get("nodeName"):
        return f'pod {name} is already assigned to node "{spec["nodeName"]}"'
    if spec.get("schedulingGates"):
        return f"pod {name} has non-empty .spec.schedulingGates"
    return ""


def _scheduled(status: Object, now: str) -> None:
    conditions = status.setdefault("conditions", [])
    new = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    for index, old in enumerate(conditions):
        if old["type"] == "PodScheduled":
            conditions[index] = new
            return
    conditions.append(new)
