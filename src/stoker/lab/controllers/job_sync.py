"""One look at a Job: what its pods did is counted, what is missing is created, what is decided is written.

Source: kubernetes pkg/controller/job/job_controller.go (syncJob, manageJob, trackJobStatusAndRemoveFinalizers).

Every pod has a finalizer until it is counted: its uid is written into the status, the finalizer is taken off, the count is
raised. A lab that is killed in between counts it neither twice nor never.
"""

import copy
from collections.abc import Sequence
from datetime import datetime

from stoker.lab.control.local import Local
from stoker.lab.controllers import job_rules as rules
from stoker.lab.controllers.cache import Cache
from stoker.lab.controllers.claims import candidates, claim
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import (
    Object,
    condition_of,
    is_active,
    is_ready,
    is_terminating,
    moment,
    pod_of_template,
)
from stoker.lab.controllers.replicasets import is_terminating_namespace, slow_start
from stoker.lab.status import ApiError

__all__ = ["JobSync", "release"]

_COMPONENT = "job-controller"
# MaxPodCreateDeletePerSync, MaxUncountedPods.
_BURST = 500


def release(local: Local, pod: Object) -> bool:
    """Take the finalizer off a pod; whether it is off, or the pod gone."""
    if not rules.has_finalizer(pod):
        return True
    metadata = pod["metadata"]
    fresh = local.get("v1", "Pod", metadata["namespace"], metadata["name"])
    if fresh is None or fresh["metadata"]["uid"] != metadata["uid"]:
        return True
    left = [one for one in fresh["metadata"].get("finalizers") or () if one != rules.FINALIZER]
    if left:
        fresh["metadata"]["finalizers"] = left
    else:
        fresh["metadata"].pop("finalizers", None)
    local.update(fresh)
    return True


