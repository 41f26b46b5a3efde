"""What nodes and scheduler ask of the API beside plain reads and writes: conditions. Upstream's pod/util in short."""

from stoker.lab.control.local import Local
from stoker.lab.controllers.objects import Object

__all__ = ["fresh", "set_condition"]


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
