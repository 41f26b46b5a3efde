"""What a Deployment wants of its ReplicaSets, and what it says of itself. Pure.

Source: kubernetes pkg/controller/deployment/{sync.go,progress.go}, pkg/controller/deployment/util/deployment_util.go.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from stoker.lab.controllers.objects import Object, condition_of, moment, scaled_value

__all__ = [
    "DESIRED",
    "HASH",
    "MAX",
    "REVISION",
    "annotate_new",
    "available",
    "by_age",
    "calculate_status",
    "condition",
    "copy_annotations",
    "has_deadline",
    "is_complete",
    "is_saturated",
    "max_surge",
    "max_unavailable",
    "new_replicas",
    "newest_of",
    "number",
    "progress",
    "proportions",
    "replicas",
    "revision_of",
    "set_condition",
    "set_counts",
    "without_condition",
    "without_hash",
]

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
HASH = "pod-template-hash"
_NOT_COPIED = frozenset(
    ("kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MAX, "deprecated.deployment.rollback.to")
)  # fmt: skip
_LONGEST_HISTORY = 2000
_FOREVER = 2**31 - 1


def number(obj: Object, name: str) -> int:
    """A count of the status, zero where it is not told."""
    return int((obj.get("status") or {}).get(name) or 0)


def replicas(obj: Object) -> int:
    return int(obj["spec"].get("replicas") or 0)


def available(sets: Iterable[Object]) -> int:
    return sum(number(one, "availableReplicas") for one in sets)


def by_age(sets: Iterable[Object]) -> list[Object]:
    return sorted(
        sets, key=lambda one: (one["metadata"].get("creationTimestamp", ""), one["metadata"]["name"])
    )


def revision_of(obj: Object) -> int:
    text = (obj["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.lstrip("-").isdigit() else 0


# --- limits -------------------------------------------------------------------------------------------------------


def _limits(deployment: Object) -> tuple[int, int]:
    """MaxSurge and maxUnavailable as counts; never both zero (ResolveFenceposts)."""
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0, 0
    rules = strategy.get("rollingUpdate") or {}
    wanted = replicas(deployment)
    surge = scaled_value(rules.get("maxSurge"), wanted, is_up=True)
    unavailable = scaled_value(rules.get("maxUnavailable"), wanted, is_up=False)
    return surge, 1 if surge == 0 and unavailable == 0 else unavailable


def max_surge(deployment: Object) -> int:
    return _limits(deployment)[0]


def max_unavailable(deployment: Object) -> int:
    wanted = replicas(deployment)
    return min(_limits(deployment)[1], wanted) if wanted else 0


def new_replicas(deployment: Object, sets: Iterable[Object], new: int) -> int:
    """Replicas that the new ReplicaSet may have now (NewRSNewReplicas); ``new`` is what it has."""
    wanted = replicas(deployment)
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        return wanted
    rules = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    most = wanted + scaled_value(rules.get("maxSurge"), wanted, is_up=True)
    there = sum(replicas(one) for one in sets)
    return new if there >= most else new + min(most - there, wanted - new)


# --- templates and annotations ------------------------------------------------------------------------------------


def without_hash(template: Object) -> Object:
    """A template as the Deployment has it: without the label that tells ReplicaSets apart."""
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    rest = {key: value for key, value in metadata.items() if key not in {"labels", "creationTimestamp"}}
    return {**template, "metadata": {**rest, "labels": labels}}


def newest_of(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """The ReplicaSet with the Deployment's template: the oldest, should there be several (FindNewReplicaSet)."""
    wanted = without_hash(deployment["spec"]["template"])
    return next((one for one in by_age(sets) if without_hash(one["spec"]["template"]) == wanted), None)


def copy_annotations(deployment: Object, annotations: dict[str, str]) -> bool:
    """Give a ReplicaSet its Deployment's annotations; whether that changed anything."""
    changed = False
    for key, value in (deployment["metadata"].get("annotations") or {}).items():
        if key not in _NOT_COPIED and annotations.get(key) != value:
            annotations[key] = value
            changed = True
    return changed


def annotate_new(deployment: Object, annotations: dict[str, str], revision: int) -> bool:
    """Annotations of the new ReplicaSet and its revision; whether anything changed (SetNewReplicaSetAnnotations)."""
    changed = copy_annotations(deployment, annotations)
    text = annotations.get(REVISION, "")
    if text and not text.isdigit():
        return False
    old = int(text or 0)
    if old < revision:
        annotations[REVISION] = str(revision)
        changed = True
        if text:
            _remember(annotations, text)
    return changed


