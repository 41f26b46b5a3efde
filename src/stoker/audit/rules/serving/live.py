"""Live workloads: what crashes, hangs or never becomes ready, with host memory and GPU memory told apart."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Hit, Severity
from stoker.audit.rule import rule
from stoker.audit.view.view import View
from stoker.kube.quantities import parse
from stoker.kube.snapshot import Item

_STATES: Final = "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-states"
_CUDA: Final = re.compile(
    r"CUDA (error: )?out of memory|OutOfMemoryError|No available memory for the cache blocks|KV cache is needed",
    re.IGNORECASE,
)
_KILLED: Final = 137

Status = Mapping[str, Any]


def _gpu_statuses(view: View) -> Iterator[tuple[Item, int, Status]]:
    """Containers of GPU pods that were observed, with their status."""
    if view.observed:
        for pod, _ in view.gpu_pods:
            for index, status in enumerate(pod.status.get("containerStatuses") or []):
                yield pod, index, status


def _ended(status: Status) -> Mapping[str, Any]:
    """How the container ended last, if it did."""
    for field in ("state", "lastState"):
        found = (status.get(field) or {}).get("terminated")
        if found:
            return dict(found)
    return {}


@rule(
    "container-oom-killed",
    Area.SERVING,
    Severity.ERROR,
    title="Model server was killed for its host memory",
    why="OOMKilled is the container's memory limit, not the GPU's: loading, pinned buffers and /dev/shm count in it. It comes back at every start of the same size.",
    fix="Raise the memory limit; GPU memory flags change nothing here.",
    references=(_STATES,),
    on=_gpu_statuses,
    needs="live",
)
def _container_oom_killed(subject: tuple[Item, int, Status], view: View) -> Iterator[Hit]:
    pod, index, status = subject
    ended = _ended(status)
    if ended.get("reason") == "OOMKilled":
        limit = next(
            (
                str(((c.get("resources") or {}).get("limits") or {}).get("memory", "none"))
                for c in pod.spec.get("containers") or []
                if c.get("name") == status.get("name")
            ),
            "none",
        )
        yield Hit(
            pod,
            ("status", "containerStatuses", index),
            f"{status.get('name')} was OOMKilled (host memory, limit {limit}), {status.get('restartCount', 0)} restarts",
            "OOMKilled",
        )


@rule(
    "container-cuda-out-of-memory",
    Area.SERVING,
    Severity.ERROR,
    title="Model server ran out of GPU memory",
    why="torch's CUDA out of memory is an exception in the process: the container exits with 1, not OOMKilled, and no memory limit helps.",
    fix="Lower --max-model-len or --max-num-seqs, raise tensor parallelism, or use a quantised model.",
    references=("vllm 0.33.0 vllm/v1/core/kv_cache_planning.py:50-85", _STATES),
    on=_gpu_statuses,
    needs="live",
)
def _container_cuda_out_of_memory(subject: tuple[Item, int, Status], view: View) -> Iterator[Hit]:
    pod, index, status = subject
    ended = _ended(status)
    found = _CUDA.search(str(ended.get("message") or ""))
    if found and ended.get("exitCode") != _KILLED:
        yield Hit(
            pod,
            ("status", "containerStatuses", index),
            f"{status.get('name')} ended with exit code {ended.get('exitCode')}: {found[0]}",
            found[0],
        )


@rule(
    "container-crash-loops",
    Area.SERVING,
    Severity.ERROR,
    title="Model server crashes and restarts for ever",
    why="It holds its GPUs and serves nobody; the back-off hides it behind minutes of waiting.",
    fix="Read the last log (`kubectl logs --previous`): exit 1 is the engine's own error, 137 memory, 139 a library.",
    references=(_STATES,),
    on=_gpu_statuses,
    needs="live",
)
def _container_crash_loops(subject: tuple[Item, int, Status], view: View) -> Iterator[Hit]:
    pod, index, status = subject
    waiting = (status.get("state") or {}).get("waiting") or {}
    ended = _ended(status)
    if (
        waiting.get("reason") == "CrashLoopBackOff"
        and ended.get("reason") != "OOMKilled"
        and not _CUDA.search(str(ended.get("message") or ""))
    ):
        yield Hit(
            pod,
            ("status", "containerStatuses", index),
            f"{status.get('name')}: {status.get('restartCount', 0)} restarts, last exit code {ended.get('exitCode', 'unknown')}",
            "CrashLoopBackOff",
        )


@rule(
    "container-image-unpullable",
    Area.SERVING,
    Severity.ERROR,
    title="Image of a GPU pod cannot be pulled, or its container not be made",
    why="The pod is bound and holds its GPUs while it waits for an image, a Secret or a ConfigMap that does not come.",
    fix="Correct the image's name, its pull secret, or the object that it refers to.",
    references=(_STATES,),
    on=_gpu_statuses,
    needs="live",
)
def _container_image_unpullable(subject: tuple[Item, int, Status], view: View) -> Iterator[Hit]:
    pod, index, status = subject
    waiting = (status.get("state") or {}).get("waiting") or {}
    if waiting.get("reason") in {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
    }:
        yield Hit(
            pod,
            ("status", "containerStatuses", index),
            f"{status.get('name')}: {waiting['reason']}: {str(waiting.get('message') or '')[:200]}",
            waiting["reason"],
        )


def _live_workloads(view: View) -> Iterator[Item]:
    if view.observed:
        seen = {
            id(w.item): w.item
            for w in view.gpu_workloads
            if w.item.live and w.item.kind in {"Deployment", "StatefulSet", "ReplicaSet"}
        }
        yield from seen.values()


@rule(
    "rollout-stuck",
    Area.SERVING,
    Severity.ERROR,
    title="Rollout of a GPU workload does not move",
    why="The new version is not served and the old one may already be smaller: what was to be fixed by the deploy is not.",
    fix="Follow the condition's message: quota, placement or a container that never becomes ready.",
    references=("https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment",),
    on=_live_workloads,
    needs="live",
)
def _rollout_stuck(item: Item, view: View) -> Iterator[Hit]:
    for condition in item.status.get("conditions") or []:
        kind, status, reason = condition.get("type"), condition.get("status"), condition.get("reason")
        if (kind == "Progressing" and status == "False") or (kind == "ReplicaFailure" and status == "True"):
            yield Hit(
                item,
                ("status", "conditions"),
                f"{reason}: {str(condition.get('message') or '')[:240]}",
                reason,
            )


_REASONS: Final = {
    "RuntimeNotRecognized": "the runtime that it names is not installed",
    "NoSupportingRuntime": "no runtime serves its model format",
    "RuntimeDisabled": "its runtime is disabled",
    "ModelLoadFailed": "the server could not load the model",
    "RuntimeUnhealthy": "the server does not become healthy",
    "InvalidPredictorSpec": "the predictor's specification is refused",
}


@rule(
    "inference-service-not-ready",
    Area.SERVING,
    Severity.ERROR,
    title="InferenceService is not ready",
    why="The model is not served under its address; kubectl apply said nothing of it.",
    fix="Follow the reason that the controller gives.",
    references=("kserve 0.20.0 pkg/apis/serving/v1beta1/inference_service_status.go",),
    on=lambda view: (
        i
        for i in view.of("InferenceService.serving.kserve.io", "LLMInferenceService.serving.kserve.io")
        if i.live and i.status.get("conditions")
    ),
    needs="live",
)
def _inference_service_not_ready(item: Item, view: View) -> Iterator[Hit]:
    ready = next((c for c in item.status.get("conditions") or [] if c.get("type") == "Ready"), None)
    if ready is None or ready.get("status") == "True":
        return
    failure = (item.section("status", "modelStatus").get("lastFailureInfo") or {}).get("reason")
    meaning = _REASONS.get(str(failure), "")
    told = (
        f": {meaning} ({failure})"
        if meaning
        else f": {str(ready.get('message') or ready.get('reason') or '')[:200]}"
    )
    yield Hit(
        item,
        ("status", "conditions"),
        f"Ready is {ready.get('status')}{told}",
        failure or ready.get("reason"),
    )


@rule(
    "scaler-not-working",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Autoscaler reports that it cannot scale",
    why="Replicas stay as they are through the peak; only the object's conditions say so.",
    fix="Follow the condition: an unreachable metrics server, a query that fails, a target that is gone.",
    references=(
        "https://keda.sh/docs/latest/concepts/troubleshooting/",
        "https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale-walkthrough/#appendix-horizontal-pod-autoscaler-status-conditions",
    ),
    on=lambda view: (
        i
        for i in view.of("ScaledObject.keda.sh", "HorizontalPodAutoscaler.autoscaling")
        if i.live and i.status.get("conditions")
    ),
    needs="live",
)
def _scaler_not_working(item: Item, view: View) -> Iterator[Hit]:
    bad = {("Ready", "False"), ("Fallback", "True"), ("AbleToScale", "False"), ("ScalingActive", "False")}
    for condition in item.status.get("conditions") or []:
        pair = (str(condition.get("type")), str(condition.get("status")))
        disabled = condition.get("reason") == "ScalingDisabled"  # the target is at zero on purpose
        if pair in bad and not disabled:
            yield Hit(
                item,
                ("status", "conditions"),
                f"{pair[0]} is {pair[1]}: {str(condition.get('message') or condition.get('reason') or '')[:200]}",
                condition.get("reason"),
            )


@rule(
    "scaler-at-its-limit",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="Autoscaler stands at its maximum",
    why="The load asks for more than it may give: the queue grows from here, and nothing else reacts.",
    fix="Raise the maximum and the quota behind it, or shed load.",
    references=("https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/",),
    on=lambda view: (
        i for i in view.of("HorizontalPodAutoscaler.autoscaling") if i.live and "currentReplicas" in i.status
    ),
    needs="live",
)
def _scaler_at_its_limit(item: Item, view: View) -> Iterator[Hit]:
    most, current = item.spec.get("maxReplicas", 0), item.status["currentReplicas"]
    limited = any(
        c.get("type") == "ScalingLimited"
        and c.get("status") == "True"
        and c.get("reason") == "TooManyReplicas"
        for c in item.status.get("conditions") or []
    )
    if limited and current >= most > item.spec.get("minReplicas", 1):
        yield Hit(item, ("spec", "maxReplicas"), f"{current} replicas, and more are wanted", most)


@rule(
    "gpu-quota-nearly-used",
    Area.TENANCY,
    Severity.WARNING,
    title="GPU quota of a namespace is used up",
    why="The next replica, surge or canary is refused: scale-out ends here, whatever the autoscaler asks for.",
    fix="Raise the quota, or free what Pending and idle pods hold: they count too.",
    references=("kubernetes 1.36 pkg/quota/v1/evaluator/core/pods.go",),
    on=lambda view: (q for q in view.of("ResourceQuota") if q.live and q.section("status", "used")),
    needs="live",
)
def _gpu_quota_nearly_used(quota: Item, view: View) -> Iterator[Hit]:
    hard, used = quota.section("status", "hard"), quota.section("status", "used")
    for name, amount in used.items():
        most, now = parse(hard.get(name, "")), parse(amount)
        if "gpu" in name and name.startswith("requests.") and most and now is not None and now / most >= 1:
            yield Hit(quota, ("status", "used", name), f"{amount} of {hard[name]} {name} are used", amount)


@rule(
    "claim-not-bound",
    Area.STORAGE,
    Severity.ERROR,
    title="Volume claim of a GPU workload is not bound",
    why="The pod waits for its volume while its GPUs are reserved or its quota is charged.",
    fix="See the claim's events: no such class, no capacity, or a binding mode that waits for a pod that waits for it.",
    references=("https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding",),
    on=lambda view: (c for c in view.of("PersistentVolumeClaim") if c.live and c.status.get("phase")),
    needs="live",
)
def _claim_not_bound(claim: Item, view: View) -> Iterator[Hit]:
    phase = claim.status["phase"]
    if phase not in {"Pending", "Lost"}:
        return
    for workload in view.gpu_workloads_in(claim.namespace):
        if any(
            (v.get("persistentVolumeClaim") or {}).get("claimName") == claim.name
            for v in workload.pod.get("volumes") or []
        ):
            yield Hit(claim, ("status", "phase"), f"{claim.name} is {phase}, and {workload} mounts it", phase)
            return
