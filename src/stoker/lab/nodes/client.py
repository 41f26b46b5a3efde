"""What nodes and scheduler ask of the API beside plain reads and writes: bindings, conditions. Upstream's pod/util in short."""

from stoker.lab.control.local import Local
from stoker.lab.controllers.objects import Object
from stoker.lab.status import conflict, not_found
from stoker.lab.store import Key

__all__ = ["bind", "fresh", "set_condition"]


def bind(local: Local, pod: Object, node: str, labels: Object) -> None:
    """Bind a pod to a node, as the binding subresource does (registry/core/pod/storage setPodNodeAndMetadata).

    It is a write of its own kind: it is neither validated as an update nor counted as a new generation, and nobody owns what it
    wrote.

    Args:
        local: of the scheduler.
        pod: that waits.
        node: its name.
        labels: topology labels of the node, which the pod gets (admission plugin PodTopologyLabels).

    Raises:
        ApiError: it is bound already, is going, is another one, or is gone.
    """
    metadata = pod["metadata"]
    name = metadata["name"]
    key = Key("pods", metadata["namespace"], name)
    record = local.cluster.store.get(key)
    if record is None:
        raise not_found("", "pods", name)
    found = record.object()
    problem = ""
    if found["metadata"]["uid"] != metadata["uid"]:
        problem = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {found['metadata']['uid']}"
    elif found["metadata"].get("deletionTimestamp"):
        problem = f"pod {name} is being deleted, cannot be assigned to a host"
    elif found["spec"].get("nodeName"):
        problem = f'pod {name} is already assigned to node "{found["spec"]["nodeName"]}"'
    elif found["spec"].get("schedulingGates"):
        problem = f"pod {name} has non-empty .spec.schedulingGates"
    if problem:
        raise conflict("", "pods/binding", name, problem)
    found["spec"]["nodeName"] = node
    status = found.setdefault("status", {})
    status.pop("nominatedNodeName", None)
    if labels:
        found["metadata"]["labels"] = {**(found["metadata"].get("labels") or {}), **labels}
    set_condition(status, {"type": "PodScheduled", "status": "True"}, local.cluster.now())
    local.cluster.store.put(key, found)


def fresh(local: Local, pod: Object) -> Object | None:
    """The newest version of a pod; None where it is gone or another one has its name."""
    metadata = pod["metadata"]
    found = local.get("v1", "Pod", metadata["namespace"], metadata["name"])
    return found if found is not None and found["metadata"]["uid"] == metadata["uid"] else None


def set_condition(status: Object, condition: Object, at: str) -> bool:
    """Put a condition into a status (podutil.UpdatePodCondition); whether anything changed."""
    conditions: list[Object] = status.setdefault("conditions", [])
    for index, one in enumerate(conditions):
        if one["type"] != condition["type"]:
            continue
        time = one.get("lastTransitionTime") if one["status"] == condition["status"] else at
        new = {"lastProbeTime": None, **condition, "lastTransitionTime": time}
        if {key: value for key, value in one.items() if value is not None} == {
            key: value for key, value in new.items() if value is not None
        }:
            return False
        conditions[index] = new
        return True
    conditions.append({"lastProbeTime": None, **condition, "lastTransitionTime": at})
    return True
