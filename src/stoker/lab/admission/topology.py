"""PodTopologyLabels: a pod carries the zone and region of its node (plugin/pkg/admission/podtopologylabels; on since 1.35).

The real plugin labels the Binding, from which the registry copies to the pod; here the pod that is being bound is at hand.
"""

from stoker.lab.api.cluster import Plugin, Review

__all__ = ["POD_TOPOLOGY_LABELS"]

_LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


def _mutate(review: Review) -> None:
    if review.kind.resource.qualified != "pods" or review.operation == "DELETE":
        return
    if not (review.subresource == "binding" or (review.operation == "CREATE" and not review.subresource)):
        return
    name = (review.obj.get("spec") or {}).get("nodeName")
    node = review.cluster.get("nodes", "", name) if name else None
    labels = ((node or {}).get("metadata") or {}).get("labels") or {}
    copied = {key: labels[key] for key in _LABELS if key in labels}
    if copied:
        metadata = review.obj["metadata"]
        metadata["labels"] = {**(metadata.get("labels") or {}), **copied}


POD_TOPOLOGY_LABELS = Plugin("PodTopologyLabels", mutate=_mutate)
