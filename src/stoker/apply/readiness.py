"""Does an object do yet what it was applied for? Decided from the object alone, as its own controller reports it.

Deployments, StatefulSets and DaemonSets as kubectl's `rollout status` (k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go);
custom resources by their Ready condition (sigs.k8s.io/cli-utils pkg/kstatus documents the convention). A status of an older
generation says nothing about what was applied just now.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.refs import Object, ref_of

__all__ = ["Around", "Failed", "Readiness", "Ready", "Waiting", "readiness"]


@dataclass(frozen=True, slots=True)
class Ready:
    """It stands. ``why`` says what there was to know, where that is not plain."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not yet; ``why`` is its controller's word."""

    why: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It will not come by itself."""

    why: str


Readiness = Ready | Waiting | Failed


@dataclass(frozen=True, slots=True)
class Around:
    """What an object's readiness depends on beside itself.

    Attributes:
        late_binding: StorageClasses that bind a claim only when a pod uses it.
        default_class: the StorageClass of claims that name none.
    """

    late_binding: Collection[str] = frozenset()
    default_class: str = ""


def readiness(obj: Object, around: Around | None = None) -> Readiness:
    """Whether the object is ready, in its controller's own words."""
    if obj["metadata"].get("deletionTimestamp"):
        return Waiting("it is being deleted")
    status = obj.get("status") or {}
    seen, generation = status.get("observedGeneration"), obj["metadata"].get("generation")
    if isinstance(seen, int) and isinstance(generation, int) and seen < generation:
        return Waiting("its controller has not seen the change yet")
    key = ref_of(obj).resource
    if key == "PersistentVolumeClaim":
        return _claim(obj, status, around or Around())
    judge = _JUDGES.get(key)
    if judge is not None:
        return judge(obj, status)
    return _ready_condition(status) if _condition(status, "Ready") is not None else Ready()


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    return next((c for c in status.get("conditions") or () if c.get("type") == kind), None)


def _words(condition: Mapping[str, Any] | None, absent: str) -> str:
    if condition is None:
        return absent
    return str(condition.get("message") or condition.get("reason") or f"{condition.get('type')} is not true")


def _is(status: Mapping[str, Any], kind: str, wanted: str = "True") -> bool:
    return (_condition(status, kind) or {}).get("status") == wanted


def _by_condition(kind: str, absent: str) -> Callable[[Object, Mapping[str, Any]], Readiness]:
    def judge(obj: Object, status: Mapping[str, Any]) -> Readiness:
        condition = _condition(status, kind)
        generation = obj["metadata"].get("generation")
        seen = (condition or {}).get("observedGeneration")
        if isinstance(seen, int) and isinstance(generation, int) and seen < generation:
            return Waiting("its controller has not seen the change yet")
        return Ready() if (condition or {}).get("status") == "True" else Waiting(_words(condition, absent))

    return judge


def _ready_condition(status: Mapping[str, Any]) -> Readiness:
    condition = _condition(status, "Ready")
    if (condition or {}).get("status") == "True":
        return Ready()
    return Waiting(_words(condition, "its controller has not reported yet"))


def _definition(_: Object, status: Mapping[str, Any]) -> Readiness:
    if _is(status, "NamesAccepted", "False"):
        return Failed(_words(_condition(status, "NamesAccepted"), ""))
    if _is(status, "Established"):
        return Ready()
    return Waiting(_words(_condition(status, "Established"), "it is not established yet"))


def _unseen(obj: Object, status: Mapping[str, Any]) -> Waiting | None:
    """These controllers always report the generation: none at all means that they have not looked."""
    if obj["metadata"].get("generation") is not None and status.get("observedGeneration") is None:
        return Waiting("its controller has not seen it yet")
    return None


