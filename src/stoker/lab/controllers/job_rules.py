"""What a Job has done and has still to do. Pure.

Source: kubernetes pkg/controller/job/{job_controller.go,indexed_job_utils.go,pod_failure_policy.go,success_policy.go,
backoff_utils.go}.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from stoker.lab.controllers.objects import Object, is_active, is_ready, moment, ready_since, restarts

__all__ = [
    "FINALIZER",
    "INDEX",
    "condition",
    "ensure_condition",
    "failed_indexes",
    "finished_at",
    "finished_condition",
    "for_removal",
    "has_finalizer",
    "index_of",
    "indexed_pod",
    "intervals",
    "is_failed",
    "is_finished",
    "is_indexed",
    "is_suspended",
    "match_failure_policy",
    "match_success_policy",
    "numbers",
    "past_backoff_limit",
    "pause_after",
    "pending_indexes",
    "replaces_only_failed",
    "retained",
]

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
_FAILURES = "batch.kubernetes.io/job-index-failure-count"
_IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
_INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
_LONGEST_PREFIX = 58
# DefaultJobPodFailureBackOff, MaxJobPodFailureBackOff.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 600.0
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


# --- jobs ---------------------------------------------------------------------------------------------------------


def is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def is_suspended(job: Object) -> bool:
    return bool(job["spec"].get("suspend"))


def finished_condition(job: Object) -> Object | None:
    """The condition Complete or Failed that ended a Job."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return next(
        (one for one in conditions if one["type"] in {"Complete", "Failed"} and one["status"] == "True"), None
    )


def is_finished(job: Object) -> bool:
    return finished_condition(job) is not None


def replaces_only_failed(job: Object) -> bool:
    """Whether a pod is replaced when it has failed, and not as soon as it is being deleted."""
    return job["spec"].get("podReplacementPolicy") == "Failed" or bool(job["spec"].get("podFailurePolicy"))


def condition(kind: str, reason: str, message: str, at: str, status: str = "True") -> Object:
    found = {
        "type": kind,
        "status": status,
        "lastProbeTime": at,
        "lastTransitionTime": at,
        "reason": reason,
        "message": message,
    }
    return {key: value for key, value in found.items() if value}


def ensure_condition(conditions: list[Object], new: Object) -> bool:
    """Put a condition in place; one that is False is not put where there was none. Whether that is news."""
    for index, old in enumerate(conditions):
        if old["type"] == new["type"]:
            if all(old.get(name) == new.get(name) for name in ("status", "reason", "message")):
                return False
            conditions[index] = new
            return True
    if new["status"] == "False":
        return False
    conditions.append(new)
    return True


# --- pods ---------------------------------------------------------------------------------------------------------


def has_finalizer(pod: Object) -> bool:
    return FINALIZER in (pod["metadata"].get("finalizers") or ())


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def is_failed(pod: Object, job: Object) -> bool:
    if _phase(pod) == "Failed":
        return True
    if replaces_only_failed(job):
        return False
    return bool(pod["metadata"].get("deletionTimestamp")) and _phase(pod) != "Succeeded"


