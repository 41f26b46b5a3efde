"""The node lifecycle controller: conditions become taints, and nodes that fall silent are marked and tainted.

Source: kubernetes pkg/controller/nodelifecycle/node_lifecycle_controller.go and its config's defaults for 1.36: a node is given
up 50 s after its last heartbeat (40 s before 1.32), NoExecute taints are added to one node in 10 s a zone, more slowly or not
at all where most of a zone is gone, and not at all where all zones are.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import Object, condition_of
from stoker.lab.nodes.client import fresh, set_condition
from stoker.lab.store import Change, Key

__all__ = ["NodeLifecycle", "condition_taints"]

_COMPONENT = "node-controller"
_MONITOR: Target = ("", "*monitor")
_MONITOR_S = 5.0
_GRACE_S, _STARTUP_S = 50.0, 60.0
_PER_NODE_S, _PER_NODE_PARTIAL_S = 10.0, 100.0
_LARGE, _UNHEALTHY = 50, 0.55
_NOT_READY, _UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
_TAINTS = {
    ("Ready", "False"): _NOT_READY,
    ("Ready", "Unknown"): _UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
}
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_OURS = frozenset((*_TAINTS.values(), _UNSCHEDULABLE))
_WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


def condition_taints(node: Object) -> list[str]:
    """Keys of the NoSchedule taints that a node's conditions and its cordon mean."""
    found = [
        _TAINTS[one["type"], one["status"]]
        for one in (node.get("status") or {}).get("conditions") or ()
        if (one["type"], one["status"]) in _TAINTS
    ]
    return [*found, _UNSCHEDULABLE] if (node.get("spec") or {}).get("unschedulable") else found