def _deployment(obj: Object, status: Mapping[str, Any]) -> Readiness:
    if (unseen := _unseen(obj, status)) is not None:
        return unseen
    spec = obj.get("spec") or {}
    wanted = spec.get("replicas", 1)
    progressing = _condition(status, "Progressing") or {}
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Failed(_words(progressing, "it exceeded its progress deadline"))
    updated, total = int(status.get("updatedReplicas") or 0), int(status.get("replicas") or 0)
    available = int(status.get("availableReplicas") or 0)
    paused = " (it is paused)" if spec.get("paused") else ""
    if updated < wanted:
        return Waiting(f"{updated} of {wanted} replicas are updated{paused}")
    if total > updated:
        return Waiting(f"{total - updated} old replicas are to end{paused}")
    if available < updated:
        return Waiting(f"{available} of {updated} replicas are available{paused}")
    return Ready()


def _stateful_set(obj: Object, status: Mapping[str, Any]) -> Readiness:
    if (unseen := _unseen(obj, status)) is not None:
        return unseen
    spec = obj.get("spec") or {}
    strategy = spec.get("updateStrategy") or {}
    wanted, ready = spec.get("replicas", 1), int(status.get("readyReplicas") or 0)
    if ready < wanted:
        return Waiting(f"{ready} of {wanted} replicas are ready")
    if strategy.get("type") == "OnDelete":
        return Ready("pods take the change when they are deleted")
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    updated = int(status.get("updatedReplicas") or 0)
    if partition:
        return (
            Ready()
            if updated >= wanted - partition
            else Waiting(f"{updated} of {wanted - partition} replicas are updated")
        )
    if status.get("updateRevision") != status.get("currentRevision"):
        return Waiting(f"{updated} of {wanted} replicas are updated")
    return Ready()


def _daemon_set(obj: Object, status: Mapping[str, Any]) -> Readiness:
    if (unseen := _unseen(obj, status)) is not None:
        return unseen
    wanted = int(status.get("desiredNumberScheduled") or 0)
    updated, available = (
        int(status.get("updatedNumberScheduled") or 0),
        int(status.get("numberAvailable") or 0),
    )
    on_delete = ((obj.get("spec") or {}).get("updateStrategy") or {}).get("type") == "OnDelete"
    if updated < wanted and not on_delete:
        return Waiting(f"{updated} of {wanted} pods are updated")
    if available < wanted:
        return Waiting(f"{available} of {wanted} pods are available")
    return Ready("" if wanted else "no node wants it")


def _job(obj: Object, status: Mapping[str, Any]) -> Readiness:
    if _is(status, "Failed") or _is(status, "FailureTarget"):
        return Failed(
            _words(_condition(status, "Failed") or _condition(status, "FailureTarget"), "it failed")
        )
    if _is(status, "Complete"):
        return Ready()
    if (obj.get("spec") or {}).get("suspend"):
        return Ready("it is suspended, as it was asked to be")
    return Waiting(f"{int(status.get('active') or 0)} pods run, {int(status.get('succeeded') or 0)} are done")


def _pod(_: Object, status: Mapping[str, Any]) -> Readiness:
    phase = status.get("phase")
    if phase == "Failed":
        return Failed(str(status.get("message") or status.get("reason") or "it failed"))
    if phase == "Succeeded" or _is(status, "Ready"):
        return Ready()
    return Waiting(
        _words(_condition(status, "Ready") or _condition(status, "PodScheduled"), f"it is {phase or 'new'}")
    )


def _claim(obj: Object, status: Mapping[str, Any], around: Around) -> Readiness:
    phase = status.get("phase")
    if phase == "Bound":
        return Ready()
    if phase == "Lost":
        return Failed("its volume is lost")
    name = (obj.get("spec") or {}).get("storageClassName")
    if (around.default_class if name is None else name) in around.late_binding:
        return Ready("it binds with the first pod that uses it")
    return Waiting("no volume is bound to it yet")


def _volume(_: Object, status: Mapping[str, Any]) -> Readiness:
    phase = status.get("phase")
    if phase in {"Available", "Bound", "Released"}:
        return Ready()
    return (
        Failed(str(status.get("message") or "it failed"))
        if phase == "Failed"
        else Waiting("it is not available yet")
    )


