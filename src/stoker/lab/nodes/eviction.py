"""Taint-based eviction: pods leave nodes whose NoExecute taints they do not tolerate, or when they have tolerated them enough.

Source: kubernetes pkg/controller/tainteviction/taint_eviction.go.
"""

from collections.abc import Iterable, Sequence

from stoker.kube.selectors import tolerates
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import Object
from stoker.lab.nodes.client import fresh, set_condition
from stoker.lab.status import ApiError
from stoker.lab.store import Change

__all__ = ["TaintEviction", "tolerated_s"]

Place = tuple[str, str]

_COMPONENT = "taint-eviction-controller"


def tolerated_s(taints: Sequence[Object], tolerations: Sequence[Object]) -> float | None:
    """For how long a pod tolerates all taints: 0 where it does not, None for ever."""
    used: list[Object] = []
    for taint in taints:
        found = [one for one in tolerations if tolerates(one, taint)]
        if not found:
            return 0.0
        # helper.GetMatchingTolerations: the first that fits each taint.
        used.append(found[0])
    limits = [
        max(0.0, float(one["tolerationSeconds"])) for one in used if one.get("tolerationSeconds") is not None
    ]
    return min(limits) if limits else None


class TaintEviction:
    """Targets are pods on tainted nodes."""

    name = "taint-eviction"
    shelves: Sequence[str] = ("nodes", "pods")

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._pods = caches.pods
        self._nodes = caches("v1", "Node")
        # Since when each pod of a tainted node tolerates what is there.
        self._since: dict[Place, float] = {}
        self._tainted: set[str] = set()

    def targets(self, change: Change) -> Iterable[Target]:
        place = (change.key.namespace, change.key.name)
        if change.key.resource == "pods":
            pod = self._pods.get(*place)
            if pod is None:
                self._since.pop(place, None)
                return ()
            return [place] if pod["spec"].get("nodeName") in self._tainted or place in self._since else ()
        node = self._nodes.get("", change.key.name)
        is_tainted = node is not None and bool(_no_execute(node))
        was_tainted = change.key.name in self._tainted
        if is_tainted:
            self._tainted.add(change.key.name)
        else:
            self._tainted.discard(change.key.name)
        if not (is_tainted or was_tainted):
            return ()
        return [
            (pod["metadata"]["namespace"], pod["metadata"]["name"])
            for pod in self._pods.all()
            if pod["spec"].get("nodeName") == change.key.name
        ]

    def reconcile(self, target: Target) -> float | None:
        pod = self._pods.get(*target)
        node = self._nodes.get("", pod["spec"].get("nodeName", "")) if pod is not None else None
        taints = _no_execute(node) if node is not None else []
        if pod is None or not taints or pod["metadata"].get("deletionTimestamp"):
            if self._since.pop(target, None) is not None and pod is not None and not taints:
                self._say(pod, "Cancelling deletion of")
            return None
        allowed = tolerated_s(taints, pod["spec"].get("tolerations") or ())
        if allowed is None:
            if self._since.pop(target, None) is not None:
                self._say(pod, "Cancelling deletion of")
            return None
        now = self._local.cluster.clock().timestamp()
        left = self._since.setdefault(target, now) + allowed - now
        if allowed > 0 and left > 0:
            return max(left, 0.001)
        self._since.pop(target, None)
        self._evict(pod)
        return None

    def _evict(self, pod: Object) -> None:
        self._say(pod, "Marking for deletion")
        new = fresh(self._local, pod)
        if new is None:
            return
        condition = {
            "type": "DisruptionTarget",
            "observedGeneration": int(new["metadata"].get("generation") or 0),
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
        }
        try:
            if set_condition(new.setdefault("status", {}), condition, self._local.cluster.now()):
                new = self._local.update_status(new)
            self._local.delete(new)
        except ApiError as error:
            if error.code != 404:
                raise

    def _say(self, pod: Object, words: str) -> None:
        metadata = pod["metadata"]
        text = f"{words} Pod {metadata['namespace']}/{metadata['name']}"
        record(self._local, pod, "Normal", "TaintManagerEviction", text, _COMPONENT)


def _no_execute(node: Object) -> list[Object]:
    return [one for one in node["spec"].get("taints") or () if one.get("effect") == "NoExecute"]
