"""When is an object of each kind ready, by what its controller says."""

from typing import Any

import pytest

from stoker.apply.readiness import Around, Failed, Ready, Waiting, readiness


def obj(
    kind: str, status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, generation: int = 2
) -> dict[str, Any]:
    name, _, group = kind.partition(".")
    return {
        "apiVersion": f"{group}/v1" if group else "v1", "kind": name, "metadata": {"name": "x", "generation": generation},
        "spec": spec or {}, **({} if status is None else {"status": status}),
    }  # fmt: skip


def said(*conditions: str, **more: Any) -> dict[str, Any]:
    """``Ready``, ``!Ready`` or ``?Ready``, with a message of its own."""
    marks = {"!": "False", "?": "Unknown"}
    found = [
        {"type": c.lstrip("!?"), "status": marks.get(c[0], "True"), "message": f"said of {c.lstrip('!?')}"}
        for c in conditions
    ]
    return {"conditions": found, **more}


ROLLED = {
    "observedGeneration": 2,
    "replicas": 3,
    "updatedReplicas": 3,
    "availableReplicas": 3,
    "readyReplicas": 3,
}
CASES = [
    ("Deployment.apps", ROLLED, {"replicas": 3}, Ready),
    ("Deployment.apps", {**ROLLED, "observedGeneration": 1}, {"replicas": 3}, Waiting),
    ("Deployment.apps", None, {"replicas": 3}, Waiting),
    ("Deployment.apps", {**ROLLED, "updatedReplicas": 2}, {"replicas": 3}, Waiting),
    ("Deployment.apps", {**ROLLED, "replicas": 4}, {"replicas": 3}, Waiting),
    ("Deployment.apps", {**ROLLED, "availableReplicas": 2}, {"replicas": 3}, Waiting),
    ("Deployment.apps", {"observedGeneration": 2}, {"replicas": 0}, Ready),
    ("Deployment.apps", {**ROLLED, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]},
     {"replicas": 3}, Failed),
    ("StatefulSet.apps", {**ROLLED, "currentRevision": "a", "updateRevision": "a"}, {"replicas": 3}, Ready),
    ("StatefulSet.apps", {**ROLLED, "currentRevision": "a", "updateRevision": "b"}, {"replicas": 3}, Waiting),
    ("StatefulSet.apps", {**ROLLED, "readyReplicas": 2}, {"replicas": 3}, Waiting),
    ("StatefulSet.apps", {**ROLLED, "updatedReplicas": 1}, {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}}, Ready),
    ("DaemonSet.apps", {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}, {}, Ready),
    ("DaemonSet.apps", {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1, "numberAvailable": 2}, {}, Waiting),
    ("DaemonSet.apps", {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}, {}, Waiting),
    ("DaemonSet.apps", {"observedGeneration": 2, "desiredNumberScheduled": 0}, {}, Ready),
    ("Job.batch", said("Complete"), {}, Ready),
    ("Job.batch", said("Failed"), {}, Failed),
    ("Job.batch", {"active": 1}, {}, Waiting),
    ("Job.batch", {}, {"suspend": True}, Ready),
    ("Pod", said("Ready", phase="Running"), {}, Ready),
    ("Pod", said("!Ready", phase="Running"), {}, Waiting),
    ("Pod", {"phase": "Succeeded"}, {}, Ready),
    ("Pod", {"phase": "Failed"}, {}, Failed),
    ("Namespace", {"phase": "Active"}, {}, Ready),
    ("Namespace", {"phase": "Terminating"}, {}, Waiting),
    ("CustomResourceDefinition.apiextensions.k8s.io", said("NamesAccepted", "Established"), {}, Ready),
    ("CustomResourceDefinition.apiextensions.k8s.io", said("!NamesAccepted"), {}, Failed),
    ("CustomResourceDefinition.apiextensions.k8s.io", {}, {}, Waiting),
    ("PersistentVolume", {"phase": "Available"}, {}, Ready),
    ("PersistentVolume", {"phase": "Failed"}, {}, Failed),
    ("PersistentVolumeClaim", {"phase": "Bound"}, {}, Ready),
    ("PersistentVolumeClaim", {"phase": "Pending"}, {"storageClassName": "late"}, Ready),
    ("PersistentVolumeClaim", {"phase": "Pending"}, {}, Ready),
    ("PersistentVolumeClaim", {"phase": "Pending"}, {"storageClassName": "now"}, Waiting),
    ("PersistentVolumeClaim", {"phase": "Pending"}, {"storageClassName": ""}, Waiting),
    ("PersistentVolumeClaim", {"phase": "Lost"}, {}, Failed),
    ("ResourceQuota", {"hard": {"pods": "1"}}, {"hard": {"pods": "1"}}, Ready),
    ("ResourceQuota", {}, {"hard": {"pods": "1"}}, Waiting),
    ("InferenceService.serving.kserve.io", said("Ready"), {}, Ready),
    ("InferenceService.serving.kserve.io", said("!Ready"), {}, Waiting),
    ("InferenceService.serving.kserve.io", said("Ready", observedGeneration=1), {}, Waiting),
    ("InferenceService.serving.kserve.io", said("!Ready", modelStatus={"transitionStatus": "InvalidSpec"}), {}, Failed),
    ("LLMInferenceService.serving.kserve.io", said("Ready"), {}, Ready),
    ("LLMInferenceService.serving.kserve.io", {}, {}, Waiting),
    ("LocalModelCache.serving.kserve.io", {"copies": {"total": 2, "available": 2}}, {}, Ready),
    ("LocalModelCache.serving.kserve.io", {"copies": {"total": 2, "available": 1}}, {}, Waiting),
    ("LocalModelCache.serving.kserve.io", {"copies": {"total": 2, "failed": 1}}, {}, Failed),
    ("ScaledObject.keda.sh", said("Ready"), {}, Ready),
    ("ScaledObject.keda.sh", said("?Ready"), {}, Waiting),
    ("Gateway.gateway.networking.k8s.io", said("Accepted", "Programmed"), {}, Ready),
    ("Gateway.gateway.networking.k8s.io", said("Accepted", "!Programmed"), {}, Waiting),
    ("Gateway.gateway.networking.k8s.io", {}, {}, Waiting),
    ("HTTPRoute.gateway.networking.k8s.io", {"parents": [said("Accepted")]}, {"parentRefs": [{}]}, Ready),
    ("HTTPRoute.gateway.networking.k8s.io", {"parents": [said("!Accepted")]}, {"parentRefs": [{}]}, Waiting),
    ("HTTPRoute.gateway.networking.k8s.io", {"parents": [said("Accepted")]}, {"parentRefs": [{}, {}]}, Waiting),
    ("LeaderWorkerSet.leaderworkerset.x-k8s.io", said("!Available"), {}, Waiting),
    ("Unknown.example.com", said("!Ready"), {}, Waiting),
    ("Unknown.example.com", said("Ready"), {}, Ready),
    ("ConfigMap", None, {}, Ready),
]  # fmt: skip
AROUND = Around(frozenset({"late"}), "late")


@pytest.mark.parametrize(("kind", "status", "spec", "wanted"), CASES)
def test_readiness_by_kind(
    kind: str, status: dict[str, Any] | None, spec: dict[str, Any], wanted: type
) -> None:
    found = readiness(obj(kind, status, spec), AROUND)

    assert wanted is type(found)
    assert isinstance(found, Ready) or found.why


@pytest.mark.parametrize("kind", sorted({case[0] for case in CASES}))
def test_nothing_that_is_being_deleted_is_ready(kind: str) -> None:
    going = obj(kind, said("Ready"))
    going["metadata"]["deletionTimestamp"] = "2026-11-28T00:00:00Z"

    assert Waiting("it is being deleted") == readiness(going)


def test_an_acceptance_of_an_older_route_says_nothing() -> None:
    parent = said("Accepted")
    parent["conditions"][0]["observedGeneration"] = 1

    assert isinstance(
        readiness(obj("HTTPRoute.gateway.networking.k8s.io", {"parents": [parent]}, {"parentRefs": [{}]})),
        Waiting,
    )


def test_the_controller_s_own_words_are_passed_on() -> None:
    found = readiness(obj("ScaledObject.keda.sh", said("!Ready")))

    assert "said of Ready" == getattr(found, "why", "")