def _namespace(_: Object, status: Mapping[str, Any]) -> Readiness:
    return Ready() if status.get("phase") == "Active" else Waiting(f"it is {status.get('phase') or 'new'}")


def _quota(obj: Object, status: Mapping[str, Any]) -> Readiness:
    missing = sorted(set((obj.get("spec") or {}).get("hard") or {}) - set(status.get("hard") or {}))
    return Ready() if not missing else Waiting(f"{', '.join(missing)} not counted yet")


# ModelStatus.transitionStatus that waiting does not mend (kserve v0.20.0 pkg/apis/serving/v1beta1/inference_service_status.go).
_LOST: Final = frozenset(("InvalidSpec",))


def _inference_service(_: Object, status: Mapping[str, Any]) -> Readiness:
    model = status.get("modelStatus") or {}
    found = _ready_condition(status)
    failure = (model.get("lastFailureInfo") or {}).get("message")
    if isinstance(found, Waiting):
        if model.get("transitionStatus") in _LOST:
            return Failed(failure or "its specification cannot be served")
        return Waiting(f"{found.why}: {failure}") if failure else found
    return found


def _gateway(obj: Object, status: Mapping[str, Any]) -> Readiness:
    kind = "Programmed" if _condition(status, "Programmed") is not None else "Accepted"
    return _by_condition(kind, "no controller has accepted it yet")(obj, status)


def _route(obj: Object, status: Mapping[str, Any]) -> Readiness:
    wanted = len((obj.get("spec") or {}).get("parentRefs") or ())
    judge = _by_condition("Accepted", "no gateway has accepted it yet")
    found = [judge(obj, parent) for parent in status.get("parents") or ()]
    waiting = next((one for one in found if not isinstance(one, Ready)), None)
    if waiting is not None:
        return waiting
    return Ready() if len(found) >= wanted else Waiting(f"{len(found)} of {wanted} gateways have accepted it")


def _model_cache(_: Object, status: Mapping[str, Any]) -> Readiness:
    copies = status.get("copies") or {}
    total, available, failed = (int(copies.get(k) or 0) for k in ("total", "available", "failed"))
    if failed:
        return Failed(f"{failed} of {total} nodes could not download it")
    if not total:
        return Waiting("no node has begun to download it")
    return Ready() if available >= total else Waiting(f"{available} of {total} nodes have it")


_JUDGES: Final[Mapping[str, Callable[[Object, Mapping[str, Any]], Readiness]]] = {
    "CustomResourceDefinition.apiextensions.k8s.io": _definition,
    "Deployment.apps": _deployment,
    "StatefulSet.apps": _stateful_set,
    "DaemonSet.apps": _daemon_set,
    "Job.batch": _job,
    "Pod": _pod,
    "PersistentVolume": _volume,
    "Namespace": _namespace,
    "ResourceQuota": _quota,
    "InferenceService.serving.kserve.io": _inference_service,
    "LLMInferenceService.serving.kserve.io": lambda _, status: _ready_condition(status),
    "InferenceGraph.serving.kserve.io": lambda _, status: _ready_condition(status),
    "LocalModelCache.serving.kserve.io": _model_cache,
    "Service.serving.knative.dev": lambda _, status: _ready_condition(status),
    "ScaledObject.keda.sh": lambda _, status: _ready_condition(status),
    "ScaledJob.keda.sh": lambda _, status: _ready_condition(status),
    "Gateway.gateway.networking.k8s.io": _gateway,
    "GatewayClass.gateway.networking.k8s.io": _by_condition("Accepted", "no controller has accepted it yet"),
    "HTTPRoute.gateway.networking.k8s.io": _route,
    "GRPCRoute.gateway.networking.k8s.io": _route,
    "LeaderWorkerSet.leaderworkerset.x-k8s.io": _by_condition(
        "Available", "its groups are not available yet"
    ),
    "ClusterQueue.kueue.x-k8s.io": _by_condition("Active", "Kueue has not taken it yet"),
    "LocalQueue.kueue.x-k8s.io": _by_condition("Active", "Kueue has not taken it yet"),
}
