"""Bounds and owners of replica counts."""

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add, remove, replace
from stoker.audit.rule import rule
from stoker.audit.rules.autoscaling.zero import cannot_wake, gpu_scalers
from stoker.audit.view.scaling import Scaler
from stoker.audit.view.view import View
from stoker.errors import nearest
from stoker.kube.quantities import parse
from stoker.kube.snapshot import Item

_WEBHOOK: Final = "keda 2.20.2 apis/keda/v1alpha1/scaledobject_webhook.go"
_HPA: Final = "https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/"
_SLIP: Final = 0.88
_KSERVE: Final = "kserve 0.20.0 pkg/constants/constants.go:257-299"


@rule(
    "min-above-max",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Fewest replicas exceed the most",
    why="The API server or KEDA's webhook refuses the object: the last applied version stays, or nothing scales at all.",
    fix="Raise the maximum or lower the minimum.",
    references=(_WEBHOOK, _HPA),
    on=lambda view: view.scalers,
)
def _min_above_max(scaler: Scaler, view: View) -> Iterator[Hit]:
    if scaler.minimum > scaler.maximum and scaler.kind != "kserve-hpa":
        yield Hit(
            scaler.item,
            scaler.minimum_path,
            f"{scaler.minimum} replicas at least, and {scaler.maximum} at most",
            scaler.minimum,
        )
    if scaler.kind != "ScaledObject" or "idleReplicaCount" not in scaler.item.spec:
        return
    idle, least = scaler.item.spec["idleReplicaCount"], scaler.item.spec.get("minReplicaCount")
    # KEDA compares with 1 where minReplicaCount is written as 0, and with 0 where it is absent.
    if idle >= (0 if least is None else max(1, least)):
        path = ("spec", "idleReplicaCount")
        yield Hit(
            scaler.item, path, f"idleReplicaCount {idle} is not below minReplicaCount {least or 0}", idle
        )


@rule(
    "no-maximum-for-gpus",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="ScaledObject of a GPU server leaves maxReplicaCount at 100",
    why="A metric that runs away asks for a hundred replicas: every free GPU of the cluster is taken, or a cloud bill of a hundred GPU nodes.",
    fix="Set maxReplicaCount to what the namespace's quota and the budget carry.",
    references=("keda 2.20.2 apis/keda/v1alpha1/scaledobject_types.go:95-190",),
    on=lambda view: (scaler for scaler in gpu_scalers(view) if scaler.kind == "ScaledObject"),
)
def _no_maximum_for_gpus(scaler: Scaler, view: View) -> Iterator[Hit]:
    if "maxReplicaCount" not in scaler.item.spec and scaler.workload is not None and scaler.workload.uses_gpu:
        gpus = scaler.workload.gpu_count * 100
        yield Hit(scaler.item, ("spec", "maxReplicaCount"), f"KEDA's default of 100 replicas is {gpus} GPUs")


def quota_of(view: View, namespace: str, resource: str) -> tuple[Item, int] | None:
    """The smallest quota of a namespace on a GPU resource, and its amount; scoped quotas are left out."""
    found: list[tuple[int, Item]] = []
    for quota in view.snapshot.within("ResourceQuota", namespace):
        if quota.spec.get("scopes") or quota.spec.get("scopeSelector"):
            continue
        amount = parse(quota.section("spec", "hard").get(f"requests.{resource}", ""))
        if amount is not None:
            found.append((int(amount), quota))
    if not found:
        return None
    amount_, item = min(found, key=lambda pair: pair[0])
    return item, amount_


def _scaled_under_quota(view: View) -> Iterator[tuple[Scaler, str, int, int, Item]]:
    """Scalers with resource, GPUs a replica, quota, and the quota's object."""
    for scaler in gpu_scalers(view):
        workload = scaler.workload
        if workload is None:
            continue
        for resource, gpus in workload.gpus.items():
            quota = quota_of(view, workload.namespace, resource)
            if quota is not None:
                yield scaler, resource, gpus * workload.pods_per_replica, quota[1], quota[0]


