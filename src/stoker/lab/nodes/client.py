"""What nodes and scheduler ask of the API beside plain reads and writes: bindings, conditions. Upstream's pod/util in short."""

import msgspec

from stoker.lab.api.call import Call, User
from stoker.lab.api.subresources import bind as bind_subresource
from stoker.lab.control.local import Local
from stoker.lab.controllers.objects import Object

__all__ = ["bind", "fresh", "set_condition"]

_encode = msgspec.json.Encoder().encode


def bind(local: Local, pod: Object, node: str) -> None:
    """Bind a pod to a node, as the scheduler does: a POST of a Binding.

    Raises:
        ApiError: it is bound already, is going, or is gone.
    """
    kind = local.kind("v1", "Pod")
    if kind is None:
        raise LookupError("pods are not served")
    metadata = pod["metadata"]
    body = _encode(
        {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "target": {"kind": "Node", "name": node},
        }
    )
    user = User(f"system:{local.manager}", ("system:masters", "system:authenticated"))
    call = Call(
        "create", kind.resource, metadata["namespace"], metadata["name"], kind.resource.subresource("binding"), {}, "",
        "application/json", body, user, local.manager,
    )  # fmt: skip
    bind_subresource(local.cluster, kind, call)


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

