"""Leases that say that kubelets live, and the status that they post every five minutes.

Renewals are written straight into the store: they are most of an idle cluster's writes, and nothing of them is validated,
admitted or owned by anybody else.

Source: kubernetes pkg/kubelet/kubelet.go (nodeLeaseRenewIntervalFraction: a quarter of 40 s), nodestatus (nodeStatusReportFrequency).
"""

from collections.abc import Collection

from stoker.lab.control.local import Local
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import Object, condition_of
from stoker.lab.nodes.shapes import machine_of
from stoker.lab.store import Key

__all__ = ["Heartbeats", "ready_conditions"]

_NAMESPACE = "kube-node-lease"
_SHELF = "leases.coordination.k8s.io"
_LEASE_S = 40
_STATUS_S = 300.0
# (type, status, reason, message) in the kubelet's words (pkg/kubelet/nodestatus/setters.go).
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


def ready_conditions(now: str) -> list[Object]:
    """Conditions of a node that is well."""
    return [
        {
            "type": kind,
            "status": status,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }
        for kind, status, reason, message in _CONDITIONS
    ]


class Heartbeats:
    """The heartbeats of all nodes."""

    def __init__(self, local: Local, caches: Caches, every_s: float) -> None:
        self._local = local
        self._nodes = caches("v1", "Node")
        self._every_s = every_s
        self._next_s = 0.0
        self._posted: dict[str, float] = {}

    def beat(self, down: Collection[str]) -> float:
        """Renew what is due; seconds until the next time."""
        cluster = self._local.cluster
        now = cluster.clock()
        seconds = now.timestamp()
        is_due = seconds >= self._next_s - 1e-6
        renewed = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for node in self._nodes.all():
            name = node["metadata"]["name"]
            if name in down or machine_of(node) is None:
                continue
            self._renew(node, renewed, is_due=is_due)
            ready = condition_of(node, "Ready")
            is_late = seconds - self._posted.setdefault(name, seconds) >= _STATUS_S
            if ready is None or ready["status"] != "True" or is_late:
                self._post(name)
                self._posted[name] = seconds
        if is_due:
            self._next_s = seconds + self._every_s
        return max(0.001, self._next_s - seconds)

    def _renew(self, node: Object, renewed: str, *, is_due: bool) -> None:
        name = node["metadata"]["name"]
        store = self._local.cluster.store
        key = Key(_SHELF, _NAMESPACE, name)
        found = store.get(key)
        if found is not None:
            lease = found.object()
            if is_due or lease["spec"].get("holderIdentity") != name:
                lease["spec"]["renewTime"] = renewed
                store.put(key, lease)
            return
        self._local.create(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {
                    "name": name,
                    "namespace": _NAMESPACE,
                    "ownerReferences": [
                        {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
                    ],
                },
                "spec": {"holderIdentity": name, "leaseDurationSeconds": _LEASE_S, "renewTime": renewed},
            }
        )

    def _post(self, name: str) -> None:
        """Post the node's conditions; those that changed say since when."""
        node = self._local.get("v1", "Node", "", name)
        if node is None:
            return
        now = self._local.cluster.now()
        conditions = node["status"].setdefault("conditions", [])
        was_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        for new in ready_conditions(now):
            before = next((one for one in conditions if one["type"] == new["type"]), None)
            if before is None:
                conditions.append(new)
            elif before["type"] == "MemoryPressure" and before["status"] == "True":
                before["lastHeartbeatTime"] = now
            else:
                since = before["lastTransitionTime"] if before["status"] == new["status"] else now
                before.update({**new, "lastTransitionTime": since})
        node = self._local.update_status(node)
        if not was_ready:
            record(
                self._local,
                node,
                "Normal",
                "NodeReady",
                f"Node {name} status is now: NodeReady",
                "kubelet",
                host=name,
            )
