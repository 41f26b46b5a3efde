"""Pods of a model, and what of them a gate needs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stoker.kube.cluster import Cluster
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedModel

__all__ = ["ModelPod", "is_ready", "ready_pods", "selector"]


@dataclass(frozen=True, slots=True)
class ModelPod:
    """A pod that answers.

    Attributes:
        address: its IP.
        started: when its youngest container began, in seconds since the epoch.
    """

    namespace: str
    name: str
    address: str
    started: float


def selector(model: ResolvedModel) -> str:
    """Labels of the pods that serve HTTP, of all versions."""
    labels = dict(model.pod_labels)
    if model.nodes_per_replica > 1 and model.mode is not ServingMode.LLM_INFERENCE_SERVICE:
        labels["stoker.dev/role"] = "leader"  # workers of a group serve no HTTP
    return ",".join(f"{key}={value}" for key, value in labels.items())


def is_ready(pod: dict[str, Any]) -> bool:
    """Ready and not on its way out."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return not pod["metadata"].get("deletionTimestamp") and any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )


def ready_pods(cluster: Cluster, model: ResolvedModel) -> list[ModelPod]:
    """Ready pods by name."""
    found = [
        ModelPod(
            model.namespace,
            pod["metadata"]["name"],
            (pod["status"].get("podIP") or ""),
            _started(pod["status"]),
        )
        for pod in cluster.objects("v1", "Pod", model.namespace, labels=selector(model))
        if is_ready(pod)
    ]
    return sorted(found, key=lambda pod: pod.name)


def _started(status: dict[str, Any]) -> float:
    running = [(one.get("state") or {}).get("running") or {} for one in status.get("containerStatuses") or ()]
    times = [datetime.fromisoformat(one["startedAt"]).timestamp() for one in running if one.get("startedAt")]
    return max(times, default=0.0)
