"""Pods that nobody will ever finish: on nodes that are gone, deleted before they had one, and too many that are over.

Source: kubernetes pkg/controller/podgc/gc_controller.go.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.objects import Object, condition_of, is_ready, is_terminal
from stoker.lab.store import Change

__all__ = ["PodGC", "surplus"]

# --terminated-pod-gc-threshold, and quarantineTime: how long a node may be missing before its pods are given up.
_MOST_TERMINATED = 12_500
_QUARANTINE_S = 40.0
_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
_ALL: Target = ("", "")
_NODE_GONE = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "DeletionByPodGC",
    "message": "PodGC: node no longer exists",
}


def surplus(pods: Iterable[Object], most: int = _MOST_TERMINATED) -> list[Object]:
    """Finished pods beyond the limit: evicted ones first, then the oldest."""
    over = [pod for pod in pods if is_terminal(pod)]
    if len(over) <= most:
        return []
    over.sort(
        key=lambda pod: (
            not _is_evicted(pod),
            pod["metadata"].get("creationTimestamp", ""),
            pod["metadata"]["name"],
        )
    )
    return over[: len(over) - most]


def _is_evicted(pod: Object) -> bool:
    status = pod.get("status") or {}
    return status.get("phase") == "Failed" and status.get("reason") == "Evicted"


class PodGC:
    """The pod garbage collector. It looks at everything at once."""

    name = "podgc"
    shelves: Sequence[str] = ("pods", "nodes")

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._pods = caches.pods
        self._nodes = caches("v1", "Node")
        self._caches = caches
        self._missing: dict[str, datetime] = {}

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == "nodes":
            return [_ALL]
        if change.is_delete:
            return ()
        pod = self._caches.now_and_before(change)[0]
        node = pod["spec"].get("nodeName")
        is_going = bool(pod["metadata"].get("deletionTimestamp"))
        needs_look = (
            (is_going and not node)
            or (is_terminal(pod) and len(self._pods) > _MOST_TERMINATED)
            or (node and (is_going or self._nodes.get("", node) is None))
        )
        return [_ALL] if needs_look else ()

    def reconcile(self, target: Target) -> float | None:  # noqa: ARG002 - it looks at everything
        now = self._local.cluster.clock()
        gone = self._gone_nodes(now)
        if len(self._pods) > _MOST_TERMINATED:
            for pod in surplus(self._pods.all()):
                self._local.delete(pod, gracePeriodSeconds=0)
        for pod in self._pods.all():
            node = pod["spec"].get("nodeName")
            if node in gone:
                self._give_up(pod, _NODE_GONE)
            elif pod["metadata"].get("deletionTimestamp") and (not node or self._is_out_of_service(node)):
                self._give_up(pod, None)
        left = [since for name, since in self._missing.items() if name not in gone]
        waits = [_QUARANTINE_S - (now - since).total_seconds() for since in left]
        return max(0.0, min(waits)) if waits else None

    def _gone_nodes(self, now: datetime) -> set[str]:
        """Nodes that pods name and that have been missing for long enough."""
        named = {pod["spec"]["nodeName"] for pod in self._pods.all() if pod["spec"].get("nodeName")}
        missing = {name for name in named if self._nodes.get("", name) is None}
        self._missing = {name: self._missing.get(name, now) for name in missing}
        return {
            name for name, since in self._missing.items() if (now - since).total_seconds() >= _QUARANTINE_S
        }

    def _is_out_of_service(self, name: str) -> bool:
        node = self._nodes.get("", name)
        if node is None or is_ready(node):
            return False
        return any(taint["key"] == _OUT_OF_SERVICE for taint in node["spec"].get("taints") or ())

    def _give_up(self, pod: Object, condition: Object | None) -> None:
        metadata = pod["metadata"]
        fresh = self._local.get("v1", "Pod", metadata["namespace"], metadata["name"])
        if fresh is None or fresh["metadata"]["uid"] != metadata["uid"]:
            return
        if not is_terminal(fresh):
            status = fresh.setdefault("status", {})
            status["phase"] = "Failed"
            generation = fresh["metadata"].get("generation")
            if generation and status.get("observedGeneration") is not None:
                status["observedGeneration"] = generation
            if condition is not None:
                self._set_condition(fresh, condition)
            fresh = self._local.update_status(fresh)
        self._local.delete(fresh, gracePeriodSeconds=0)

    def _set_condition(self, pod: Object, condition: Object) -> None:
        before = condition_of(pod, condition["type"])
        new = {**condition, "lastTransitionTime": self._local.cluster.now()}
        if before is not None and before["status"] == new["status"]:
            new["lastTransitionTime"] = before.get("lastTransitionTime", new["lastTransitionTime"])
        others = [one for one in pod["status"].get("conditions") or () if one["type"] != condition["type"]]
        pod["status"]["conditions"] = [*others, new]
