"""What a StatefulSet does next with its pods, and what it says of itself. Pure.

Source: kubernetes pkg/controller/statefulset/{stateful_set_control.go,stateful_set_utils.go}.
"""

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from stoker.lab.controllers.objects import (
    Object,
    controller_reference,
    is_available,
    is_ready,
    pod_of_template,
)

__all__ = [
    "REVISION",
    "Step",
    "arrange",
    "claim_name",
    "claims_of",
    "is_identified",
    "new_pod",
    "ordinal_of",
    "owners_of_claim",
    "statefulset_status",
    "steps",
]

REVISION = "controller-revision-hash"
_NAME = "statefulset.kubernetes.io/pod-name"
_INDEX = "apps.kubernetes.io/pod-index"
_POD = re.compile(r"(.*)-([0-9]+)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do with a pod: make it, delete it, make its claims, put its identity right."""

    action: Literal["create", "delete", "claims", "fix", "release"]
    pod: Object


# --- identity -----------------------------------------------------------------------------------------------------


def ordinal_of(pod: Object, workload: Object) -> int:
    """The number of a pod of the set; -1 for one that is none of it."""
    found = _POD.fullmatch(pod["metadata"]["name"])
    if found is None or found[1] != workload["metadata"]["name"]:
        return -1
    return int(found[2])


def _start(workload: Object) -> int:
    return int((workload["spec"].get("ordinals") or {}).get("start") or 0)


def _replicas(workload: Object) -> int:
    return int(workload["spec"].get("replicas") or 0)


def is_in_range(pod: Object, workload: Object) -> bool:
    start = _start(workload)
    return start <= ordinal_of(pod, workload) < start + _replicas(workload)


def revision_of(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(REVISION) or "")


def claim_name(workload: Object, template: Object, ordinal: int) -> str:
    return f"{template['metadata']['name']}-{workload['metadata']['name']}-{ordinal}"


def claims_of(workload: Object, ordinal: int) -> list[Object]:
    """The claims of one pod."""
    found = []
    selected = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    for template in workload["spec"].get("volumeClaimTemplates") or ():
        metadata = template["metadata"]
        own: Object = {
            "name": claim_name(workload, template, ordinal),
            "namespace": workload["metadata"]["namespace"],
            "labels": {**(metadata.get("labels") or {}), **selected},
        }
        for field in ("annotations", "finalizers"):
            if metadata.get(field):
                own[field] = copy.copy(metadata[field])
        found.append(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": own,
                "spec": copy.deepcopy(template.get("spec") or {}),
            }
        )
    return found


def identify(pod: Object, workload: Object, ordinal: int) -> None:
    """Give a pod its name, labels and volumes (updateIdentity, updateStorage)."""
    name = f"{workload['metadata']['name']}-{ordinal}"
    labels = pod["metadata"].setdefault("labels", {})
    labels[_NAME] = name
    labels[_INDEX] = str(ordinal)
    templates = workload["spec"].get("volumeClaimTemplates") or ()
    names = {template["metadata"]["name"] for template in templates}
    volumes = [
        {
            "name": template["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": claim_name(workload, template, ordinal)},
        }
        for template in templates
    ]
    volumes += [one for one in pod["spec"].get("volumes") or () if one["name"] not in names]
    if volumes:
        pod["spec"]["volumes"] = volumes


def is_identified(pod: Object, workload: Object) -> bool:
    """Whether a pod has the labels and the claims of its number."""
    ordinal = ordinal_of(pod, workload)
    labels = pod["metadata"].get("labels") or {}
    if ordinal < 0 or labels.get(_NAME) != pod["metadata"]["name"]:
        return False
    volumes = {one["name"]: one for one in pod["spec"].get("volumes") or ()}
    return all(
        (volumes.get(template["metadata"]["name"], {}).get("persistentVolumeClaim") or {}).get("claimName")
        == claim_name(workload, template, ordinal)
        for template in workload["spec"].get("volumeClaimTemplates") or ()
    )


def new_pod(
    workload: Object, current: tuple[Object, str], update: tuple[Object, str], ordinal: int
) -> Object:
    """A pod still to be created, of the current revision below the partition (newVersionedStatefulSetPod).

    Args:
        workload: the set.
        current: the set with the template of the current revision, and the revision's name.
        update: the same of the revision that pods shall get.
        ordinal: which pod.
    """
    strategy = workload["spec"].get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate")
    start = _start(workload)
    if rolling is None:
        old = int((workload.get("status") or {}).get("currentReplicas") or 0)
        is_old = strategy.get("type") == "RollingUpdate" and ordinal < start + old
    else:
        is_old = ordinal < start + int(rolling.get("partition") or 0)
    template, revision = current if is_old else update
    spec = copy.deepcopy(template["spec"]["template"])
    name = f"{workload['metadata']['name']}-{ordinal}"
    pod = pod_of_template(spec, workload, name=name)
    identify(pod, workload, ordinal)
    pod["spec"]["hostname"] = name
    if workload["spec"].get("serviceName"):
        pod["spec"]["subdomain"] = workload["spec"]["serviceName"]
    pod["metadata"]["labels"][REVISION] = revision
    return pod


# --- what to do ---------------------------------------------------------------------------------------------------


