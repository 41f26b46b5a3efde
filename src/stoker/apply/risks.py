"""What a change risks: pods that restart or go, objects and data that are lost, money; and what the server will not change."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from stoker.apply.changes import Action, Change, Money, Risk, RiskKind
from stoker.apply.compare import FieldChange
from stoker.kube.api_errors import InvalidError
from stoker.kube.paths import dig
from stoker.kube.quantities import parse
from stoker.kube.refs import Object, Ref
from stoker.sizing.names import MODEL_LABEL
from stoker.sizing.resolved import ResolvedPlatform

__all__ = ["HOLDS_DATA", "immutable_fields", "money", "risks"]

HOURS_PER_MONTH: Final = 730.0  # 8,760 / 12, as in `sizing.report`
# Deleting one of these deletes what people stored, or everything in it.
HOLDS_DATA: Final = frozenset(
    (
        "PersistentVolumeClaim",
        "PersistentVolume",
        "Namespace",
        "CustomResourceDefinition.apiextensions.k8s.io",
    )
)
_TEMPLATES: Final = {
    "Deployment.apps": ("f:spec", "f:template"),
    "StatefulSet.apps": ("f:spec", "f:template"),
    "DaemonSet.apps": ("f:spec", "f:template"),
    "LeaderWorkerSet.leaderworkerset.x-k8s.io": ("f:spec", "f:leaderWorkerTemplate"),
    "InferenceService.serving.kserve.io": ("f:spec",),
    "InferenceGraph.serving.kserve.io": ("f:spec",),
    "LLMInferenceService.serving.kserve.io": ("f:spec",),
    "Service.serving.knative.dev": ("f:spec", "f:template"),
    "ServingRuntime.serving.kserve.io": ("f:spec",),
    "LLMInferenceServiceConfig.serving.kserve.io": ("f:spec",),
}
# Below a template, and yet no pod restarts: numbers of replicas, traffic.
_GENTLE: Final = frozenset(
    ("f:minReplicas", "f:maxReplicas", "f:replicas", "f:scaleTarget", "f:scaleMetric", "f:autoScaling", "f:scaling",
     "f:canaryTrafficPercent", "f:trafficPercent", "f:containerConcurrency", "f:timeout", "f:router", "f:traffic", "f:deploymentStrategy")
)  # fmt: skip
_SHARED: Final = frozenset(
    ("ServingRuntime.serving.kserve.io", "LLMInferenceServiceConfig.serving.kserve.io")
)
# The server's words where a field cannot change (k8s.io/apimachinery/pkg/api/validation FieldImmutableErrorMsg and others).
_FROZEN: Final = re.compile(
    r"immutable|may not be changed|may not be changed in an update|updates to .* are forbidden|cannot be changed|"
    r"[Vv]alue is immutable|not be modified|updates? to .*spec.* forbidden",
)


def risks(change: Change) -> tuple[Risk, ...]:
    """Everything that a change may break or lose."""
    kind = change.ref.resource
    if change.action is Action.DELETE:
        data = " and what it holds" if kind in HOLDS_DATA else ""
        return (Risk(RiskKind.DESTRUCTIVE, f"the {change.ref.kind} is deleted{data}"),)
    if change.action is Action.REPLACE:
        found = [Risk(RiskKind.DISRUPTIVE, f"the {change.ref.kind} is deleted and created anew")]
        if kind in HOLDS_DATA:
            found.append(Risk(RiskKind.DESTRUCTIVE, "what it holds is deleted"))
        return tuple(found)
    if change.action is not Action.UPDATE:
        return ()
    return tuple(_update(kind, change.fields))


def _update(kind: str, fields: Sequence[FieldChange]) -> Iterable[Risk]:
    below = _TEMPLATES.get(kind)
    if below is not None and any(_restarts(change, below) for change in fields):
        whose = "of every model that uses it " if kind in _SHARED else ""
        yield Risk(RiskKind.DISRUPTIVE, f"pods {whose}restart")
    for change in fields:
        if change.path[-1] in {"f:replicas", "f:minReplicas", "f:minReplicaCount", "f:maxReplicaCount"}:
            before, after = change.before, change.after
            if isinstance(before, int) and isinstance(after, int) and after < before:
                yield Risk(RiskKind.DISRUPTIVE, f"{change.field} falls from {before} to {after}")


def _restarts(change: FieldChange, below: tuple[str, ...]) -> bool:
    if change.path[: len(below)] != below:
        return False
    return not _GENTLE & set(change.path)


def immutable_fields(error: InvalidError) -> tuple[str, ...]:
    """The fields that the server refuses to change on an object that exists; empty where it refused for another reason."""
    causes = [c for c in error.causes if _FROZEN.search(c.message)]
    if causes and len(causes) == len(error.causes):
        return tuple(dict.fromkeys(c.field for c in causes))
    if not error.causes and _FROZEN.search(error.message):
        return ("spec",)
    return ()


def money(changes: Iterable[Change], platform: ResolvedPlatform) -> Money:
    """GPUs and dollars of what changes, before and after, at the smallest number of replicas."""
    changes = tuple(changes)
    before = _held([c.live for c in changes if c.live is not None])
    after = _held(
        [
            obj
            for c in changes
            if c.action not in {Action.DELETE, Action.RELEASE} and (obj := c.after or c.wanted)
        ]
    )
    gpus: dict[str, float] = {}
    dollars: float | None = 0.0
    sources = []
    for name in sorted(set(before) | set(after)):
        delta = after.get(name, 0.0) - before.get(name, 0.0)
        model = platform.models.get(name)
        if not delta:
            continue
        pool = model.pool if model else None
        part = model.slice.gpu_fraction if model else 1.0
        where = pool.name if pool else "another pool"
        gpus[where] = gpus.get(where, 0.0) + delta * part
        price = pool.usd_per_gpu_hour if pool else None
        if price is None or dollars is None:
            dollars = None
        else:
            dollars += delta * part * price * HOURS_PER_MONTH
        if pool is not None:
            sources.append(pool.price_source)
    return Money(
        {name: round(count, 3) for name, count in gpus.items() if count},
        None if dollars is None else round(dollars, 2),
        "; ".join(dict.fromkeys(sources)),
    )


def _held(objects: Sequence[Object]) -> dict[str, float]:
    """GPUs held for good, by the model that the object serves."""
    floors = {
        (obj["metadata"].get("namespace"), dig(obj, "spec", "scaleTargetRef", "name")): dig(
            obj, "spec", "minReplicaCount"
        )
        or 0
        for obj in objects
        if obj["kind"] == "ScaledObject"
    }
    found: dict[str, float] = {}
    for obj in objects:
        model = (obj["metadata"].get("labels") or {}).get(MODEL_LABEL)
        each = _gpus(obj)
        if model and each:
            found[model] = found.get(model, 0.0) + each * _replicas(obj, floors) + _canaries(obj)
    return found


def _canaries(obj: Object) -> float:
    """GPUs of an InferenceService's canaries (`spec.canary`, since KServe v0.20.0)."""
    predictors = [canary.get("predictor") or {} for canary in _of(obj)]
    return sum(_pod(predictor) * int(predictor.get("minReplicas", 1)) for predictor in predictors)


