"""Jobs: pods that run to their end, as often as asked for.

Source: kubernetes pkg/controller/job/job_controller.go, pkg/controller/ttlafterfinished/ttlafterfinished_controller.go.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers import job_rules as rules
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.job_sync import JobSync, release
from stoker.lab.controllers.objects import Object, controller_of, moment
from stoker.lab.store import Change

__all__ = ["Jobs"]

_OURS = "kubernetes.io/job-controller"


class Jobs:
    """The Job controller, and the one that deletes finished Jobs when their time is up."""

    name = "job"
    shelves: Sequence[str] = ("jobs.batch", "pods")

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._caches = caches
        self._jobs = caches("batch/v1", "Job")
        self._pods = caches.pods
        # By uid: failures since the last success, and when the last was.
        self._failures: dict[str, tuple[int, datetime | None]] = {}

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource != "pods":
            return [(change.key.namespace, change.key.name)]
        found = self._caches.controllers_of(change, "Job")
        if not change.is_delete and controller_of(self._caches.now_and_before(change)[0]) is None:
            found |= self._caches.selecting(change, self._jobs)
        return found

    def reconcile(self, target: Target) -> float | None:
        job = self._local.get("batch/v1", "Job", *target)
        self._release_orphans(target, job)
        if job is None or job["spec"].get("managedBy", _OURS) != _OURS:
            return None
        if rules.is_finished(job):
            self._failures.pop(job["metadata"]["uid"], None)
            return self._expire(job)
        return JobSync(self._local, self._pods, job, self._failures).run()

    def _release_orphans(self, target: Target, job: Object | None) -> None:
        """Pods of a Job that is gone or over wait for nobody's count."""
        if job is not None and not rules.is_finished(job):
            return
        for pod in self._pods.all(target[0]):
            owner = controller_of(pod)
            if owner is None or (owner["kind"], owner["name"]) != ("Job", target[1]):
                continue
            if job is None or owner["uid"] == job["metadata"]["uid"]:
                release(self._local, pod)

    def _expire(self, job: Object) -> float | None:
        """Delete a finished Job after ``ttlSecondsAfterFinished``."""
        limit = job["spec"].get("ttlSecondsAfterFinished")
        found = rules.finished_condition(job)
        if limit is None or found is None or job["metadata"].get("deletionTimestamp"):
            return None
        passed = (self._local.cluster.clock() - moment(found["lastTransitionTime"])).total_seconds()
        if passed < int(limit):
            return int(limit) - passed
        self._local.delete(job, propagationPolicy="Foreground")
        return None