def arrange(
    workload: Object, pods: Iterable[Object], current: tuple[Object, str], update: tuple[Object, str]
) -> tuple[list[Object], list[Object]]:
    """The pods that shall be, by number, with new ones in the gaps; and those that shall not, from the highest down."""
    start = _start(workload)
    there: dict[int, Object] = {}
    condemned = []
    for pod in pods:
        if is_in_range(pod, workload):
            there[ordinal_of(pod, workload)] = pod
        elif ordinal_of(pod, workload) >= 0:
            condemned.append(pod)
    wanted = [
        there.get(ordinal) or new_pod(workload, current, update, ordinal)
        for ordinal in range(start, start + _replicas(workload))
    ]
    return wanted, sorted(condemned, key=lambda pod: -ordinal_of(pod, workload))


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _is_going(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def steps(
    workload: Object, wanted: Sequence[Object], condemned: Sequence[Object], update: str, now: datetime
) -> Iterator[Step]:
    """What to do now (updateStatefulSet): one pod after the other, unless the set is parallel."""
    min_ready = int(workload["spec"].get("minReadySeconds") or 0)
    is_ordered = workload["spec"].get("podManagementPolicy") != "Parallel"

    def is_unavailable(pod: Object) -> bool:
        return _is_going(pod) or not is_available(pod, min_ready, now)

    for pod in wanted:
        is_last = is_ordered and is_unavailable(pod)
        yield from _keep(pod, workload, is_last=is_last)
        if is_last:
            return
    first = next((pod for pod in [*wanted, *reversed(condemned)] if is_unavailable(pod)), None)
    for pod in condemned:
        yield Step("release", pod)
    for pod in condemned:
        if not _is_going(pod):
            if is_ordered and is_unavailable(pod) and pod is not first:
                return
            yield Step("delete", pod)
        if is_ordered:
            return
    yield from _update(workload, wanted, update, is_unavailable)


def _update(
    workload: Object, wanted: Sequence[Object], update: str, is_unavailable: Callable[[Object], bool]
) -> Iterator[Step]:
    """The highest pod of an old revision goes, once all above it are available."""
    strategy = workload["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return
    least = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    for pod in reversed(wanted[least:]):
        if _phase(pod) and revision_of(pod) != update and not _is_going(pod):
            yield Step("delete", pod)
            return
        if is_unavailable(pod):
            return


def _keep(pod: Object, workload: Object, *, is_last: bool) -> Iterator[Step]:
    phase = _phase(pod)
    if phase in {"Failed", "Succeeded"}:
        if not _is_going(pod):
            yield Step("delete", pod)
        return
    if not phase:
        yield Step("create", pod)
        return
    if phase == "Pending":
        yield Step("claims", pod)
    if not is_last and not is_identified(pod, workload):
        yield Step("fix", pod)


# --- claims -------------------------------------------------------------------------------------------------------


def owners_of_claim(claim: Object, workload: Object, pod: Object) -> list[Object]:
    """The owners of a claim by the set's retention policy (updateClaimOwnerRefForSetAndPod)."""
    policy = workload["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    deletes = policy.get("whenDeleted") == "Delete"
    scales = policy.get("whenScaled") == "Delete"
    references = claim["metadata"].get("ownerReferences") or []
    owners = [{**pod, "apiVersion": "v1", "kind": "Pod"}, workload]
    for reference in references:
        for owner in owners:
            if _names(reference, owner) and reference["uid"] != owner["metadata"].get("uid"):
                # An owner of that name that is gone: the collector will decide.
                return list(references)
    left = [one for one in references if not any(_names(one, owner) for owner in owners)]
    if (deletes or scales) and any(one.get("controller") for one in left):
        return left
    is_scaled_down = not is_in_range(pod, workload)
    if scales and is_scaled_down:
        return [*left, controller_reference(owners[0])]
    if deletes:
        return [*left, controller_reference(workload)]
    return left


def _names(reference: Object, owner: Object) -> bool:
    return (reference["apiVersion"], reference["kind"], reference["name"]) == (
        owner["apiVersion"],
        owner["kind"],
        owner["metadata"]["name"],
    )


# --- status -------------------------------------------------------------------------------------------------------


def statefulset_status(
    workload: Object, pods: Iterable[Object], current: str, update: str, *, collisions: int, now: datetime
) -> Object:
    """The status of a set (computeReplicaStatus, completeRollingUpdate)."""
    min_ready = int(workload["spec"].get("minReadySeconds") or 0)
    there = [pod for pod in pods if _phase(pod)]
    ready = [pod for pod in there if _phase(pod) == "Running" and is_ready(pod)]
    stay = [revision_of(pod) for pod in there if not _is_going(pod)]
    wanted = _replicas(workload)
    status: Object = {
        "observedGeneration": int(workload["metadata"].get("generation") or 0),
        "replicas": len(there),
        "readyReplicas": len(ready),
        "currentReplicas": stay.count(current),
        "updatedReplicas": stay.count(update),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": collisions,
        "availableReplicas": sum(is_available(pod, min_ready, now) for pod in ready),
    }
    strategy = workload["spec"].get("updateStrategy") or {}
    counts = {status[name] for name in ("updatedReplicas", "readyReplicas", "replicas")}
    if strategy.get("type") == "RollingUpdate" and counts == {wanted}:
        status["currentReplicas"] = status["updatedReplicas"]
        status["currentRevision"] = update
    return status