@rule(
    "max-replicas-over-gpu-quota",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Most replicas need more GPUs than the namespace's quota",
    why=(
        "Beyond the quota every further pod is refused with `exceeded quota`: the autoscaler asks for replicas that cannot "
        "exist, at the very peak it was made for, and only a ReplicaSet's events say so."
    ),
    fix="Raise requests.nvidia.com/gpu of the quota, or lower the maximum.",
    references=(
        "kubernetes 1.36 pkg/quota/v1/evaluator/core/pods.go",
        "observed on a real 1.36 API server: ReplicaFailure exceeded quota",
    ),
    on=_scaled_under_quota,
)
def _max_replicas_over_gpu_quota(subject: tuple[Scaler, str, int, int, Item], view: View) -> Iterator[Hit]:
    scaler, resource, gpus, quota, item = subject
    wanted = scaler.maximum * gpus
    if wanted > quota:
        # One replica's room is left for the pod that a rollout starts first.
        most = quota // gpus - 1 if quota // gpus > max(1, scaler.minimum) else quota // gpus
        fix = None
        if most >= max(1, scaler.minimum) and scaler.maximum_path:
            fix = Fix(f"Stop at {most} replicas", (add(scaler.maximum_path, most),))
        yield Hit(
            scaler.item, scaler.maximum_path,
            f"{scaler.maximum} replicas × {gpus} {resource} = {wanted}, and quota {item.name} allows {quota}", scaler.maximum, fix,
        )  # fmt: skip


@rule(
    "namespace-over-gpu-quota",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="The namespace's workloads together can ask for more GPUs than its quota",
    why=(
        "Each fits alone, together they do not: whoever scales second is refused, and a rollout's surge or a canary finds no "
        "GPU. Which one loses is a matter of timing."
    ),
    fix="Raise the quota to the sum of the maxima, with room for one surge, or lower the maxima.",
    references=("kubernetes 1.36 pkg/quota/v1/evaluator/core/pods.go",),
    on=lambda view: [
        q
        for q in view.of("ResourceQuota")
        if any(k.startswith("requests.") and "gpu" in k for k in q.section("spec", "hard"))
    ],
)
def _namespace_over_gpu_quota(item: Item, view: View) -> Iterator[Hit]:
    if item.spec.get("scopes") or item.spec.get("scopeSelector"):
        return
    for key, text in item.section("spec", "hard").items():
        resource, amount = key.removeprefix("requests."), parse(text)
        if not key.startswith("requests.") or amount is None:
            continue
        parts: list[str] = []
        total, scaling = 0, False
        seen: set[tuple[str, str]] = set()
        for workload in reversed(view.gpu_workloads_in(item.namespace)):
            if not workload.serves or resource not in workload.gpus:
                continue
            if workload.item.by_kserve and view.of("InferenceService.serving.kserve.io"):
                continue  # its InferenceService counts
            name = (str(workload.item), workload.part)
            if name in seen:  # an earlier definition of the same object
                continue
            seen.add(name)
            most = view.replicas(workload)[1]
            scaling = scaling or most > workload.minimum
            gpus = most * workload.gpus[resource] * workload.pods_per_replica
            total += gpus
            parts.append(f"{workload} {gpus}")
        if len(parts) > 1 and total > amount:
            yield Hit(
                item,
                ("spec", "hard", key),
                f"{' + '.join(reversed(parts))} = {total} {resource}, and the quota allows {amount}",
                text,
            )


@rule(
    "two-scalers-on-one-target",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Two autoscalers set the replicas of one workload",
    why="Each undoes the other every few seconds: replicas flap, models load for nothing. KEDA's webhook refuses the second where it runs.",
    fix="Keep one; of KServe's own, turn it off with autoscalerClass external or none.",
    references=(f"{_WEBHOOK}:351", _KSERVE),
    on=lambda view: [scaler for scaler in view.scalers if scaler.target],
)
def _two_scalers_on_one_target(scaler: Scaler, view: View) -> Iterator[Hit]:
    same: dict[str, Scaler] = {}
    for other in view.scalers_by_target[scaler.item.namespace, scaler.target_kind, scaler.target]:
        same.setdefault(f"{other.item.kind}/{other.item.name}", other)
    others = [other for name, other in same.items() if name != f"{scaler.item.kind}/{scaler.item.name}"]
    if (
        not others
        or scaler.kind == "kserve-hpa"
        or "scaledobject.keda.sh/transfer-hpa-ownership" in scaler.item.annotations
    ):
        return
    told = ", ".join("KServe's own HPA" if o.kind == "kserve-hpa" else str(o.item) for o in others)
    yield Hit(
        scaler.item,
        ("spec", "scaleTargetRef", "name"),
        f"{scaler.target} is scaled by {told} too",
        scaler.target,
    )