class JobSync:
    """One look at a Job and its pods."""

    def __init__(
        self,
        local: Local,
        pods: Cache,
        job: Object,
        failures: dict[str, tuple[int, datetime | None]],
    ) -> None:
        self._local = local
        self._job = job
        self._memory = failures
        self._now = local.cluster.clock()
        self._at = local.cluster.now()
        self._before = copy.deepcopy(job.get("status") or {})
        self._status: Object = job.setdefault("status", {})
        self._uncounted: dict[str, list[str]] = self._status.setdefault("uncountedTerminatedPods", {})
        self._pods = claim(local, job, candidates(pods, job), finalizer=rules.FINALIZER)
        self._active = [pod for pod in self._pods if is_active(pod)]
        self._count = len(self._active)
        self._ready = sum(is_ready(pod) for pod in self._active)
        self._terminating = sum(is_terminating(pod) for pod in self._pods)
        self._done: set[int] = set()
        self._failed_indexes = rules.failed_indexes(job, self._pods)
        self._retained: dict[int, Object] = {}
        self._wait: float | None = None

    # --- the whole ------------------------------------------------------------------------------------------------

    def run(self) -> float | None:
        job, status = self._job, self._status
        succeeded, failed = self._count_finished()
        if not status.get("startTime") and not rules.is_suspended(job):
            status["startTime"] = self._at
        if rules.is_indexed(job):
            most = int(job["spec"]["completions"])
            self._done = rules.numbers(status.get("completedIndexes"), most) | {
                rules.index_of(pod, job)
                for pod in self._pods
                if _phase(pod) == "Succeeded" and rules.has_finalizer(pod) and rules.index_of(pod, job) >= 0
            }
            succeeded = len(self._done)
            self._retained = rules.retained(job, self._pods, self._done | (self._failed_indexes or set()))
        finished = self._verdict(failed)
        error: ApiError | None = None
        if finished is not None:
            deleted, error = self._delete(self._active, releases=False)
            if deleted != len(self._active):
                finished = None
        else:
            is_managed = not job["metadata"].get("deletionTimestamp")
            if is_managed:
                error = self._manage(succeeded)
            if self._is_complete(succeeded):
                finished = self._condition(
                    "SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods"
                )
            elif is_managed:
                self._tell_suspension()
        status.update(active=self._count, ready=self._ready, terminating=self._terminating)
        self._track(finished)
        if error is not None:
            raise error
        return self._wait

    def _condition(self, kind: str, reason: str, message: str) -> Object:
        return rules.condition(kind, reason, message, self._at)

    def _look_after(self, seconds: float) -> None:
        self._wait = seconds if self._wait is None else min(self._wait, seconds)

    # --- what happened --------------------------------------------------------------------------------------------

    def _count_finished(self) -> tuple[int, int]:
        """Pods that succeeded and failed by now, and the pause after failures."""
        job = self._job
        known = {uid for uids in self._uncounted.values() for uid in uids}
        new = [
            pod
            for pod in self._pods
            if rules.has_finalizer(pod)
            and pod["metadata"]["uid"] not in known
            and (not rules.is_indexed(job) or rules.index_of(pod, job) >= 0)
        ]
        good = [pod for pod in new if _phase(pod) == "Succeeded"]
        bad = [pod for pod in new if rules.is_failed(pod, job)]
        self._remember_failures(good, bad)
        counted = sum(rules.match_failure_policy(job, pod)[1] for pod in bad)
        return (
            int(self._status.get("succeeded") or 0) + len(good) + len(self._uncounted.get("succeeded", ())),
            int(self._status.get("failed") or 0) + counted + len(self._uncounted.get("failed", ())),
        )

    def _remember_failures(self, good: list[Object], bad: list[Object]) -> None:
        uid = self._job["metadata"]["uid"]
        count, last = self._memory.get(uid, (0, None))
        ends = sorted(rules.finished_at(pod) for pod in bad)
        if good:
            success = max(rules.finished_at(pod) for pod in good)
            ends = [end for end in ends if end > success]
            count, last = 0, None
        if ends:
            count, last = count + len(ends), ends[-1]
        self._pause = (count, last)

    def _verdict(self, failed: int) -> Object | None:
        """Why the Job is over, or None."""
        job, spec = self._job, self._job["spec"]
        met = condition_of(job, "SuccessCriteriaMet")
        if met is not None and met["status"] == "True":
            return met
        target = condition_of(job, "FailureTarget")
        if target is not None and target["status"] == "True":
            return self._condition("Failed", target.get("reason", ""), target.get("message", ""))
        for pod in self._pods:
            if spec.get("podFailurePolicy") and rules.is_failed(pod, job):
                text = rules.match_failure_policy(job, pod)[0]
                if text:
                    return self._condition("FailureTarget", "PodFailurePolicy", text)
        if failed > int(spec.get("backoffLimit", 6)) or rules.past_backoff_limit(job, self._pods):
            return self._condition(
                "FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
            )
        if self._is_past_deadline():
            return self._condition(
                "FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline"
            )
        return self._verdict_of_indexes()

    def _is_past_deadline(self) -> bool:
        limit, start = self._job["spec"].get("activeDeadlineSeconds"), self._status.get("startTime")
        if limit is None or start is None or rules.is_suspended(self._job):
            return False
        left = int(limit) - (self._now - moment(start)).total_seconds()
        if left > 0:
            self._look_after(left)
        return left <= 0

    def _verdict_of_indexes(self) -> Object | None:
        spec = self._job["spec"]
        if not rules.is_indexed(self._job):
            return None
        most = int(spec["completions"])
        failed = self._failed_indexes
        if failed:
            limit = spec.get("maxFailedIndexes")
            if limit is not None and len(failed) > int(limit):
                return self._condition(
                    "FailureTarget",
                    "MaxFailedIndexesExceeded",
                    "Job has exceeded the specified maximal number of failed indexes",
                )
            if len(failed) + len(self._done) >= most:
                return self._condition("FailureTarget", "FailedIndexes", "Job has failed indexes")
        text = rules.match_success_policy(spec, self._done, most)
        return self._condition("SuccessCriteriaMet", "SuccessPolicy", text) if text else None

    def _is_complete(self, succeeded: int) -> bool:
        if self._count:
            return False
        completions = self._job["spec"].get("completions")
        return succeeded > 0 if completions is None else succeeded >= int(completions)

    def _tell_suspension(self) -> None:
        conditions = self._status.setdefault("conditions", [])
        if rules.is_suspended(self._job):
            new = self._condition("Suspended", "JobSuspended", "Job suspended")
            if rules.ensure_condition(conditions, new):
                self._tell("Normal", "Suspended", "Job suspended")
                self._status.pop("startTime", None)
            return
        new = rules.condition("Suspended", "JobResumed", "Job resumed", self._at, "False")
        if rules.ensure_condition(conditions, new):
            self._tell("Normal", "Resumed", "Job resumed")
            self._status["startTime"] = self._at

    # --- pods -----------------------------------------------------------------------------------------------------

    def _manage(self, succeeded: int) -> ApiError | None:
        """Create what is missing and delete what is too much."""
        job, spec = self._job, self._job["spec"]
        if rules.is_suspended(job):
            return self._delete(rules.for_removal(job, self._active, self._count), releases=True)[1]
        parallelism = int(spec.get("parallelism", 1))
        if spec.get("completions") is None:
            wanted = self._count if succeeded else parallelism
        else:
            wanted = max(0, min(int(spec["completions"]) - succeeded, parallelism))
        surplus = rules.for_removal(job, self._active, max(0, self._count - wanted))[:_BURST]
        if surplus:
            return self._delete(surplus, releases=True)[1]
        waiting = self._terminating if rules.replaces_only_failed(job) else 0
        missing = min(wanted - waiting - self._count, _BURST)
        return self._create(missing) if missing > 0 else None

    def _create(self, missing: int) -> ApiError | None:
        job = self._job
        if job["spec"].get("backoffLimitPerIndex") is None:
            pause = rules.pause_after(*self._pause, self._now)
            if pause > 0:
                self._look_after(pause)
                return None
        pods = self._new_pods(missing)
        if not pods:
            return None
        created = 0

        def create(index: int) -> None:
            nonlocal created
            self._create_one(pods[index])
            created += 1

        error = slow_start(len(pods), create)
        self._count += created
        return error

    def _new_pods(self, missing: int) -> list[Object]:
        job = self._job
        pod = pod_of_template(job["spec"]["template"], job)
        finalizers = pod["metadata"].setdefault("finalizers", [])
        if rules.FINALIZER not in finalizers:
            finalizers.append(rules.FINALIZER)
        if not rules.is_indexed(job):
            return [pod] * missing
        found = []
        indexes = rules.pending_indexes(job, self._pods, self._done, self._failed_indexes or set(), missing)
        for index in indexes:
            before = self._retained.get(index)
            if before is not None:
                failures = rules.failures_of(before) + 1
                pause = rules.pause_after(failures, rules.finished_at(before), self._now)
                if pause > 0:
                    self._look_after(pause)
                    continue
            found.append(rules.indexed_pod(job, pod, index, before))
        return found

    def _create_one(self, pod: Object) -> None:
        try:
            created = self._local.create(pod)
        except ApiError as error:
            if is_terminating_namespace(error):
                return
            self._tell("Warning", "FailedCreate", f"Error creating: {error.message}")
            raise
        self._tell("Normal", "SuccessfulCreate", f"Created pod: {created['metadata']['name']}")

    def _delete(self, pods: Sequence[Object], *, releases: bool) -> tuple[int, ApiError | None]:
        """Delete pods, uncounted where their finalizer is taken off first; how many went."""
        deleted = 0
        error: ApiError | None = None
        for pod in pods:
            try:
                if releases:
                    release(self._local, pod)
                if self._local.delete(pod):
                    self._tell("Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
            except ApiError as refused:
                self._tell("Warning", "FailedDelete", f"Error deleting: {refused.message}")
                error = error or refused
                continue
            deleted += 1
            self._ready -= is_ready(pod)
        self._count -= deleted
        self._terminating += deleted
        return deleted, error

    # --- counting -------------------------------------------------------------------------------------------------

    def _track(self, finished: Object | None) -> None:
        """Count finished pods and take their finalizers off; end the Job when all are counted."""
        with_finalizer = {pod["metadata"]["uid"] for pod in self._pods if rules.has_finalizer(pod)}
        self._raise_counts(with_finalizer)
        to_release = self._mark(finished)
        if rules.is_indexed(self._job):
            self._write_indexes()
        conditions = self._status.setdefault("conditions", [])
        if finished is not None and finished["type"] == "FailureTarget":
            conditions.append(finished)
            finished = self._condition("Failed", finished["reason"], finished.get("message", ""))
        elif finished is not None and finished["type"] == "SuccessCriteriaMet":
            if condition_of(self._job, "SuccessCriteriaMet") is None:
                conditions.append(finished)
            finished = self._condition("Complete", finished["reason"], finished.get("message", ""))
        self._flush()
        self._memory[self._job["metadata"]["uid"]] = self._pause
        for pod in to_release:
            if release(self._local, pod):
                with_finalizer.discard(pod["metadata"]["uid"])
        self._raise_counts(with_finalizer)
        is_over = (
            finished is not None
            and not any(self._uncounted.values())
            and self._terminating <= 0
            and len(to_release) < _BURST
        )
        if is_over and finished is not None:
            rules.ensure_condition(self._status.setdefault("conditions", []), finished)
            if finished["type"] == "Complete":
                self._status["completionTime"] = finished["lastTransitionTime"]
        self._flush()
        if is_over and finished is not None:
            self._tell_end(finished)

    def _mark(self, finished: Object | None) -> list[Object]:
        """Write uids of pods that have ended into the status; pods that need no finalizer any more."""
        job = self._job
        is_going = bool(job["metadata"].get("deletionTimestamp"))
        has_succeeded = finished is not None and finished["type"] in {"SuccessCriteriaMet", "Complete"}
        kept = {pod["metadata"]["uid"] for pod in self._retained.values()}
        found: list[Object] = []
        for pod in self._pods:
            uid, has_failed = pod["metadata"]["uid"], rules.is_failed(pod, job)
            is_good = _phase(pod) == "Succeeded"
            ends = is_going or finished is not None or is_good or (has_failed and uid not in kept)
            if not rules.has_finalizer(pod) or not ends:
                continue
            found.append(pod)
            if is_good and uid not in self._uncounted.get("failed", ()):
                if not rules.is_indexed(job):
                    self._note("succeeded", uid)
            elif has_failed or (finished is not None and not has_succeeded):
                is_in = not rules.is_indexed(job) or rules.index_of(pod, job) >= 0
                if is_in and rules.match_failure_policy(job, pod)[1]:
                    self._note("failed", uid)
            if len(found) >= _BURST:
                break
        return found

    def _note(self, field: str, uid: str) -> None:
        uids = self._uncounted.setdefault(field, [])
        if uid not in uids:
            uids.append(uid)

    def _raise_counts(self, with_finalizer: set[str]) -> None:
        for field in ("succeeded", "failed"):
            uids = self._uncounted.get(field, [])
            left = [uid for uid in uids if uid in with_finalizer]
            if len(left) != len(uids):
                self._status[field] = int(self._status.get(field) or 0) + len(uids) - len(left)
            if left:
                self._uncounted[field] = left
            else:
                self._uncounted.pop(field, None)

    def _write_indexes(self) -> None:
        if self._done:
            self._status["succeeded"] = len(self._done)
            self._status["completedIndexes"] = rules.intervals(self._done)
        if self._failed_indexes is not None:
            self._status["failedIndexes"] = rules.intervals(self._failed_indexes)

    def _flush(self) -> None:
        if _normal(self._status) == _normal(self._before):
            return
        self._job["status"] = self._status
        self._job = self._local.update_status(self._job)
        self._before = copy.deepcopy(self._job.get("status") or {})
        self._status = self._job.setdefault("status", {})
        self._uncounted = self._status.setdefault("uncountedTerminatedPods", {})

    def _tell_end(self, finished: Object) -> None:
        if finished["type"] != "Complete":
            self._tell("Warning", finished["reason"], finished.get("message", ""))
            return
        completions = self._job["spec"].get("completions")
        if completions is not None and int(self._status.get("succeeded") or 0) > int(completions):
            text = "Too many succeeded pods running after completion count reached"
            self._tell("Warning", "TooManySucceededPods", text)
        self._tell("Normal", "Completed", "Job completed")

    def _tell(self, kind: str, reason: str, message: str) -> None:
        record(self._local, self._job, kind, reason, message, _COMPONENT)


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _normal(status: Object) -> Object:
    """A status for comparison: counts that are zero or lists that are empty say nothing, but for those that may be unknown."""
    return {
        key: value
        for key, value in status.items()
        if value or key in {"ready", "terminating", "uncountedTerminatedPods", "failedIndexes"}
    }
