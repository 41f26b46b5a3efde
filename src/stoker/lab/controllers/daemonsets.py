"""DaemonSets: one pod on every node that fits.

Source: kubernetes pkg/controller/daemon/{daemon_controller.go,update.go}.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers import daemonset_rules as rules
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.claims import candidates, claim
from stoker.lab.controllers.events import record
from stoker.lab.controllers.hashes import template_hash
from stoker.lab.controllers.objects import Object, controller_of, seconds_to_available
from stoker.lab.controllers.replicasets import is_terminating_namespace, slow_start
from stoker.lab.controllers.revisions import new_revision, revision_data
from stoker.lab.status import ApiError
from stoker.lab.store import Change

__all__ = ["DaemonSets"]

_COMPONENT = "daemonset-controller"
_BURST = 250
# How long a failed daemon is left before another is tried: doubling (NewBackOff in daemon.go).
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 1.0, 900.0


class DaemonSets:
    """The DaemonSet controller."""

    name = "daemonset"
    shelves: Sequence[str] = ("daemonsets.apps", "pods", "nodes")

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._caches = caches
        self._sets = caches("apps/v1", "DaemonSet")
        self._revisions = caches("apps/v1", "ControllerRevision")
        self._nodes = caches("v1", "Node")
        self._pods = caches.pods
        self._failures: dict[tuple[str, int, str], tuple[float, datetime]] = {}

    def targets(self, change: Change) -> Iterable[Target]:
        match change.key.resource:
            case "daemonsets.apps":
                return [(change.key.namespace, change.key.name)]
            case "nodes":
                if self._is_heartbeat(change):
                    return ()
                return [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in self._sets.all()]
        found = self._caches.controllers_of(change, "DaemonSet")
        if not change.is_delete and controller_of(self._caches.now_and_before(change)[0]) is None:
            found |= self._caches.selecting(change, self._sets)
        return found

    def _is_heartbeat(self, change: Change) -> bool:
        """Whether nothing changed of a node that decides about daemons."""
        nodes = self._caches.now_and_before(change)
        if change.is_delete or len(nodes) != 2:
            return False
        now, before = nodes
        return bool(
            now["metadata"].get("labels") == before["metadata"].get("labels")
            and now["spec"].get("taints") == before["spec"].get("taints")
        )

    def reconcile(self, target: Target) -> float | None:
        workload = self._local.get("apps/v1", "DaemonSet", *target)
        if workload is None:
            return None
        if not workload["spec"].get("selector"):
            text = "This daemon set is selecting all pods. A non-empty selector is required."
            self._tell(workload, "Warning", "SelectingAll", text)
            return None
        if workload["metadata"].get("deletionTimestamp"):
            return None
        current, past = self._history(workload)
        digest = current["metadata"]["labels"][rules.HASH]
        pods = claim(self._local, workload, candidates(self._pods, workload))
        nodes = sorted(self._nodes.all(), key=lambda node: str(node["metadata"]["name"]))
        error, wait = self._manage(workload, nodes, pods, digest)
        self._trim(workload, pods, past)
        now = self._local.cluster.clock()
        status = rules.daemonset_status(workload, nodes, rules.by_node(pods), digest, now)
        before = workload.get("status") or {}
        if any(before.get(name, 0) != value for name, value in status.items()):
            workload["status"] = {**before, **status}
            self._local.update_status(workload)
        if error is not None:
            raise error
        min_ready = int(workload["spec"].get("minReadySeconds") or 0)
        waits = [wait, *(seconds_to_available(pod, min_ready, now) for pod in pods)]
        return min((one for one in waits if one), default=None)

    # --- revisions ------------------------------------------------------------------------------------------------

    def _history(self, workload: Object) -> tuple[Object, list[Object]]:
        """The revision of the template, made where it is new, and the others."""
        data = revision_data(workload)
        revisions = claim(self._local, workload, candidates(self._revisions, workload))
        past = [one for one in revisions if one["data"] != data]
        equal = [one for one in revisions if one["data"] == data]
        number = max((int(one["revision"]) for one in past), default=0) + 1
        if not equal:
            return self._snapshot(workload, number), past
        current = max(equal, key=lambda one: int(one["revision"]))
        if int(current["revision"]) < number:
            metadata = current["metadata"]
            fresh = self._local.get("apps/v1", "ControllerRevision", metadata["namespace"], metadata["name"])
            if fresh is not None:
                fresh["revision"] = number
                self._local.update(fresh)
        return current, past

    def _snapshot(self, workload: Object, number: int) -> Object:
        collisions = (workload.get("status") or {}).get("collisionCount")
        digest = template_hash(workload["spec"]["template"], collisions)
        name = f"{workload['metadata']['name']}-{digest}"
        wanted = new_revision(
            workload, number, name, (rules.HASH, digest), workload["metadata"].get("annotations")
        )
        try:
            return self._local.create(wanted)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            there = self._local.get("apps/v1", "ControllerRevision", workload["metadata"]["namespace"], name)
            if there is not None and there["data"] == wanted["data"]:
                return there
            status = workload.setdefault("status", {})
            status["collisionCount"] = int(collisions or 0) + 1
            self._local.update_status(workload)
            raise

    def _trim(self, workload: Object, pods: Iterable[Object], past: list[Object]) -> None:
        surplus = len(past) - int(workload["spec"].get("revisionHistoryLimit") or 0)
        live = {(pod["metadata"].get("labels") or {}).get(rules.HASH) for pod in pods}
        for one in sorted(past, key=lambda one: int(one["revision"])):
            if surplus <= 0:
                return
            if one["metadata"]["labels"].get(rules.HASH) not in live:
                self._local.delete(one)
                surplus -= 1

    # --- pods -----------------------------------------------------------------------------------------------------

    def _manage(
        self, workload: Object, nodes: list[Object], pods: list[Object], digest: str
    ) -> tuple[ApiError | None, float | None]:
        now = self._local.cluster.clock()
        there = rules.by_node(pods)
        changes = rules.on_nodes(workload, nodes, there, digest, now)
        wait = self._replace_failed(workload, changes, now)
        error = self._carry_out(workload, changes, digest)
        strategy = workload["spec"].get("updateStrategy") or {}
        # A rollout waits until what was missing or too much is settled, as upstream waits for its expectations.
        is_settled = not changes.create and not changes.delete
        if error is None and is_settled and strategy.get("type") == "RollingUpdate":
            error = self._carry_out(workload, rules.roll(workload, nodes, there, digest, now), digest)
        return error, wait

    def _replace_failed(self, workload: Object, changes: rules.Changes, now: datetime) -> float | None:
        """Delete daemons that failed, each node's after a pause; seconds to the next such pause's end."""
        generation = int((workload.get("status") or {}).get("observedGeneration") or 0)
        waits = []
        for pod, node in changes.failed:
            key = (workload["metadata"]["uid"], generation, node)
            pause, since = self._failures.get(key, (0.0, now))
            passed = (now - since).total_seconds()
            if pause and passed < pause:
                waits.append(pause - passed)
                continue
            if passed > 2 * _LONGEST_BACKOFF_S:
                pause = 0.0
            self._failures[key] = (min(_LONGEST_BACKOFF_S, 2 * pause or _FIRST_BACKOFF_S), now)
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            text = f"Found failed daemon pod {name} on node {node}, will try to kill it"
            self._tell(workload, "Warning", "FailedDaemonPod", text)
            changes.delete.append(pod)
        for pod, node in changes.over:
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            text = f"Found succeeded daemon pod {name} on node {node}, will try to delete it"
            self._tell(workload, "Normal", "SucceededDaemonPod", text)
            changes.delete.append(pod)
        return min(waits, default=None)

    def _carry_out(self, workload: Object, changes: rules.Changes, digest: str) -> ApiError | None:
        nodes = changes.create[:_BURST]
        error = slow_start(
            len(nodes), lambda index: self._create(workload, rules.new_daemon(workload, nodes[index], digest))
        )
        for pod in changes.delete[:_BURST]:
            try:
                if self._local.delete(pod):
                    text = f"Deleted pod: {pod['metadata']['name']}"
                    self._tell(workload, "Normal", "SuccessfulDelete", text)
            except ApiError as refused:
                self._tell(workload, "Warning", "FailedDelete", f"Error deleting: {refused.message}")
                error = error or refused
        return error

    def _create(self, workload: Object, pod: Object) -> None:
        try:
            created = self._local.create(pod)
        except ApiError as error:
            if is_terminating_namespace(error):
                return
            self._tell(workload, "Warning", "FailedCreate", f"Error creating: {error.message}")
            raise
        self._tell(workload, "Normal", "SuccessfulCreate", f"Created pod: {created['metadata']['name']}")

    def _tell(self, workload: Object, kind: str, reason: str, message: str) -> None:
        record(self._local, workload, kind, reason, message, _COMPONENT)
