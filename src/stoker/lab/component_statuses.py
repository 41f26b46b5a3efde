"""ComponentStatus of the core group: what the server says of the parts of its control plane; clients list it still.

Source: kubernetes pkg/registry/core/componentstatus/rest.go. The lab's scheduler, controllers and store live in the process that
answers, so they are well whenever it does.
"""

from stoker.lab.api.call import Call
from stoker.lab.api.cluster import Cluster
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import internal

__all__ = ["serve_component_statuses"]

_PARTS = ("controller-manager", "etcd-0", "scheduler")


def serve_component_statuses(cluster: Cluster) -> None:
    """Answer reads of the kind."""
    cluster.answers["componentstatuses"] = _answer


def _answer(call: Call) -> Object:
    if not call.name:
        items = [_status(name) for name in _PARTS]
        return {"kind": "ComponentStatusList", "apiVersion": "v1", "metadata": {}, "items": items}
    if call.name not in _PARTS:
        raise internal(f"Component not found: {call.name}")
    return {"kind": "ComponentStatus", "apiVersion": "v1", **_status(call.name)}


def _status(name: str) -> Object:
    return {
        "metadata": {"name": name},
        "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}],
    }