def index_of(pod: Object, job: Object) -> int:
    """The index that a pod works on; -1 where it has none, or one beyond what the Job asks for."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    index = int(text) if text.isdigit() else -1
    return index if index < int(job["spec"].get("completions") or 0) else -1


def _count(pod: Object, annotation: str) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(annotation, "")
    return int(text) if text.isdigit() else 0


def finished_at(pod: Object) -> datetime:
    """When a pod ended: its last container, or when it stopped being ready, or was deleted (getFinishedTime)."""
    status = pod.get("status") or {}
    ends: list[datetime] = []
    for one in status.get("containerStatuses") or ():
        end = ((one.get("state") or {}).get("terminated") or {}).get("finishedAt")
        if not end:
            ends = []
            break
        ends.append(moment(end))
    if ends:
        return max(ends)
    for one in status.get("conditions") or ():
        if one["type"] == "Ready" and one["status"] == "False" and one.get("lastTransitionTime"):
            return moment(one["lastTransitionTime"])
    metadata = pod["metadata"]
    if metadata.get("deletionTimestamp"):
        grace = timedelta(seconds=int(metadata.get("deletionGracePeriodSeconds") or 0))
        return moment(metadata["deletionTimestamp"]) - grace
    return moment(metadata["creationTimestamp"])


def past_backoff_limit(job: Object, pods: Iterable[Object]) -> bool:
    """Whether containers that restart in place did so too often."""
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    limit = int(job["spec"].get("backoffLimit") or 0)
    total = sum(
        int(one.get("restartCount") or 0)
        for pod in pods
        if _phase(pod) in {"Running", "Pending"}
        for field in ("initContainerStatuses", "containerStatuses")
        for one in (pod.get("status") or {}).get(field) or ()
    )
    return total > 0 if limit == 0 else total >= limit


def pause_after(failures: int, last: datetime | None, now: datetime) -> float:
    """Seconds until a pod may be created again: ten, doubled by every failure since the last success."""
    if failures == 0 or last is None:
        return 0.0
    pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10))
    return max(0.0, pause - (now - last).total_seconds())


def for_removal(job: Object, active: Sequence[Object], least: int) -> list[Object]:
    """Active pods that go: doubles of an index and indexes that are not asked for, then the least advanced."""
    gone: list[Object] = []
    left = list(active)
    if is_indexed(job):
        left = []
        by_index: dict[int, list[Object]] = {}
        for pod in active:
            by_index.setdefault(index_of(pod, job), []).append(pod)
        for index, pods in sorted(by_index.items()):
            ordered = sorted(pods, key=_rank)
            if index < 0:
                gone += ordered
            else:
                gone += ordered[:-1]
                left.append(ordered[-1])
    if len(gone) < least:
        gone += sorted(left, key=_rank)[: least - len(gone)]
    return gone


def _rank(pod: Object) -> tuple[object, ...]:
    """ActivePods.Less: unassigned, then by phase, not ready, ready for the shortest time, most restarts, youngest."""
    since = ready_since(pod)
    many, sidecars = restarts(pod)
    created = pod["metadata"].get("creationTimestamp", "")
    return (
        bool(pod["spec"].get("nodeName")),
        _PHASES.get(_phase(pod), 0),
        is_ready(pod),
        -moment(since).timestamp() if since else float("-inf"),
        -many,
        -sidecars,
        -moment(created).timestamp() if created else float("-inf"),
    )


# --- indexes ------------------------------------------------------------------------------------------------------


def numbers(text: str | None, most: int) -> set[int]:
    """Indexes below ``most`` written as ``0,2-4``."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            found.update(range(int(first), min(most, int(last or first) + 1)))
    return {one for one in found if one < most}


def intervals(indexes: Iterable[int]) -> str:
    """Indexes as the status writes them: two neighbours with a comma, three and more with a dash."""
    spans: list[list[int]] = []
    for index in sorted(indexes):
        if spans and index == spans[-1][1] + 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    texts = []
    for first, last in spans:
        if first == last:
            texts.append(f"{first}")
        else:
            texts.append(f"{first},{last}" if last == first + 1 else f"{first}-{last}")
    return ",".join(texts)


def pending_indexes(
    job: Object, pods: Iterable[Object], done: set[int], failed: set[int], count: int
) -> list[int]:
    """The first indexes that nobody works on."""
    busy = done | failed
    for pod in pods:
        is_going = replaces_only_failed(job) and pod["metadata"].get("deletionTimestamp")
        if is_active(pod) or (is_going and _phase(pod) not in {"Succeeded", "Failed"}):
            busy.add(index_of(pod, job))
    found: list[int] = []
    for index in range(int(job["spec"].get("completions") or 0)):
        if len(found) >= count:
            break
        if index not in busy:
            found.append(index)
    return found


def failed_indexes(job: Object, pods: Iterable[Object]) -> set[int] | None:
    """Indexes that may not be tried again; None where the Job has no limit for each index."""
    limit = job["spec"].get("backoffLimitPerIndex")
    if limit is None or not is_indexed(job):
        return None
    most = int(job["spec"].get("completions") or 0)
    found = numbers((job.get("status") or {}).get("failedIndexes"), most)
    for pod in pods:
        index = index_of(pod, job)
        if index < 0 or not is_failed(pod, job):
            continue
        if match_failure_policy(job, pod)[2] == "FailIndex" or _count(pod, _FAILURES) >= int(limit):
            found.add(index)
    return found


