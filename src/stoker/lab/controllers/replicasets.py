"""ReplicaSets: as many pods as asked for.

Source: kubernetes pkg/controller/replicaset/{replica_set.go,replica_set_utils.go}, pkg/controller/controller_utils.go.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cmp_to_key

from stoker.kube.selectors import matches
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.claims import candidates, claim, owns
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import (
    Object,
    condition_of,
    controller_of,
    is_active,
    is_available,
    is_ready,
    is_terminating,
    moment,
    pod_of_template,
    ready_since,
    restarts,
    seconds_to_available,
)
from stoker.lab.status import ApiError
from stoker.lab.store import Change

__all__ = ["ReplicaSets", "is_terminating_namespace", "pods_to_delete", "replicaset_status", "slow_start"]

_COMPONENT = "replicaset-controller"
# BurstReplicas: most pods that one sync creates or deletes.
_BURST = 500
_FAILURE = "ReplicaFailure"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
_COST = "controller.kubernetes.io/pod-deletion-cost"
_COUNTS = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")


# --- decisions ----------------------------------------------------------------------------------------------------


def pods_to_delete(
    pods: Sequence[Object], related: Iterable[Object], count: int, now: datetime
) -> list[Object]:
    """Which pods go first (getPodsToDelete, ActivePodsWithRanks.Less).

    Args:
        pods: of the ReplicaSet.
        related: pods of all ReplicaSets with the same owner: a node with more of them loses one first.
        count: how many go.
        now: younger pods go first, but only where their ages differ by a power of two.
    """
    if count >= len(pods):
        return list(pods)
    crowd: dict[str, int] = {}
    for pod in related:
        if is_active(pod):
            node = pod["spec"].get("nodeName", "")
            crowd[node] = crowd.get(node, 0) + 1
    keyed = [(_rank(pod, crowd), pod) for pod in pods]

    def compare(left: tuple[tuple[float, ...], Object], right: tuple[tuple[float, ...], Object]) -> int:
        if left[0] != right[0]:
            return -1 if left[0] < right[0] else 1
        return _compare_ages(left[1], right[1], now)

    return [pod for _, pod in sorted(keyed, key=cmp_to_key(compare))[:count]]


def _rank(pod: Object, crowd: dict[str, int]) -> tuple[float, ...]:
    """Unassigned before assigned, then by phase, not ready before ready, cost, the crowd on the node."""
    node = pod["spec"].get("nodeName", "")
    phase = (pod.get("status") or {}).get("phase") or "Pending"
    return (1 if node else 0, _PHASES.get(phase, 0), is_ready(pod), _cost(pod), -crowd.get(node, 0))


def _cost(pod: Object) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(_COST, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def _compare_ages(left: Object, right: Object, now: datetime) -> int:
    """How long ready, then restarts, then age; ages on a logarithmic scale, and by uid within one step of it."""
    for times in (
        (ready_since(left), ready_since(right)),
        None,
        (left["metadata"].get("creationTimestamp", ""), right["metadata"].get("creationTimestamp", "")),
    ):
        if times is None:
            many, others = restarts(left), restarts(right)
            if many != others:
                return -1 if many > others else 1
        elif times[0] != times[1]:
            if not times[0] or not times[1]:
                return -1 if not times[0] else 1
            steps = _step(times[0], now) - _step(times[1], now)
            if steps:
                return steps
            return -1 if left["metadata"]["uid"] < right["metadata"]["uid"] else 1
    return 0


def _step(since: str, now: datetime) -> int:
    nanoseconds = (now - moment(since)).total_seconds() * 1e9
    return int(math.log2(nanoseconds)) if nanoseconds > 0 else -1


def replicaset_status(
    replica_set: Object, active: Sequence[Object], terminating: int, failure: str, *, now: datetime, at: str
) -> Object:
    """The status of a ReplicaSet (calculateStatus).

    Args:
        replica_set: as it is stored.
        active: its pods that are neither finished nor going.
        terminating: how many are going.
        failure: why pods could not be created or deleted; empty where all went well.
        now: for `minReadySeconds`.
        at: the same time as the API writes it.
    """
    spec = replica_set["spec"]
    labels = {"matchLabels": (spec["template"].get("metadata") or {}).get("labels") or {}}
    min_ready = int(spec.get("minReadySeconds") or 0)
    conditions = list((replica_set.get("status") or {}).get("conditions") or ())
    has_failed = condition_of(replica_set, _FAILURE) is not None
    if failure and not has_failed:
        short = len(active) < int(spec.get("replicas") or 0)
        conditions.append(
            {
                "type": _FAILURE,
                "status": "True",
                "lastTransitionTime": at,
                "reason": "FailedCreate" if short else "FailedDelete",
                "message": failure,
            }
        )
    elif not failure and has_failed:
        conditions = [one for one in conditions if one["type"] != _FAILURE]
    found: Object = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(matches(labels, pod["metadata"].get("labels") or {}) for pod in active),
        "readyReplicas": sum(is_ready(pod) for pod in active),
        "availableReplicas": sum(is_available(pod, min_ready, now) for pod in active),
        "terminatingReplicas": terminating,
        "observedGeneration": int(replica_set["metadata"].get("generation") or 0),
    }
    if conditions:
        found["conditions"] = conditions
    return found


def _is_same(before: Object, after: Object) -> bool:
    return (
        all(int(before.get(name) or 0) == after[name] for name in _COUNTS)
        and before.get("terminatingReplicas") == after["terminatingReplicas"]
        and int(before.get("observedGeneration") or 0) == after["observedGeneration"]
        and list(before.get("conditions") or ()) == after.get("conditions", [])
    )


def slow_start(count: int, create: Callable[[int], None]) -> ApiError | None:
    """Create one, then two, four, …: a batch with an error is the last, and its first error is returned."""
    done, size = 0, 1
    while done < count:
        error: ApiError | None = None
        batch = min(size, count - done)
        for index in range(done, done + batch):
            try:
                create(index)
            except ApiError as refused:
                error = error or refused
        if error is not None:
            return error
        done += batch
        size = 2 * batch
    return None


def is_terminating_namespace(error: ApiError) -> bool:
    """Refused because the namespace is going: nothing to tell and nothing to try again."""
    causes = (error.details or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


# --- the controller -----------------------------------------------------------------------------------------------


class ReplicaSets:
    """The ReplicaSet controller."""

    name = "replicaset"
    shelves: Sequence[str] = ("replicasets.apps", "pods")

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._pods = caches.pods
        self._sets = caches("apps/v1", "ReplicaSet")
        self._caches = caches

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource != "pods":
            return [(change.key.namespace, change.key.name)]
        found = self._caches.controllers_of(change, "ReplicaSet")
        if not change.is_delete and controller_of(self._caches.now_and_before(change)[0]) is None:
            found |= self._caches.selecting(change, self._sets)
        return found

    def reconcile(self, target: Target) -> float | None:
        replica_set = self._local.get("apps/v1", "ReplicaSet", *target)
        if replica_set is None:
            return None
        found = candidates(self._pods, replica_set)
        active = claim(self._local, replica_set, [pod for pod in found if is_active(pod)])
        selector = replica_set["spec"].get("selector")
        terminating = sum(
            1
            for pod in found
            if is_terminating(pod)
            and owns(replica_set, pod)
            and matches(selector, pod["metadata"].get("labels") or {})
        )
        error: ApiError | None = None
        if not replica_set["metadata"].get("deletionTimestamp"):
            error = self._manage(replica_set, active)
        now = self._local.cluster.clock()
        status = replicaset_status(
            replica_set,
            active,
            terminating,
            error.message if error else "",
            now=now,
            at=self._local.cluster.now(),
        )
        if not _is_same(replica_set.get("status") or {}, status):
            replica_set["status"] = status
            self._local.update_status(replica_set)
        if error is not None:
            raise error
        return _next_look(active, int(replica_set["spec"].get("minReadySeconds") or 0), now)

    def _manage(self, replica_set: Object, active: list[Object]) -> ApiError | None:
        missing = int(replica_set["spec"].get("replicas") or 0) - len(active)
        if missing > 0:
            pod = pod_of_template(replica_set["spec"]["template"], replica_set)
            return slow_start(min(missing, _BURST), lambda _: self._create(replica_set, pod))
        if missing == 0:
            return None
        gone = pods_to_delete(
            active, self._related(replica_set), min(-missing, _BURST), self._local.cluster.clock()
        )
        error: ApiError | None = None
        for one in gone:
            try:
                self._delete(replica_set, one)
            except ApiError as refused:
                error = error or refused
        return error

    def _related(self, replica_set: Object) -> list[Object]:
        owner = controller_of(replica_set)
        sets = [replica_set] if owner is None else self._sets.owned(owner["uid"])
        return [pod for one in sets for pod in self._pods.owned(one["metadata"]["uid"])]

    def _create(self, replica_set: Object, pod: Object) -> None:
        try:
            created = self._local.create(pod)
        except ApiError as error:
            if is_terminating_namespace(error):
                return
            self._tell(replica_set, "Warning", "FailedCreate", f"Error creating: {error.message}")
            raise
        self._tell(replica_set, "Normal", "SuccessfulCreate", f"Created pod: {created['metadata']['name']}")

    def _delete(self, replica_set: Object, pod: Object) -> None:
        name = pod["metadata"]["name"]
        try:
            if not self._local.delete(pod):
                return
        except ApiError as error:
            self._tell(replica_set, "Warning", "FailedDelete", f"Error deleting: {error.message}")
            raise ApiError(error.code, error.reason, f"unable to delete pods: {error.message}") from error
        self._tell(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")

    def _tell(self, replica_set: Object, kind: str, reason: str, message: str) -> None:
        record(self._local, replica_set, kind, reason, message, _COMPONENT)


def _next_look(active: Iterable[Object], min_ready: int, now: datetime) -> float | None:
    """When the next ready pod becomes available."""
    if min_ready <= 0:
        return None
    waits = [seconds_to_available(pod, min_ready, now) for pod in active]
    return min((wait for wait in waits if wait), default=None)