def _of(obj: Object) -> list[Mapping[str, Any]]:
    found = (obj.get("spec") or {}).get("canary")
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _replicas(obj: Object, floors: Mapping[tuple[Any, Any], int]) -> int:
    namespace, name = obj["metadata"].get("namespace"), obj["metadata"]["name"]
    for target in (name, f"{name}-predictor", f"{name}-kserve", f"{name}-kserve-mn"):
        if (namespace, target) in floors:
            return floors[namespace, target]
    spec = obj.get("spec") or {}
    said = spec.get("replicas")
    if said is None:
        said = dig(spec, "predictor", "minReplicas")
        # KServe takes the canaries' replicas out of the stable version's.
        taken = sum(int(dig(one, "predictor", "minReplicas") or 0) for one in _of(obj))
        said = None if said is None else max(0, int(said) - taken)
    return 1 if said is None else int(said)


def _gpus(obj: Object) -> float:
    """GPUs of one replica."""
    spec = obj.get("spec") or {}
    kind = Ref(obj["apiVersion"], obj["kind"], "", "").resource
    if kind in {"Deployment.apps", "StatefulSet.apps"}:
        return _pod(dig(spec, "template", "spec"))
    if kind == "InferenceService.serving.kserve.io":
        predictor = spec.get("predictor") or {}
        worker = predictor.get("workerSpec") or {}
        return (
            _pod(predictor)
            + _pod(worker) * int(worker.get("pipelineParallelSize") or 2)
            - (_pod(worker) if worker else 0)
        )
    if kind == "LLMInferenceService.serving.kserve.io":
        workers = dig(spec, "parallelism", "pipeline") or 1
        return _pod(spec.get("template")) + _pod(spec.get("worker")) * (int(workers) - 1)
    if kind == "LeaderWorkerSet.leaderworkerset.x-k8s.io":
        template = spec.get("leaderWorkerTemplate") or {}
        size = int(template.get("size") or 1)
        worker = _pod(dig(template, "workerTemplate", "spec"))
        return _pod(dig(template, "leaderTemplate", "spec") or dig(template, "workerTemplate", "spec")) + (
            worker * (size - 1)
        )
    return 0.0


def _pod(spec: Any) -> float:
    if not isinstance(spec, Mapping):
        return 0.0
    containers = [*(spec.get("containers") or ()), *([spec["model"]] if spec.get("model") else [])]
    total = 0.0
    for container in containers:
        for name, amount in (dig(container, "resources", "limits") or {}).items():
            if _is_gpu(name):
                total += float(parse(amount) or 0)
    return total


def _is_gpu(resource: str) -> bool:
    vendor, _, what = resource.partition("/")
    return vendor in {"nvidia.com", "amd.com"} and what.startswith(("gpu", "mig-"))