def _remember(annotations: dict[str, str], old: str) -> None:
    history = [one for one in annotations.get(HISTORY, "").split(",") if one]
    while history and len(",".join([*history, old])) > _LONGEST_HISTORY:
        history.pop(0)
    annotations[HISTORY] = ",".join([*history, old])


def set_counts(deployment: Object, annotations: dict[str, str]) -> bool:
    """What the Deployment wants, written where the next scaling finds it; whether that is news."""
    wanted = replicas(deployment)
    counts = {DESIRED: str(wanted), MAX: str(wanted + max_surge(deployment))}
    if all(annotations.get(key) == value for key, value in counts.items()):
        return False
    annotations.update(counts)
    return True


# --- scaling ------------------------------------------------------------------------------------------------------


def is_saturated(deployment: Object, new: Object | None) -> bool:
    """Whether the new ReplicaSet is all there is to be, and available."""
    if new is None:
        return False
    desired = (new["metadata"].get("annotations") or {}).get(DESIRED, "")
    wanted = replicas(deployment)
    return (
        desired.isdigit()
        and replicas(new) == int(desired) == wanted
        and number(new, "availableReplicas") == wanted
    )


def proportions(deployment: Object, sets: Sequence[Object]) -> list[tuple[Object, int]]:
    """New sizes of the ReplicaSets of a rollout that is scaled while it runs: each its share, the largest the rest."""
    wanted = replicas(deployment)
    allowed = wanted + max_surge(deployment) if wanted > 0 else 0
    missing = allowed - sum(replicas(one) for one in sets)
    ordered = by_age(sets)
    if missing > 0:
        ordered.reverse()
    if missing:
        ordered.sort(key=replicas, reverse=True)
    added = 0
    sizes: list[int] = []
    for one in ordered:
        share = _share(deployment, one, missing, added)
        sizes.append(replicas(one) + share)
        added += share
    if missing and sizes:
        sizes[0] = max(0, sizes[0] + missing - added)
    return list(zip(ordered, sizes, strict=True))


def _share(deployment: Object, one: Object, missing: int, added: int) -> int:
    size = replicas(one)
    if size == 0 or missing in {0, added}:
        return 0
    allowed = missing - added
    share = _fraction(deployment, one, size)
    return min(share, allowed) if missing > 0 else max(share, allowed)


def _fraction(deployment: Object, one: Object, size: int) -> int:
    wanted = replicas(deployment)
    if wanted == 0:
        return -size
    text = (one["metadata"].get("annotations") or {}).get(MAX, "")
    before = int(text) if text.isdigit() else 0
    before = before or number(deployment, "replicas")
    if before == 0:
        return 0
    scaled = size * (wanted + max_surge(deployment)) / before
    # integer.RoundToInt32: halves away from zero.
    return int(scaled + 0.5 if scaled >= 0 else scaled - 0.5) - size


# --- status -------------------------------------------------------------------------------------------------------


def condition(kind: str, status: str, reason: str, message: str, at: str) -> Object:
    return {
        "type": kind,
        "status": status,
        "lastUpdateTime": at,
        "lastTransitionTime": at,
        "reason": reason,
        "message": message,
    }


def set_condition(conditions: list[Object], new: Object) -> list[Object]:
    """Conditions with a new one at the end, unless it says what the old one said (SetDeploymentCondition)."""
    old = next((one for one in conditions if one["type"] == new["type"]), None)
    if old is not None and old["status"] == new["status"]:
        if old.get("reason") == new["reason"]:
            return conditions
        new["lastTransitionTime"] = old["lastTransitionTime"]
    return [*without_condition(conditions, new["type"]), new]


def without_condition(conditions: Iterable[Object], kind: str) -> list[Object]:
    return [one for one in conditions if one["type"] != kind]


def calculate_status(deployment: Object, sets: Sequence[Object], new: Object | None, at: str) -> Object:
    """Counts, and whether enough is available."""
    ready = available(sets)
    unavailable = max(0, sum(replicas(one) for one in sets) - ready)
    counts = {
        "observedGeneration": int(deployment["metadata"].get("generation") or 0),
        "replicas": sum(number(one, "replicas") for one in sets),
        "updatedReplicas": number(new, "replicas") if new is not None else 0,
        "readyReplicas": sum(number(one, "readyReplicas") for one in sets),
        "availableReplicas": ready,
        "unavailableReplicas": unavailable,
    }
    status: Object = {key: value for key, value in counts.items() if value}
    going = _terminating(sets)
    if going is not None:
        status["terminatingReplicas"] = going
    collisions = (deployment.get("status") or {}).get("collisionCount")
    if collisions is not None:
        status["collisionCount"] = collisions
    if ready >= replicas(deployment) - max_unavailable(deployment):
        found = condition(
            "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", at
        )
    else:
        found = condition(
            "Available",
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
            at,
        )
    before = list((deployment.get("status") or {}).get("conditions") or ())
    status["conditions"] = set_condition(before, found)
    return status


