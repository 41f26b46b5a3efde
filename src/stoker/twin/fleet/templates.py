"""The pods that a workload's objects lead to: what KServe, a Deployment or a LeaderWorkerSet makes of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from stoker.sizing.names import MODEL_LABEL
from stoker.sizing.resolved import ResolvedModel, ResolvedPool
from stoker.twin.fleet.spec import Object

__all__ = ["engine_arguments", "engine_pod", "node_template"]

_KINDS = ("InferenceService", "LLMInferenceService", "Deployment", "LeaderWorkerSet")
_POD_FIELDS = (
    "affinity",
    "initContainers",
    "nodeSelector",
    "priorityClassName",
    "schedulerName",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
)


def engine_pod(objects: Iterable[Object], model: ResolvedModel, version: str) -> dict[str, Any]:
    """The Pod of one member of a replica, without a name.

    Placement fields come from the object as compiled; the engine's container keeps its image and resources. The storage
    initializer's share is in the model's own figures already.
    """
    fields = _placement(objects, model)
    resource = {model.slice.resource: str(model.gpus_per_pod)}
    amounts = {"cpu": f"{model.millicores}m", "memory": str(model.memory_bytes), **resource}
    spec = {
        **{name: fields[name] for name in _POD_FIELDS if fields.get(name)},
        "containers": [
            {
                "name": "engine",
                "image": model.image,
                "resources": {"requests": amounts, "limits": amounts},
            }
        ],
    }
    # Init containers run before the engine and ask for less: what they ask for is no more than the pod's.
    spec.pop("initContainers", None)
    labels = {**model.pod_labels, "stoker.dev/version": version}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": model.namespace, "labels": labels},
        "spec": spec,
    }


def engine_arguments(objects: Iterable[Object], model: ResolvedModel) -> tuple[str, ...]:
    """Arguments of the engine's command as compiled."""
    fields = _placement(objects, model)
    containers = [fields["model"]] if "model" in fields else fields.get("containers") or []
    return tuple(str(word) for each in containers for word in each.get("args") or ())


def _placement(objects: Iterable[Object], model: ResolvedModel) -> Mapping[str, Any]:
    for item in objects:
        labels = item["metadata"].get("labels") or {}
        if item["kind"] in _KINDS and labels.get(MODEL_LABEL) == model.name:
            spec = item["spec"]
            if item["kind"] == "InferenceService":
                return dict(spec["predictor"])
            if item["kind"] == "LLMInferenceService":
                return dict(spec.get("template") or {})
            if item["kind"] == "LeaderWorkerSet":
                return dict(spec["leaderWorkerTemplate"]["workerTemplate"]["spec"])
            return dict(spec["template"]["spec"])
    raise ValueError(f"no workload object of {model.name}")


def node_template(pool: ResolvedPool, *, tainted: bool) -> dict[str, Any]:
    """A Node of the pool with the labels that GFD and Stoker put on it, its taints, and what it advertises."""
    labels = {"stoker.dev/pool": pool.name}
    for expression in pool.node_selector_terms:
        if expression["operator"] == "In":
            labels[expression["key"]] = expression["values"][0]
        elif expression["operator"] == "Exists":
            labels[expression["key"]] = "true"
    amounts = {
        "cpu": f"{pool.millicores}m",
        "memory": str(pool.memory_bytes),
        "pods": "110",
        "ephemeral-storage": str(max(pool.nvme_bytes, 100 * 2**30)),
        **{piece.resource: str(piece.per_node) for piece in pool.slices},
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"labels": labels},
        "spec": {"taints": [dict(taint) for taint in pool.taints]} if tainted else {},
        "status": {
            "allocatable": amounts,
            "capacity": amounts,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
