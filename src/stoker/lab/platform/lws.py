"""LeaderWorkerSets: a StatefulSet of leaders, and for each leader one of workers.

Sources: kubernetes-sigs/lws pkg/controllers/{leaderworkerset_controller,pod_controller}.go, pkg/webhooks/pod_webhook.go,
pkg/utils/pod/pod_utils.go (names, labels, environment). Left out: rolling updates with partition and surge (a changed template
is the leaders' StatefulSet's own rolling update), subgroups, exclusive topology, gang scheduling, volume claims.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from stoker.lab.api.cluster import Plugin, Review
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.objects import is_ready, restarts
from stoker.lab.platform.conditions import set_condition
from stoker.lab.platform.owned import ensure, mentions, owners_of
from stoker.lab.platform.webhooks import plugin_of
from stoker.lab.store import Change

__all__ = ["LeaderWorkerSets", "plugin"]

Object = dict[str, Any]

_API, _KIND = "leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"
_PREFIX = "leaderworkerset.sigs.k8s.io/"
_NAME, _GROUP, _WORKER = f"{_PREFIX}name", f"{_PREFIX}group-index", f"{_PREFIX}worker-index"
_KEY, _HASH = f"{_PREFIX}group-key", f"{_PREFIX}template-revision-hash"
_SIZE, _REPLICAS, _LEADER = f"{_PREFIX}size", f"{_PREFIX}replicas", f"{_PREFIX}leader-name"


class LeaderWorkerSets:
    """Keeps the groups of a LeaderWorkerSet whole."""

    name = "leaderworkerset"
    shelves: Sequence[str] = ("leaderworkersets.leaderworkerset.x-k8s.io", "statefulsets.apps", "pods")

    def __init__(self, local: Local) -> None:
        self._local = local

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == self.shelves[0]:
            return [(change.key.namespace, change.key.name)]
        if not mentions(change, _PREFIX):
            return []
        obj = change.record.object()
        name = (obj["metadata"].get("labels") or {}).get(_NAME)
        found = {name} if name else owners_of(obj, _KIND)
        return [(change.key.namespace, one) for one in found]

    def reconcile(self, target: Target) -> float | None:
        lws = self._local.get(_API, _KIND, *target)
        if (
            lws is None
            or lws["metadata"].get("deletionTimestamp")
            or not lws["spec"].get("leaderWorkerTemplate")
        ):
            return None
        ensure(self._local, lws, _headless(lws), keep=("clusterIPs", "ipFamilies", "ipFamilyPolicy"))
        leaders = ensure(self._local, lws, _leaders(lws))
        pods = self._pods(lws)
        for pod in pods:
            labels = pod["metadata"]["labels"]
            if labels.get(_WORKER) == "0" and not pod["metadata"].get("deletionTimestamp"):
                self._workers(lws, pod)
        if self._restarts_groups(lws):
            self._restart(pods)
        self._tell(lws, leaders, pods)
        return None

    def _pods(self, lws: Object) -> list[Object]:
        name = lws["metadata"]["name"]
        return [
            one
            for one in self._local.list("v1", "Pod", lws["metadata"]["namespace"])
            if (one["metadata"].get("labels") or {}).get(_NAME) == name
        ]

    def _workers(self, lws: Object, leader: Object) -> None:
        template = lws["spec"]["leaderWorkerTemplate"]
        size = int(template.get("size", 1))
        if size < 2:
            return
        if lws["spec"].get("startupPolicy") == "LeaderReady" and not is_ready(leader):
            return
        metadata = leader["metadata"]
        if metadata["labels"].get(_HASH) != _hash(lws):
            return
        labels = {
            _NAME: lws["metadata"]["name"],
            _GROUP: metadata["labels"].get(_GROUP, "0"),
            _KEY: metadata["labels"].get(_KEY, ""),
            _HASH: _hash(lws),
        }
        worker = template["workerTemplate"]
        own = worker.get("metadata") or {}
        spec: Object = {
            "replicas": size - 1,
            "serviceName": lws["metadata"]["name"],
            "podManagementPolicy": "Parallel",
            "ordinals": {"start": 1},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": {**(own.get("labels") or {}), **labels},
                    "annotations": {
                        **(own.get("annotations") or {}),
                        _SIZE: str(size),
                        _LEADER: metadata["name"],
                    },
                },
                "spec": worker["spec"],
            },
        }
        ensure(
            self._local,
            leader,
            {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "labels": labels},
                "spec": spec,
            },
        )

    def _restarts_groups(self, lws: Object) -> bool:
        policy = lws["spec"]["leaderWorkerTemplate"].get("restartPolicy", "RecreateGroupOnPodRestart")
        return policy in {"RecreateGroupOnPodRestart", "RecreateGroupAfterStart"}

    def _restart(self, pods: Sequence[Object]) -> None:
        """A group in which a container was restarted or a pod is going begins anew: its leader is deleted, and all with it."""
        broken = {
            pod["metadata"]["labels"].get(_GROUP)
            for pod in pods
            if restarts(pod)[0] > 0
            or (pod["metadata"].get("deletionTimestamp") and pod["metadata"]["labels"].get(_WORKER) != "0")
        }
        for pod in pods:
            labels = pod["metadata"]["labels"]
            is_leader = labels.get(_WORKER) == "0" and not pod["metadata"].get("deletionTimestamp")
            if is_leader and labels.get(_GROUP) in broken:
                self._local.delete(pod, propagationPolicy="Foreground")

    def _tell(self, lws: Object, leaders: Object, pods: Sequence[Object]) -> None:
        status = lws.setdefault("status", {})
        size = int(lws["spec"]["leaderWorkerTemplate"].get("size", 1))
        groups: dict[str, list[Object]] = {}
        for pod in pods:
            groups.setdefault(pod["metadata"]["labels"].get(_GROUP, ""), []).append(pod)
        whole = [one for one in groups.values() if len(one) == size and all(is_ready(pod) for pod in one)]
        wanted = int(lws["spec"].get("replicas", 1))
        updated = sum(
            1
            for one in groups.values()
            if all(pod["metadata"]["labels"].get(_HASH) == _hash(lws) for pod in one)
        )
        generation = int(lws["metadata"].get("generation") or 0)
        status |= {
            "replicas": int((leaders.get("status") or {}).get("replicas") or 0),
            "readyReplicas": len(whole),
            "updatedReplicas": updated,
            "hpaPodSelector": f"{_NAME}={lws['metadata']['name']},{_WORKER}=0",
            "observedGeneration": generation,
        }
        conditions = status.setdefault("conditions", [])
        is_available = len(whole) >= wanted and updated >= wanted
        for kind, value, reason, message in (
            ("Available", is_available, "AllGroupsReady", "All replicas are ready"),
            ("Progressing", not is_available, "GroupsProgressing", "Replicas are progressing"),
        ):
            if value or any(one["type"] == kind for one in conditions):
                set_condition(
                    conditions, kind, "True" if value else "False", reason, message,
                    now=self._local.cluster.now(), generation=generation,
                )  # fmt: skip
        self._local.update_status(lws)


def _hash(lws: Object) -> str:
    """A short hash of the templates; it tells revisions apart, and is not the value that LWS computes."""
    template = lws["spec"]["leaderWorkerTemplate"]
    return hashlib.sha256(repr(sorted(template.items(), key=str)).encode()).hexdigest()[:10]


def _headless(lws: Object) -> Object:
    name = lws["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": lws["metadata"]["namespace"]},
        "spec": {
            "clusterIP": "None",
            "selector": {_NAME: name},
            "publishNotReadyAddresses": True,
        },
    }


def _leaders(lws: Object) -> Object:
    metadata, spec = lws["metadata"], lws["spec"]
    template = spec["leaderWorkerTemplate"]
    leader = template.get("leaderTemplate") or template["workerTemplate"]
    own = leader.get("metadata") or {}
    labels = {_NAME: metadata["name"], _WORKER: "0"}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {_NAME: metadata["name"], _HASH: _hash(lws)},
            "annotations": {_REPLICAS: str(spec.get("replicas", 1))},
        },
        "spec": {
            "replicas": int(spec.get("replicas", 1)),
            "serviceName": metadata["name"],
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {
                    "labels": {**(own.get("labels") or {}), **labels, _HASH: _hash(lws)},
                    "annotations": {
                        **(own.get("annotations") or {}),
                        _SIZE: str(template.get("size", 1)),
                    },
                },
                "spec": leader.get("spec") or {},
            },
        },
    }


# --- pods -----------------------------------------------------------------------------------------------------------


def plugin() -> Plugin:
    """The webhook for pods: which group and rank a pod is, as labels and in its environment."""
    return plugin_of("LeaderWorkerSet", mutate={"pods": _default})


def _default(review: Review) -> None:
    pod = review.obj
    labels = pod["metadata"].get("labels") or {}
    annotations = pod["metadata"].get("annotations") or {}
    if review.operation != "CREATE" or _NAME not in labels or _SIZE not in annotations:
        return
    name, number = pod["metadata"].get("name", ""), pod["metadata"].get("name", "").rpartition("-")[2]
    if labels.get(_WORKER) == "0":
        labels.setdefault(_GROUP, number)
        key = hashlib.sha1(f"{pod['metadata']['namespace']}/{name}".encode(), usedforsecurity=False)
        labels.setdefault(_KEY, key.hexdigest())
    else:
        labels[_WORKER] = number
    subdomain = pod["spec"].get("subdomain", "")
    leader = f"{labels[_NAME]}-{labels.get(_GROUP, '0')}.{subdomain}.{pod['metadata']['namespace']}"
    wanted = (
        ("LWS_LEADER_ADDRESS", leader),
        ("LWS_GROUP_SIZE", annotations[_SIZE]),
        ("LWS_WORKER_INDEX", labels[_WORKER]),
    )
    for container in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())):
        env = container.get("env") or []
        known = {one["name"] for one in env}
        added = [{"name": key, "value": value} for key, value in wanted if key not in known]
        # In front, so that the container's own variables may refer to them.
        container["env"] = [*added, *env]
