"""metrics.k8s.io/v1beta1: what nodes and pods use, for ``kubectl top`` and for HPAs on resources.

What a pod uses comes from a function that is injected. `estimated_usage` is the one where nobody measures: an *assumption*,
half of what each container requests (a tenth of a core and 64 MiB where it requests nothing), never above its limit, and
GPU engines nearly all of the memory they request, since they allocate at the start. A lab's figures of CPU and memory are
therefore as good as that assumption; GPU figures come from the engines themselves and not from here.

Sources: metrics-server pkg/api/{pod,node}.go and pkg/storage/types.go (documents, order, quantities of nanocores and of
bytes in canonical form), kubernetes staging/src/k8s.io/metrics/pkg/apis/metrics/v1beta1.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from stoker.kube.quantities import parse
from stoker.lab.kinds.quantity_text import canonical_quantity

__all__ = [
    "API_RESOURCES",
    "ContainerUsage",
    "UsageOf",
    "estimated_usage",
    "node_metrics",
    "node_metrics_list",
    "pod_metrics",
    "pod_metrics_list",
    "pod_usage",
]

Object = dict[str, Any]

_VERSION: Final = "metrics.k8s.io/v1beta1"
_WINDOW: Final = "15s"
_MIB: Final = 1024 * 1024
# Kubelet, container runtime and kernel of an idle node: assumed, as nobody runs them.
_NODE_CORES: Final = 0.15
_NODE_BYTES: Final = 900 * _MIB

API_RESOURCES: Final[Object] = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": _VERSION,
    "resources": [
        {
            "name": name,
            "singularName": "",
            "namespaced": namespaced,
            "kind": kind,
            "verbs": ["get", "list"],
        }
        for name, namespaced, kind in (("nodes", False, "NodeMetrics"), ("pods", True, "PodMetrics"))
    ],
}


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """Cores and bytes of the working set."""

    cores: float
    memory: float


# By container what a pod uses now; None where it does not run, or nobody knows.
UsageOf = Callable[[Object], Mapping[str, ContainerUsage] | None]


def estimated_usage(pod: Object) -> Mapping[str, ContainerUsage] | None:
    """The assumption of this module; None for a pod of which no container runs."""
    status = pod.get("status") or {}
    running = {
        one["name"] for one in status.get("containerStatuses") or [] if "running" in (one.get("state") or {})
    }
    if status.get("phase") != "Running" or not running:
        return None
    return {
        container["name"]: _estimate(container)
        for container in _long_running(pod)
        if container["name"] in running
    }


def _long_running(pod: Object) -> list[Object]:
    spec = pod["spec"]
    sidecars = [one for one in spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    return [*(spec.get("containers") or []), *sidecars]


def _estimate(container: Object) -> ContainerUsage:
    resources = container.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    has_gpu = any("nvidia.com/" in name for name in (*requests, *limits))

    def figure(name: str, share: float, unasked: float) -> float:
        asked, ceiling = parse(requests.get(name, "")), parse(limits.get(name, ""))
        value = unasked if asked is None else share * float(asked)
        return value if ceiling is None else min(value, float(ceiling))

    return ContainerUsage(figure("cpu", 0.5, 0.1), figure("memory", 0.9 if has_gpu else 0.5, 64 * _MIB))


def pod_usage(pod: Object, usage_of: UsageOf, resource: str, container: str = "") -> float | None:
    """Cores or bytes of a pod, or of one of its containers; None where nothing is known."""
    found = usage_of(pod)
    if not found or resource not in {"cpu", "memory"} or (container and container not in found):
        return None
    chosen = [found[container]] if container else list(found.values())
    return sum(one.cores if resource == "cpu" else one.memory for one in chosen)


def pod_metrics(pod: Object, usage_of: UsageOf, now: datetime) -> Object | None:
    """One PodMetrics; None where the pod does not run: the real server has none either."""
    found = usage_of(pod)
    if not found:
        return None
    metadata = pod["metadata"]
    own: Object = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "creationTimestamp": _time(now),
    }
    if metadata.get("labels"):
        own["labels"] = dict(metadata["labels"])
    return {
        "kind": "PodMetrics",
        "apiVersion": _VERSION,
        "metadata": own,
        "timestamp": _time(now),
        "window": _WINDOW,
        "containers": [{"name": name, "usage": _usage(one.cores, one.memory)} for name, one in found.items()],
    }


def node_metrics(node: Object, pods: Iterable[Object], usage_of: UsageOf, now: datetime) -> Object | None:
    """One NodeMetrics, of the pods on the node; None while the node is not ready."""
    conditions = (node.get("status") or {}).get("conditions") or []
    if not any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
        return None
    cores, memory = _NODE_CORES, float(_NODE_BYTES)
    for pod in pods:
        for one in (usage_of(pod) or {}).values():
            cores += one.cores
            memory += one.memory
    metadata = node["metadata"]
    own: Object = {"name": metadata["name"], "creationTimestamp": _time(now)}
    if metadata.get("labels"):
        own["labels"] = dict(metadata["labels"])
    return {
        "kind": "NodeMetrics",
        "apiVersion": _VERSION,
        "metadata": own,
        "timestamp": _time(now),
        "window": _WINDOW,
        "usage": _usage(cores, memory),
    }


def pod_metrics_list(pods: Iterable[Object], usage_of: UsageOf, now: datetime) -> Object:
    """PodMetricsList; the caller has applied namespace and selector."""
    items = [one for pod in pods if (one := pod_metrics(pod, usage_of, now)) is not None]
    return _list("PodMetricsList", items)


def node_metrics_list(
    nodes: Iterable[Object], pods: Sequence[Object], usage_of: UsageOf, now: datetime
) -> Object:
    """NodeMetricsList; ``pods`` are those of the whole cluster."""
    by_node: dict[str, list[Object]] = {}
    for pod in pods:
        by_node.setdefault(pod["spec"].get("nodeName", ""), []).append(pod)
    items = [
        one
        for node in nodes
        if (one := node_metrics(node, by_node.get(node["metadata"]["name"], ()), usage_of, now)) is not None
    ]
    return _list("NodeMetricsList", items)


def _list(kind: str, items: list[Object]) -> Object:
    bare = [{key: value for key, value in one.items() if key not in {"kind", "apiVersion"}} for one in items]
    return {"kind": kind, "apiVersion": _VERSION, "metadata": {}, "items": bare}


def _usage(cores: float, memory: float) -> dict[str, str]:
    # Whole kibibytes: a working set is whole pages.
    return {
        "cpu": canonical_quantity(f"{round(cores * 1e9)}n"),
        "memory": canonical_quantity(f"{round(memory / 1024)}Ki"),
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