def _terminating(sets: Iterable[Object]) -> int | None:
    total = 0
    for one in sets:
        status = one.get("status") or {}
        if status.get("terminatingReplicas") is None:
            if status.get("observedGeneration"):
                return None
            continue
        total += int(status["terminatingReplicas"])
    return total


def has_deadline(deployment: Object) -> bool:
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return seconds is not None and int(seconds) != _FOREVER


def is_complete(deployment: Object, status: Object) -> bool:
    wanted = replicas(deployment)
    counts = (status.get(name) or 0 for name in ("updatedReplicas", "replicas", "availableReplicas"))
    generation = int(deployment["metadata"].get("generation") or 0)
    return all(count == wanted for count in counts) and (status.get("observedGeneration") or 0) >= generation


def _has_progressed(old: Object, new: Object) -> bool:
    def count(status: Object, name: str) -> int:
        return int(status.get(name) or 0)

    return (
        count(new, "updatedReplicas") > count(old, "updatedReplicas")
        or count(new, "replicas") - count(new, "updatedReplicas")
        < count(old, "replicas") - count(old, "updatedReplicas")
        or count(new, "readyReplicas") > count(old, "readyReplicas")
        or count(new, "availableReplicas") > count(old, "availableReplicas")
    )


def _has_timed_out(deployment: Object, status: Object, now: datetime) -> bool:
    found = condition_of({"status": status}, "Progressing")
    if found is None or found["reason"] == "NewReplicaSetAvailable":
        return False
    if found["reason"] == "ProgressDeadlineExceeded":
        return True
    limit = int(deployment["spec"]["progressDeadlineSeconds"])
    return (now - moment(found["lastUpdateTime"])).total_seconds() > limit


def progress(
    deployment: Object, sets: Sequence[Object], new: Object | None, now: datetime, at: str
) -> Object:
    """The status during a rollout: how it goes, and why pods fail (syncRolloutStatus)."""
    status = calculate_status(deployment, sets, new, at)
    conditions: list[Object] = status["conditions"]
    current = condition_of(deployment, "Progressing")
    is_done = (
        status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and current is not None
        and current["reason"] == "NewReplicaSetAvailable"
    )
    if not has_deadline(deployment):
        conditions = without_condition(conditions, "Progressing")
    elif not is_done:
        kind, name = ("Deployment", deployment["metadata"]["name"])
        if new is not None:
            kind, name = "ReplicaSet", new["metadata"]["name"]
        if is_complete(deployment, status):
            text = f'{kind} "{name}" has successfully progressed.'
            conditions = set_condition(
                conditions, condition("Progressing", "True", "NewReplicaSetAvailable", text, at)
            )
        elif _has_progressed(deployment.get("status") or {}, status):
            text = f'{kind} "{name}" is progressing.'
            found = condition("Progressing", "True", "ReplicaSetUpdated", text, at)
            if current is not None and current["status"] == "True":
                found["lastTransitionTime"] = current["lastTransitionTime"]
            conditions = [*without_condition(conditions, "Progressing"), found]
        elif _has_timed_out(deployment, status, now):
            text = f'{kind} "{name}" has timed out progressing.'
            conditions = set_condition(
                conditions, condition("Progressing", "False", "ProgressDeadlineExceeded", text, at)
            )
    failure = _failure(sets, new)
    if failure is None:
        conditions = without_condition(conditions, "ReplicaFailure")
    else:
        conditions = set_condition(conditions, failure)
    status["conditions"] = conditions
    return status


def _failure(sets: Iterable[Object], new: Object | None) -> Object | None:
    for one in ([new] if new is not None else []) + list(sets):
        found = condition_of(one, "ReplicaFailure")
        if found is not None:
            at = found.get("lastTransitionTime", "")
            return condition(
                "ReplicaFailure", found["status"], found.get("reason", ""), found.get("message", ""), at
            )
    return None