def _owned_counts(view: View) -> Iterator[Scaler]:
    for scaler in view.scalers:
        if (
            scaler.workload is not None
            and scaler.kind in {"ScaledObject", "HorizontalPodAutoscaler"}
            and scaler.workload.item.kind != "InferenceService"
        ):
            yield scaler


@rule(
    "replicas-owned-twice",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="Manifest sets replicas that an autoscaler owns",
    why="Every apply of the manifest resets the replicas to its number: a deploy at the peak takes the scaled-out servers away at once.",
    fix="Leave spec.replicas out of the manifest; the first client-side apply after that resets it to 1 once, so apply in a quiet hour.",
    references=(
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#scaling-a-deployment",
        _HPA,
    ),
    on=_owned_counts,
)
def _replicas_owned_twice(scaler: Scaler, view: View) -> Iterator[Hit]:
    workload = scaler.workload
    if workload is None or workload.replicas_path is None or workload.item.live:
        return
    yield Hit(
        workload.item, workload.replicas_path, f"replicas is set to {workload.minimum} and owned by {scaler.item}", workload.minimum,
        Fix("Leave replicas to the autoscaler", (remove(workload.replicas_path),)),
    )  # fmt: skip


def _targets(view: View) -> Iterator[Scaler]:
    """Scalers whose target is here, or whose absence means something."""
    for scaler in view.scalers:
        if scaler.kind.startswith("kserve") or not scaler.target:
            continue
        if (
            scaler.workload is not None
            or view.knows(f"{scaler.target_kind}.apps", scaler.item.namespace)
            or _near(scaler, view)
        ):
            yield scaler


def _near(scaler: Scaler, view: View) -> list[str]:
    there = [
        w.generated[1] for w in view.workloads_in(scaler.item.namespace) if w.generated[1] and not w.template
    ]
    if f"{scaler.target}-predictor" in there:
        return [f"{scaler.target}-predictor"]
    # Names of a family (vllm-decode, vllm-prefill) are alike and all meant: only a slip of the finger counts as a near miss.
    return [
        name
        for name in nearest(scaler.target, there, limit=1)
        if SequenceMatcher(None, name, scaler.target).ratio() > _SLIP
    ]


@rule(
    "scale-target-missing",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Autoscaler's target does not exist",
    why="The autoscaler is never active: replicas stay as they are through the peak, and the object's condition is the only place that says so.",
    fix="Name the workload that makes the pods; of an InferenceService that is NAME-predictor.",
    references=(
        _WEBHOOK,
        "kserve 0.20.0 pkg/controller/v1beta1/inferenceservice/reconcilers/keda/keda_reconciler.go",
    ),
    on=_targets,
)
def _scale_target_missing(scaler: Scaler, view: View) -> Iterator[Hit]:
    if scaler.workload is not None or _exists(scaler, view):
        return
    near = _near(scaler, view)
    path = ("spec", "scaleTargetRef", "name")
    fix = Fix(f"Scale {near[0]}", (replace(path, near[0]),)) if near else None
    hint = f"; did you mean {near[0]}?" if near else ""
    yield Hit(
        scaler.item,
        path,
        f"there is no {scaler.target_kind} {scaler.target} in {scaler.item.namespace or 'this namespace'}{hint}",
        scaler.target,
        fix,
    )


def _exists(scaler: Scaler, view: View) -> bool:
    return any(
        item.name == scaler.target and item.kind == scaler.target_kind
        for resource in view.snapshot.kinds
        if resource.startswith(scaler.target_kind)
        for item in view.snapshot.within(resource, scaler.item.namespace)
    )


