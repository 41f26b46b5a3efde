"""StatefulSets: pods with numbers, names and claims of their own.

Source: kubernetes pkg/controller/statefulset/{stateful_set.go,stateful_set_control.go,stateful_pod_control.go}.
"""

from collections.abc import Callable, Iterable, Sequence

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers import statefulset_rules as rules
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.claims import candidates, claim
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import Object, controller_of, seconds_to_available
from stoker.lab.controllers.replicasets import is_terminating_namespace
from stoker.lab.controllers.revisions import (
    apply_revision,
    data_hash,
    data_name,
    new_revision,
    revision_data,
    sorted_revisions,
)
from stoker.lab.status import ApiError
from stoker.lab.store import Change

__all__ = ["StatefulSets"]

_COMPONENT = "statefulset-controller"
_HASH = "controller.kubernetes.io/hash"


class StatefulSets:
    """The StatefulSet controller."""

    name = "statefulset"
    shelves: Sequence[str] = ("statefulsets.apps", "pods")

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._caches = caches
        self._sets = caches("apps/v1", "StatefulSet")
        self._revisions = caches("apps/v1", "ControllerRevision")
        self._pods = caches.pods

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource != "pods":
            return [(change.key.namespace, change.key.name)]
        found = self._caches.controllers_of(change, "StatefulSet")
        if not change.is_delete and controller_of(self._caches.now_and_before(change)[0]) is None:
            found |= self._caches.selecting(change, self._sets)
        return found

    def reconcile(self, target: Target) -> float | None:
        workload = self._local.get("apps/v1", "StatefulSet", *target)
        if workload is None:
            return None
        pods = claim(
            self._local,
            workload,
            candidates(self._pods, workload),
            lambda pod: rules.ordinal_of(pod, workload) >= 0,
        )
        pods.sort(key=lambda pod: rules.ordinal_of(pod, workload))
        revisions = sorted_revisions(claim(self._local, workload, candidates(self._revisions, workload)))
        current, update = self._current_revisions(workload, revisions)
        error = self._manage(workload, pods, current, update)
        self._trim(workload, pods, revisions, {current["metadata"]["name"], update["metadata"]["name"]})
        if error is not None:
            raise error
        min_ready = int(workload["spec"].get("minReadySeconds") or 0)
        now = self._local.cluster.clock()
        waits = [seconds_to_available(pod, min_ready, now) for pod in pods]
        return min((wait for wait in waits if wait), default=None)

    # --- revisions ------------------------------------------------------------------------------------------------

    def _current_revisions(self, workload: Object, revisions: list[Object]) -> tuple[Object, Object]:
        """The revision that pods have, and the one that they shall get; made where it is new."""
        data = revision_data(workload)
        equal = [one for one in revisions if one["data"] == data]
        number = int(revisions[-1]["revision"]) + 1 if revisions else 1
        if equal and equal[-1] is revisions[-1]:
            update = equal[-1]
        elif equal:
            name = equal[-1]["metadata"]["name"]
            fresh = self._local.get("apps/v1", "ControllerRevision", workload["metadata"]["namespace"], name)
            update = equal[-1]
            if fresh is not None:
                fresh["revision"] = number
                update = self._local.update(fresh)
        else:
            update = self._make_revision(workload, number)
        wanted = (workload.get("status") or {}).get("currentRevision")
        current = next((one for one in revisions if one["metadata"]["name"] == wanted), update)
        return current, update

    def _make_revision(self, workload: Object, number: int) -> Object:
        collisions = int((workload.get("status") or {}).get("collisionCount") or 0)
        while True:
            digest = data_hash(workload, collisions)
            wanted = new_revision(
                workload,
                number,
                data_name(workload, digest),
                (_HASH, digest),
                workload["metadata"].get("annotations"),
            )
            try:
                return self._local.create(wanted)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                there = self._local.get(
                    "apps/v1",
                    "ControllerRevision",
                    workload["metadata"]["namespace"],
                    wanted["metadata"]["name"],
                )
                if there is not None and there["data"] == wanted["data"]:
                    return there
            collisions += 1
            workload.setdefault("status", {})["collisionCount"] = collisions

    def _trim(
        self, workload: Object, pods: Iterable[Object], revisions: Iterable[Object], live: set[str]
    ) -> None:
        live |= {rules.revision_of(pod) for pod in pods}
        past = [one for one in revisions if one["metadata"]["name"] not in live]
        surplus = len(past) - int(workload["spec"].get("revisionHistoryLimit") or 0)
        for one in past[: max(0, surplus)]:
            self._local.delete(one)

    # --- pods -----------------------------------------------------------------------------------------------------

    def _manage(
        self, workload: Object, pods: list[Object], current: Object, update: Object
    ) -> ApiError | None:
        now = self._local.cluster.clock()
        names = current["metadata"]["name"], update["metadata"]["name"]
        wanted, condemned = rules.arrange(
            workload,
            pods,
            (apply_revision(workload, current), names[0]),
            (apply_revision(workload, update), names[1]),
        )
        error: ApiError | None = None
        if not workload["metadata"].get("deletionTimestamp"):
            for step in rules.steps(workload, wanted, condemned, names[1], now):
                try:
                    self._do(workload, step)
                except ApiError as refused:
                    if not is_terminating_namespace(refused):
                        error = refused
                    break
        collisions = int((workload.get("status") or {}).get("collisionCount") or 0)
        status = rules.statefulset_status(workload, pods, names[0], names[1], collisions=collisions, now=now)
        before = workload.get("status") or {}
        if any(before.get(name, 0) != value for name, value in status.items()):
            workload["status"] = {**before, **status}
            self._local.update_status(workload)
        return error

    def _do(self, workload: Object, step: rules.Step) -> None:
        match step.action:
            case "create":
                self._make_claims(workload, step.pod)
                self._own_claims(workload, step.pod)
                self._told(workload, "Create", step.pod, lambda: self._local.create(step.pod))
            case "delete":
                self._told(workload, "Delete", step.pod, lambda: self._local.delete(step.pod))
            case "claims":
                self._make_claims(workload, step.pod)
                self._own_claims(workload, step.pod)
            case "release":
                self._own_claims(workload, step.pod)
            case "fix":
                self._fix(workload, step.pod)

    def _told(self, workload: Object, verb: str, pod: Object, write: Callable[[], object]) -> None:
        """Write, and say how it went."""
        about = f"{verb} Pod {pod['metadata']['name']} in StatefulSet {workload['metadata']['name']}"
        try:
            write()
        except ApiError as error:
            if error.reason != "AlreadyExists":
                self._tell(workload, "Warning", f"Failed{verb}", f"{about} failed error: {error.message}")
            raise
        self._tell(workload, "Normal", f"Successful{verb}", f"{about} successful")

    def _tell(self, workload: Object, kind: str, reason: str, message: str) -> None:
        record(self._local, workload, kind, reason, message, _COMPONENT)

    def _fix(self, workload: Object, pod: Object) -> None:
        metadata = pod["metadata"]
        fresh = self._local.get("v1", "Pod", metadata["namespace"], metadata["name"])
        if fresh is None:
            return
        rules.identify(fresh, workload, rules.ordinal_of(pod, workload))
        self._make_claims(workload, pod)
        self._told(workload, "Update", pod, lambda: self._local.update(fresh))

    def _make_claims(self, workload: Object, pod: Object) -> None:
        for wanted in rules.claims_of(workload, rules.ordinal_of(pod, workload)):
            metadata = wanted["metadata"]
            there = self._local.get("v1", wanted["kind"], metadata["namespace"], metadata["name"])
            about = (
                f"Create Claim {metadata['name']} {{}}Pod {pod['metadata']['name']} in StatefulSet "
                f"{workload['metadata']['name']}"
            )
            if there is not None:
                if there["metadata"].get("deletionTimestamp"):
                    raise ApiError(409, "Conflict", f"pvc {metadata['name']} is being deleted")
                continue
            try:
                self._local.create(wanted)
            except ApiError as error:
                text = f"{about.format('for ')} failed error: {error.message}"
                self._tell(workload, "Warning", "FailedCreate", text)
                raise ApiError(
                    error.code,
                    error.reason,
                    f"failed to create PVC {metadata['name']}: {error.message}",
                    error.details,
                ) from error
            self._tell(workload, "Normal", "SuccessfulCreate", f"{about.format('')} success")

    def _own_claims(self, workload: Object, pod: Object) -> None:
        for wanted in rules.claims_of(workload, rules.ordinal_of(pod, workload)):
            metadata = wanted["metadata"]
            there = self._local.get("v1", wanted["kind"], metadata["namespace"], metadata["name"])
            if there is None:
                continue
            owners = rules.owners_of_claim(there, workload, pod)
            if owners != (there["metadata"].get("ownerReferences") or []):
                there["metadata"]["ownerReferences"] = owners
                self._local.update(there)
