"""CronJobs: a Job whenever it is due.

Source: kubernetes pkg/controller/cronjob/{cronjob_controllerv2.go,utils.go}.
"""

import copy
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.claims import owns
from stoker.lab.controllers.events import record
from stoker.lab.controllers.job_rules import finished_condition
from stoker.lab.controllers.objects import Object, controller_reference, moment
from stoker.lab.controllers.replicasets import is_terminating_namespace
from stoker.lab.controllers.schedules import Schedule, parse_schedule, zone
from stoker.lab.status import ApiError
from stoker.lab.store import Change

__all__ = ["CronJobs", "due", "job_name", "next_after"]

_COMPONENT = "cronjob-controller"
_SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
# nextScheduleDelta: the controller looks a moment after the time itself.
_DELTA_S = 0.1
_MANY = 100


# --- decisions ----------------------------------------------------------------------------------------------------


def _most_recent(earliest: datetime, schedule: Schedule, now: datetime) -> tuple[datetime | None, int]:
    """The last time between two moments at which something was due, and about how often it was."""
    first = schedule.next(earliest)
    if first is None or now < first:
        return None, 0
    second = schedule.next(first)
    if second is None or now < second:
        return first, 0
    between = int((second - first).total_seconds())
    if between < 1:
        raise ValueError("time difference between two schedules is less than 1 second")
    missed = int((now - first).total_seconds()) // between + 1
    found: datetime | None = None
    at = schedule.next(first + timedelta(seconds=(missed - 2) * between))
    while at is not None and at <= now:
        found, at = at, schedule.next(at)
    return found, missed


def _earliest(cron: Object) -> datetime:
    last = (cron.get("status") or {}).get("lastScheduleTime")
    return moment(last or cron["metadata"]["creationTimestamp"])


def due(cron: Object, schedule: Schedule, now: datetime) -> tuple[datetime | None, bool]:
    """When a Job was last due that has not been started, and whether suspiciously many were missed.

    Raises:
        ValueError: the schedule makes no sense.
    """
    earliest = _earliest(cron)
    deadline = cron["spec"].get("startingDeadlineSeconds")
    if deadline is not None:
        earliest = max(earliest, now - timedelta(seconds=int(deadline)))
    found, missed = _most_recent(earliest, schedule, now)
    return found, found is not None and missed > _MANY


def next_after(cron: Object, schedule: Schedule, now: datetime) -> float | None:
    """Seconds until the controller has to look again."""
    try:
        last, missed = _most_recent(_earliest(cron), schedule, now)
    except ValueError:
        last, missed = now, 0
    if last is None:
        last = now if missed else _earliest(cron)
    at = schedule.next(last)
    return None if at is None else max(0.0, (at - now).total_seconds()) + _DELTA_S


def job_name(cron: Object, at: datetime) -> str:
    """A name that tells times apart: minutes since 1970."""
    return f"{cron['metadata']['name']}-{int(at.timestamp()) // 60}"


def _new_job(cron: Object, at: datetime) -> Object:
    template = cron["spec"]["jobTemplate"]
    metadata = template.get("metadata") or {}
    where = zone(cron["spec"].get("timeZone"))
    text = at.astimezone(where).isoformat(timespec="seconds").replace("+00:00", "Z")
    own: Object = {
        "name": job_name(cron, at),
        "namespace": cron["metadata"]["namespace"],
        "annotations": {**(metadata.get("annotations") or {}), _SCHEDULED: text},
        "ownerReferences": [controller_reference(cron)],
    }
    if metadata.get("labels"):
        own["labels"] = dict(metadata["labels"])
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": own,
        "spec": copy.deepcopy(template["spec"]),
    }


def _surplus(jobs: Iterable[Object], limit: int | None) -> list[Object]:
    """The oldest finished Jobs beyond a history limit."""
    if limit is None:
        return []
    ordered = sorted(
        jobs,
        key=lambda job: (
            (job.get("status") or {}).get("startTime") is None,
            (job.get("status") or {}).get("startTime") or "",
            job["metadata"]["name"],
        ),
    )
    return ordered[: max(0, len(ordered) - limit)]


# --- the controller -----------------------------------------------------------------------------------------------