@rule(
    "gpu-server-scaled-on-cpu",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="GPU server is scaled on CPU or memory",
    why=(
        "A model server's CPU says nothing of its queue: it idles at a few cores while requests wait for the GPU, or spins one "
        "core at no load. Replicas come too late or for nothing, minutes and dollars each."
    ),
    fix="Scale on waiting and running requests with KEDA's prometheus trigger.",
    references=("vllm 0.33.0 vllm/config/cache.py:215 (memory is taken at start)", _HPA),
    on=lambda view: (s for s in gpu_scalers(view) if s.kind in {"HorizontalPodAutoscaler", "ScaledObject"}),
)
def _gpu_server_scaled_on_cpu(scaler: Scaler, view: View) -> Iterator[Hit]:
    item = scaler.item
    if scaler.kind == "ScaledObject":
        types = [str(trigger.get("type")) for trigger in item.spec.get("triggers") or []]
        if types and set(types) <= {"cpu", "memory"}:
            yield Hit(
                item, ("spec", "triggers"), f"{scaler.target} is scaled on {' and '.join(types)} alone", types
            )
        return
    metrics = item.spec.get("metrics") or []
    names = [
        str((m.get("resource") or m.get("containerResource") or {}).get("name"))
        for m in metrics
        if m.get("type") in {"Resource", "ContainerResource"}
    ]
    if "targetCPUUtilizationPercentage" in item.spec or not metrics:
        names.append("cpu")
    if names and len(names) >= len(metrics) and set(names) <= {"cpu", "memory"}:
        path = ("spec", "metrics") if metrics else ("spec",)
        yield Hit(
            item, path, f"{scaler.target} is scaled on {' and '.join(dict.fromkeys(names))} alone", names
        )


@rule(
    "hpa-minimum-zero",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="HorizontalPodAutoscaler with a minimum of zero",
    why="HPAScaleToZero is an alpha gate that is off: the API server refuses the object.",
    fix="Set minReplicas to 1, or scale to zero with KEDA.",
    references=("kubernetes 1.36 pkg/features/kube_features.go:1503 (HPAScaleToZero)",),
    on=lambda view: view.of("HorizontalPodAutoscaler.autoscaling"),
)
def _hpa_minimum_zero(item: Item, view: View) -> Iterator[Hit]:
    if item.spec.get("minReplicas") == 0 and not item.live:
        path = ("spec", "minReplicas")
        yield Hit(item, path, "minReplicas is 0", 0, Fix("Keep one replica", (replace(path, 1),)))


@rule(
    "scaling-paused",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="Autoscaling is paused by an annotation",
    why="A pause that was set in an incident and forgotten holds the replicas through the next peak.",
    fix="Remove the annotation when the incident is over.",
    references=("https://keda.sh/docs/latest/concepts/scaling-deployments/#pausing-autoscaling",),
    on=lambda view: view.of("ScaledObject.keda.sh", "ScaledJob.keda.sh"),
)
def _scaling_paused(item: Item, view: View) -> Iterator[Hit]:
    for key in ("paused", "paused-replicas", "paused-scale-in", "paused-scale-out"):
        name = f"autoscaling.keda.sh/{key}"
        if item.annotations.get(name, "false") != "false":
            yield Hit(
                item,
                ("metadata", "annotations", name),
                f"{name} is {item.annotations[name]}",
                item.annotations[name],
            )


@rule(
    "one-warm-replica",
    Area.AUTOSCALING,
    Severity.INFO,
    title="A single warm replica serves a model",
    why="A drain, a preemption or a rollout of that one replica is an outage as long as the model loads.",
    fix="Keep two replicas on different nodes for a tier with a latency target.",
    references=("https://kubernetes.io/docs/tasks/run-application/configure-pdb/",),
    on=lambda view: (scaler for scaler in gpu_scalers(view) if scaler.maximum > 1),
)
def _one_warm_replica(scaler: Scaler, view: View) -> Iterator[Hit]:
    dead = scaler.kind == "ScaledObject" and scaler.minimum == 0 and cannot_wake(scaler.item, view)
    if scaler.minimum == 1 or dead:
        told = "one replica" if scaler.minimum else "no replica, and nothing wakes it"
        yield Hit(scaler.item, scaler.minimum_path, f"{scaler.target} may run with {told}", scaler.minimum)