class NodeLifecycle:
    """Targets are nodes, and the monitor that looks at all of them."""

    name = "node-lifecycle"
    shelves: Sequence[str] = ("nodes",)

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._pods = caches.pods
        self._nodes = caches("v1", "Node")
        self._known: set[str] = set()
        self._next_taint_s: dict[str, float] = {}
        self._all_gone = False

    def targets(self, change: Change) -> Iterable[Target]:
        found = [("", change.key.name)]
        if change.before is None and not change.is_delete:
            found.append(_MONITOR)
        return found

    def reconcile(self, target: Target) -> float | None:
        if target == _MONITOR:
            return self._monitor()
        node = self._nodes.get("", target[1])
        if node is None:
            self._known.discard(target[1])
            return None
        if target[1] not in self._known:
            self._known.add(target[1])
            self._say(node, "Normal", "RegisteredNode", f"Registered Node {target[1]} in Controller")
        self._taint(node)
        return None

    def _say(self, node: Object, kind: str, reason: str, text: str) -> None:
        name = node["metadata"]["name"]
        record(self._local, node, kind, reason, f"Node {name} event: {text}", _COMPONENT)

    # --- taints ---------------------------------------------------------------------------------------------------

    def _taint(self, node: Object) -> None:
        """NoSchedule taints as the conditions have them; those of others stay."""
        wanted = condition_taints(node)
        taints = node["spec"].get("taints") or []
        ours = [one["key"] for one in taints if one["effect"] == "NoSchedule" and one["key"] in _OURS]
        if sorted(ours) == sorted(wanted):
            return
        new = self._local.get("v1", "Node", "", node["metadata"]["name"])
        if new is None:
            return
        taints = new["spec"].get("taints") or []
        kept = [
            one
            for one in taints
            if one["effect"] != "NoSchedule" or one["key"] not in _OURS or one["key"] in wanted
        ]
        there = {one["key"] for one in kept if one["effect"] == "NoSchedule"}
        self._set_taints(new, kept + [self._made(key, "NoSchedule") for key in wanted if key not in there])

    def _made(self, key: str, effect: str) -> Object:
        return {"key": key, "effect": effect, "timeAdded": self._local.cluster.now()}

    def _set_taints(self, node: Object, taints: list[Object]) -> None:
        if taints:
            node["spec"]["taints"] = taints
        else:
            node["spec"].pop("taints", None)
        self._local.update(node)

    def _set_no_execute(self, name: str, key: str | None) -> None:
        """Of the two taints of silence a node has one, or none."""
        node = self._local.get("v1", "Node", "", name)
        if node is None:
            return
        taints = node["spec"].get("taints") or []
        kept = [
            one
            for one in taints
            if one["effect"] != "NoExecute"
            or one["key"] not in {_NOT_READY, _UNREACHABLE}
            or one["key"] == key
        ]
        has = any(one["effect"] == "NoExecute" and one["key"] == key for one in kept)
        new = kept if key is None or has else [*kept, self._made(key, "NoExecute")]
        if new != taints:
            self._set_taints(node, new)

    # --- heartbeats -----------------------------------------------------------------------------------------------

    def _monitor(self) -> float | None:
        nodes = list(self._nodes.all())
        if not nodes:
            return None
        now = self._local.cluster.clock()
        zones: dict[str, list[tuple[Object, str]]] = {}
        for node in nodes:
            status = self._health(node, now)
            labels = node["metadata"].get("labels") or {}
            zone = labels.get("topology.kubernetes.io/zone", "")
            zones.setdefault(zone, []).append((node, status))
        was_gone, self._all_gone = (
            self._all_gone,
            all(status != "True" for every in zones.values() for _, status in every),
        )
        for zone, every in zones.items():
            self._evict_zone(zone, every, now.timestamp(), is_held=self._all_gone or was_gone)
        return _MONITOR_S

    def _evict_zone(self, zone: str, every: list[tuple[Object, str]], now: float, *, is_held: bool) -> None:
        unhealthy = [one for one in every if one[1] != "True"]
        pause: float | None = _PER_NODE_S
        if len(unhealthy) < len(every) and len(unhealthy) > 2 and len(unhealthy) / len(every) >= _UNHEALTHY:
            pause = _PER_NODE_PARTIAL_S if len(every) > _LARGE else None
        for node, status in every:
            name = node["metadata"]["name"]
            has = {one["key"] for one in node["spec"].get("taints") or () if one["effect"] == "NoExecute"}
            if status == "True" or is_held:
                if has & {_NOT_READY, _UNREACHABLE}:
                    self._set_no_execute(name, None)
                continue
            key = _UNREACHABLE if status == "Unknown" else _NOT_READY
            if key in has:
                continue
            if has & {_NOT_READY, _UNREACHABLE}:
                self._set_no_execute(name, key)
            elif pause is not None and now >= self._next_taint_s.get(zone, 0.0):
                self._set_no_execute(name, key)
                self._next_taint_s[zone] = now + pause

    def _health(self, node: Object, now: datetime) -> str:
        """The node's Ready status, after it was set to Unknown where nobody has heard of it."""
        ready = condition_of(node, "Ready")
        name = node["metadata"]["name"]
        lease = self._local.cluster.store.get(Key("leases.coordination.k8s.io", "kube-node-lease", name))
        heard = [node["metadata"]["creationTimestamp"]]
        if ready is not None and ready.get("lastHeartbeatTime"):
            heard.append(ready["lastHeartbeatTime"])
        if lease is not None:
            heard.append(lease.object()["spec"].get("renewTime") or heard[0])
        last = max(datetime.fromisoformat(one) for one in heard)
        grace = _GRACE_S if ready is not None else _STARTUP_S
        if (now - last).total_seconds() <= grace:
            # A node that is new and has said nothing yet is left alone.
            return str(ready["status"]) if ready is not None else "True"
        if ready is None or ready["status"] != "Unknown":
            self._give_up(name, was_ready=ready is not None and ready["status"] == "True")
        return "Unknown"

    def _give_up(self, name: str, *, was_ready: bool) -> None:
        node = self._local.get("v1", "Node", "", name)
        if node is None:
            return
        now = self._local.cluster.now()
        conditions = node.setdefault("status", {}).setdefault("conditions", [])
        for kind in _WATCHED:
            found = next((one for one in conditions if one["type"] == kind), None)
            if found is None:
                conditions.append(
                    {
                        "type": kind,
                        "status": "Unknown",
                        "lastHeartbeatTime": node["metadata"]["creationTimestamp"],
                        "lastTransitionTime": now,
                        "reason": "NodeStatusNeverUpdated",
                        "message": "Kubelet never posted node status.",
                    }
                )
            elif found["status"] != "Unknown":
                found |= {
                    "status": "Unknown",
                    "lastTransitionTime": now,
                    "reason": "NodeStatusUnknown",
                    "message": "Kubelet stopped posting node status.",
                }
        node = self._local.update_status(node)
        if was_ready:
            text = f"Node {name} status is now: NodeNotReady"
            record(self._local, node, "Normal", "NodeNotReady", text, _COMPONENT)
            self._mark_pods(name)

    def _mark_pods(self, name: str) -> None:
        """Pods of a silent node are not ready: nobody routes to them (MarkPodsNotReady)."""
        for pod in list(self._pods.all()):
            ready = condition_of(pod, "Ready")
            if pod["spec"].get("nodeName") != name or ready is None or ready["status"] == "False":
                continue
            new = fresh(self._local, pod)
            if new is None:
                continue
            if set_condition(new["status"], {**ready, "status": "False"}, self._local.cluster.now()):
                self._local.update_status(new)
            record(self._local, new, "Warning", "NodeNotReady", "Node is not ready", _COMPONENT)