def retained(job: Object, pods: Iterable[Object], over: set[int]) -> dict[int, Object]:
    """By index the failed pod that is kept until another takes its place, because it counts the index's failures."""
    if job["spec"].get("backoffLimitPerIndex") is None:
        return {}
    pods = list(pods)
    busy = over | {index_of(pod, job) for pod in pods if is_active(pod)}
    found: dict[int, Object] = {}
    for pod in pods:
        index = index_of(pod, job)
        if index < 0 or index in busy or not has_finalizer(pod) or not is_failed(pod, job):
            continue
        last = found.get(index)
        if last is None or (failures_of(last) <= failures_of(pod) and finished_at(last) <= finished_at(pod)):
            found[index] = pod
    return found


def failures_of(pod: Object) -> int:
    """How often the index of a pod had failed before it."""
    return _count(pod, _FAILURES) + _count(pod, _IGNORED)


def indexed_pod(job: Object, pod: Object, index: int, before: Object | None) -> Object:
    """A pod for one index, in place of one that failed."""
    pod = copy.deepcopy(pod)
    metadata = pod["metadata"]
    text = str(index)
    metadata.setdefault("annotations", {})[INDEX] = text
    metadata.setdefault("labels", {})[INDEX] = text
    name = job["metadata"]["name"]
    suffix = f"-{index}-"
    metadata["generateName"] = f"{name[: _LONGEST_PREFIX - len(suffix)]}{suffix}"
    pod["spec"]["hostname"] = f"{name}-{index}"
    for field in ("initContainers", "containers"):
        for container in pod["spec"].get(field) or ():
            variables = container.setdefault("env", [])
            if all(one["name"] != _INDEX_VARIABLE for one in variables):
                source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
                variables.append({"name": _INDEX_VARIABLE, "valueFrom": source})
    if job["spec"].get("backoffLimitPerIndex") is not None:
        failures, ignored = 0, 0
        if before is not None:
            is_counted = match_failure_policy(job, before)[1]
            failures = _count(before, _FAILURES) + is_counted
            ignored = _count(before, _IGNORED) + (not is_counted)
        metadata["annotations"][_FAILURES] = str(failures)
        if ignored:
            metadata["annotations"][_IGNORED] = str(ignored)
    return pod


# --- policies -----------------------------------------------------------------------------------------------------


def match_failure_policy(job: Object, pod: Object) -> tuple[str, bool, str]:
    """What a Job's policy says of a failed pod: why the Job fails, whether the failure counts, the action."""
    for index, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or ()):
        found = _what_matches(rule, pod)
        if not found:
            continue
        action = rule["action"]
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        if action == "FailJob":
            return found.format(pod=name) + f" matching FailJob rule at index {index}", True, action
        return "", action != "Ignore", action
    return "", True, ""


def _what_matches(rule: Object, pod: Object) -> str:
    status = pod.get("status") or {}
    codes = rule.get("onExitCodes")
    if codes is not None:
        for field in ("containerStatuses", "initContainerStatuses"):
            for one in status.get(field) or ():
                code = ((one.get("state") or {}).get("terminated") or {}).get("exitCode")
                if not code or codes.get("containerName") not in {None, one["name"]}:
                    continue
                if (code in codes["values"]) == (codes["operator"] == "In"):
                    return f"Container {one['name']} for pod {{pod}} failed with exit code {code}"
        return ""
    for one in status.get("conditions") or ():
        for pattern in rule.get("onPodConditions") or ():
            if (one["type"], one["status"]) == (pattern["type"], pattern.get("status", "True")):
                return f"Pod {{pod}} has condition {one['type']}"
    return ""


def match_success_policy(spec: Mapping[str, Object], done: set[int], completions: int) -> str:
    """Which rule makes a Job a success before all indexes are done; empty for none."""
    for index, rule in enumerate((spec.get("successPolicy") or {}).get("rules") or ()):
        if not done:
            return ""
        count = rule.get("succeededCount")
        if rule.get("succeededIndexes") is not None:
            wanted = numbers(rule["succeededIndexes"], completions)
            has = len(wanted & done)
            if wanted and (has == len(wanted) or (count is not None and has >= int(count))):
                return f"Matched rules at index {index}"
        elif count is not None and len(done) >= int(count):
            return f"Matched rules at index {index}"
    return ""
