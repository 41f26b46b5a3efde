"""metrics.k8s.io in the lab's API: `kubectl top` and whoever else asks what pods use."""

from stoker.lab.api.call import Call
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.selectors import label_selector
from stoker.lab.api.served import Kind
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.monitoring.resources import (
    estimated_usage,
    node_metrics,
    node_metrics_list,
    pod_metrics,
    pod_metrics_list,
)
from stoker.lab.resources import Resource
from stoker.lab.schema.node import Node
from stoker.lab.status import not_found

__all__ = ["serve_metrics"]

_GROUP = "metrics.k8s.io"


def serve_metrics(cluster: Cluster) -> None:
    """Add the group to what a cluster serves."""
    for plural, kind, namespaced, answer in (
        ("nodes", "NodeMetrics", False, _nodes),
        ("pods", "PodMetrics", True, _pods),
    ):
        resource = Resource(
            _GROUP, "v1beta1", kind, plural, "", namespaced, ("get", "list"), list_kind=f"{kind}List", is_stored=False
        )  # fmt: skip
        shelf = f"{plural}.{_GROUP}"
        node = Node({"type": "object"}, lambda reference: {"$ref": reference})
        cluster.served.extend(Kind(resource, node, Strategy(), shelf, f"{_GROUP}/v1beta1"))
        cluster.answers[shelf] = lambda call, answer=answer: answer(cluster, call)  # type: ignore[misc]


def _nodes(cluster: Cluster, call: Call) -> Object:
    pods = list(cluster.objects("pods"))
    if call.name:
        node = cluster.get("nodes", "", call.name)
        found = None if node is None else node_metrics(node, pods, estimated_usage, cluster.clock())
        if found is None:
            raise not_found(_GROUP, "nodes", call.name)
        return found
    selector = label_selector(call.query.get("labelSelector", ""))
    nodes = [one for one in cluster.objects("nodes") if selector.matches(one)]
    return node_metrics_list(nodes, pods, estimated_usage, cluster.clock())


def _pods(cluster: Cluster, call: Call) -> Object:
    if call.name:
        pod = cluster.get("pods", call.namespace, call.name)
        found = None if pod is None else pod_metrics(pod, estimated_usage, cluster.clock())
        if found is None:
            raise not_found(_GROUP, "pods", f"{call.namespace}/{call.name}")
        return found
    selector = label_selector(call.query.get("labelSelector", ""))
    pods = (one for one in cluster.objects("pods", call.namespace) if selector.matches(one))
    return pod_metrics_list(pods, estimated_usage, cluster.clock())