class CronJobs:
    """The CronJob controller."""

    name = "cronjob"
    shelves: Sequence[str] = ("cronjobs.batch", "jobs.batch")

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._caches = caches
        self._jobs = caches("batch/v1", "Job")

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == "cronjobs.batch":
            return [(change.key.namespace, change.key.name)]
        return self._caches.controllers_of(change, "CronJob")

    def reconcile(self, target: Target) -> float | None:
        cron = self._local.get("batch/v1", "CronJob", *target)
        if cron is None:
            return None
        before = copy.deepcopy(cron.get("status") or {})
        status = cron.setdefault("status", {})
        jobs = [job for job in self._jobs.owned(cron["metadata"]["uid"]) if owns(cron, job)]
        self._follow(cron, jobs)
        error: ApiError | None = None
        wait: float | None = None
        try:
            wait = self._start(cron)
        except ApiError as refused:
            error = refused
        self._clean_up(cron, jobs)
        if {key: value for key, value in status.items() if value} != before:
            self._local.update_status(cron)
        if error is not None and not is_terminating_namespace(error):
            raise error
        return wait

    def _tell(self, cron: Object, kind: str, reason: str, message: str) -> None:
        record(self._local, cron, kind, reason, message, _COMPONENT)

    def _follow(self, cron: Object, jobs: Iterable[Object]) -> None:
        """Keep the list of active Jobs, and when one last succeeded."""
        status = cron["status"]
        listed = {one["uid"] for one in status.get("active") or ()}
        known = set()
        for job in jobs:
            uid, name = job["metadata"]["uid"], job["metadata"]["name"]
            known.add(uid)
            end = finished_condition(job)
            if end is None:
                if uid not in listed:
                    text = f"Saw a job that the controller did not create or forgot: {name}"
                    self._tell(cron, "Warning", "UnexpectedJob", text)
                continue
            if uid in listed:
                _forget(status, uid)
                text = f"Saw completed job: {name}, condition: {end['type']}"
                self._tell(cron, "Normal", "SawCompletedJob", text)
            completed = (job.get("status") or {}).get("completionTime")
            if end["type"] == "Complete" and completed:
                status["lastSuccessfulTime"] = max(status.get("lastSuccessfulTime") or "", completed)
        for one in list(status.get("active") or ()):
            if one["uid"] not in known:
                self._tell(cron, "Normal", "MissingJob", f"Active job went missing: {one['name']}")
                _forget(status, one["uid"])

    def _start(self, cron: Object) -> float | None:
        """Start a Job if one is due; seconds to the next time."""
        spec, now = cron["spec"], self._local.cluster.clock()
        if cron["metadata"].get("deletionTimestamp"):
            return None
        try:
            zone(spec.get("timeZone"))
        except ValueError as error:
            name = spec.get("timeZone")
            self._tell(cron, "Warning", "UnknownTimeZone", f'invalid timeZone: "{name}": {error}')
            return None
        if spec.get("suspend"):
            return None
        try:
            schedule = parse_schedule(spec["schedule"], spec.get("timeZone"))
        except ValueError as error:
            text = f'unparseable schedule: "{spec["schedule"]}" : {error}'
            self._tell(cron, "Warning", "UnparseableSchedule", text)
            return None
        try:
            at, is_late = due(cron, schedule, now)
        except ValueError as error:
            text = f"invalid schedule: {spec['schedule']} : {error}"
            self._tell(cron, "Warning", "InvalidSchedule", text)
            return None
        if is_late:
            text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self._tell(cron, "Warning", "TooManyMissedTimes", text)
        if at is not None and self._may_start(cron, at, now):
            self._create(cron, at)
        return next_after(cron, schedule, now)

    def _may_start(self, cron: Object, at: datetime, now: datetime) -> bool:
        spec, status = cron["spec"], cron["status"]
        deadline = spec.get("startingDeadlineSeconds")
        if deadline is not None and at + timedelta(seconds=int(deadline)) < now:
            text = f"Missed scheduled time to start a job: {at.astimezone(UTC):%a, %d %b %Y %H:%M:%S} UTC"
            self._tell(cron, "Warning", "MissSchedule", text)
            return False
        active = status.get("active") or ()
        last = status.get("lastScheduleTime")
        if any(one["name"] == job_name(cron, at) for one in active) or (last and moment(last) == at):
            return False
        policy = spec.get("concurrencyPolicy")
        if policy == "Forbid" and active:
            text = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self._tell(cron, "Normal", "JobAlreadyActive", text)
            return False
        if policy == "Replace":
            for one in list(active):
                job = self._jobs.get(cron["metadata"]["namespace"], one["name"])
                if job is not None:
                    self._delete(cron, job)
        return True

    def _create(self, cron: Object, at: datetime) -> None:
        wanted = _new_job(cron, at)
        name = wanted["metadata"]["name"]
        try:
            job = self._local.create(wanted)
        except ApiError as error:
            if is_terminating_namespace(error):
                raise
            there = self._jobs.get(cron["metadata"]["namespace"], name)
            if error.reason != "AlreadyExists" or there is None:
                self._tell(cron, "Warning", "FailedCreate", f"Error creating job: {error.message}")
                raise
            if not owns(cron, there):
                return
            job = there
        else:
            self._tell(cron, "Normal", "SuccessfulCreate", f"Created job {name}")
        status = cron["status"]
        status.setdefault("active", []).append(
            {
                "kind": "Job",
                "namespace": job["metadata"]["namespace"],
                "name": name,
                "uid": job["metadata"]["uid"],
                "apiVersion": "batch/v1",
                "resourceVersion": job["metadata"]["resourceVersion"],
            }
        )
        status["lastScheduleTime"] = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def _clean_up(self, cron: Object, jobs: Iterable[Object]) -> None:
        ended = [(job, finished_condition(job)) for job in jobs]
        for kind, field in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            some = [job for job, end in ended if end is not None and end["type"] == kind]
            for job in _surplus(some, cron["spec"].get(field)):
                self._delete(cron, job)

    def _delete(self, cron: Object, job: Object) -> None:
        name = job["metadata"]["name"]
        try:
            self._local.delete(job, propagationPolicy="Background")
        except ApiError as error:
            self._tell(cron, "Warning", "FailedDelete", f"Deleted job: {error.message}")
            return
        _forget(cron["status"], job["metadata"]["uid"])
        self._tell(cron, "Normal", "SuccessfulDelete", f"Deleted job {name}")


def _forget(status: Object, uid: str) -> None:
    active = [one for one in status.get("active") or () if one["uid"] != uid]
    if active:
        status["active"] = active
    else:
        status.pop("active", None)
