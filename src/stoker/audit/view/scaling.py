"""What owns a replica count: ScaledObjects, HorizontalPodAutoscalers and the autoscalers that KServe makes."""

from collections.abc import Iterator
from dataclasses import dataclass

from stoker.audit.view.workloads import Workload
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item, Snapshot

__all__ = ["Scaler", "autoscaler_class", "deployment_mode", "scalers_of"]


@dataclass(frozen=True, slots=True)
class Scaler:
    """Something that sets replicas.

    Attributes:
        item: ScaledObject, HorizontalPodAutoscaler, or the InferenceService whose controller makes one.
        kind: ``ScaledObject``, ``HorizontalPodAutoscaler``, ``kserve-hpa`` or ``kserve-keda``.
        target_kind, target: kind and name of what it scales, in its own namespace.
        minimum, maximum: replicas; KEDA's defaults filled in (0 and 100), the HPA's too (1).
        workload: the target where it was read, None else.
        minimum_path, maximum_path: where they stand or belong.
    """

    item: Item
    kind: str
    target_kind: str
    target: str
    minimum: int
    maximum: int
    workload: Workload | None
    minimum_path: Path = ()
    maximum_path: Path = ()


def scalers_of(snapshot: Snapshot, workloads: tuple[Workload, ...]) -> Iterator[Scaler]:
    """Every scaler. HPAs that KEDA or KServe made themselves are left out where their owner was read."""
    by_target = {(w.namespace, *w.generated): w for w in workloads if w.generated[1]}
    for item in snapshot.of("ScaledObject.keda.sh"):
        reference = item.section("spec", "scaleTargetRef")
        kind, name = str(reference.get("kind") or "Deployment"), str(reference.get("name") or "")
        yield Scaler(
            item, "ScaledObject", kind, name, item.spec.get("minReplicaCount", 0), item.spec.get("maxReplicaCount", 100),
            by_target.get((item.namespace, kind, name)), ("spec", "minReplicaCount"), ("spec", "maxReplicaCount"),
        )  # fmt: skip
    for item in snapshot.of("HorizontalPodAutoscaler.autoscaling"):
        if snapshot.owner(item) is not None:
            continue
        reference = item.section("spec", "scaleTargetRef")
        kind, name = str(reference.get("kind") or ""), str(reference.get("name") or "")
        minimum = int(item.spec.get("minReplicas", 1))
        yield Scaler(
            item, "HorizontalPodAutoscaler", kind, name, minimum, int(item.spec.get("maxReplicas", minimum)),
            by_target.get((item.namespace, kind, name)), ("spec", "minReplicas"), ("spec", "maxReplicas"),
        )  # fmt: skip
    for workload in workloads:
        if workload.item.kind != "InferenceService" or workload.part.startswith("canary"):
            continue
        chosen = autoscaler_class(workload.item)
        if deployment_mode(workload.item, snapshot) == "Standard" and chosen in {"hpa", "keda"}:
            yield Scaler(
                workload.item, f"kserve-{chosen}", "Deployment", workload.generated[1], workload.minimum, workload.maximum,
                workload, (*workload.path, "minReplicas"), (*workload.path, "maxReplicas"),
            )  # fmt: skip


_MODES = {"RawDeployment": "Standard", "Serverless": "Knative"}


def deployment_mode(item: Item, snapshot: Snapshot) -> str:
    """``Standard``, ``Knative`` or ``ModelMesh`` of an InferenceService; empty where only the installation decides.

    The status wins over the annotation (kserve v0.20.0 pkg/controller/v1beta1/inferenceservice/utils/utils.go:216). An
    object without either takes the mode of an earlier definition of the same object, else the installation's default.
    """
    mode = item.status.get("deploymentMode") or item.annotations.get("serving.kserve.io/deploymentMode") or ""
    if not mode:
        for other in snapshot.within("InferenceService.serving.kserve.io", item.namespace):
            if other is not item and other.name == item.name:
                mode = other.annotations.get("serving.kserve.io/deploymentMode") or mode
    return _MODES.get(mode, mode)


def autoscaler_class(item: Item) -> str:
    """``hpa`` unless the annotation says otherwise (kserve v0.20.0 pkg/constants/constants.go:257)."""
    return item.annotations.get("serving.kserve.io/autoscalerClass") or "hpa"
