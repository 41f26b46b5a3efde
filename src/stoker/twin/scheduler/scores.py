"""How good a node is for a pod: the score plugins of the default profile with their weights.

Sources: kubernetes 1.36 pkg/scheduler/framework/plugins/{noderesources,tainttoleration,nodeaffinity,
imagelocality}, weights of apis/config/v1/default_plugins.go. All arithmetic is in whole numbers, as there.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from stoker.kube.selectors import node_fits, tolerates
from stoker.twin.scheduler.claims import device_scores
from stoker.twin.scheduler.pods import PodInfo
from stoker.twin.scheduler.profiles import Profile
from stoker.twin.scheduler.state import ClusterState, NodeInfo
from stoker.twin.scheduler.topology import preference_scores, spread_scores

__all__ = ["score_nodes"]

_BEST: Final = 100
_WEIGHTS: Final = {
    "TaintToleration": 3,
    "NodeAffinity": 2,
    "NodeResourcesFit": 1,
    "PodTopologySpread": 2,
    "InterPodAffinity": 2,
    "NodeResourcesBalancedAllocation": 1,
    "ImageLocality": 1,
    "DynamicResources": 2,
}
_NOTHING: Final[Mapping[str, int]] = {}
_SMALLEST_IMAGE: Final = 23 * 1024 * 1024
_LARGEST_IMAGE: Final = 1000 * 1024 * 1024


def score_nodes(
    state: ClusterState, pod: PodInfo, nodes: Sequence[NodeInfo], profile: Profile
) -> dict[str, dict[str, int]]:
    """Weighted scores by node and plugin; a plugin that has nothing to say about the pod is not there."""
    balanced = any(pod.requests.get(name) for name in ("cpu", "memory"))
    columns = {
        "TaintToleration": _taints(pod, nodes),
        "NodeAffinity": _affinity(pod, nodes),
        "NodeResourcesFit": [_fit(pod, node, profile) for node in nodes],
        "PodTopologySpread": spread_scores(state, pod, nodes),
        "InterPodAffinity": preference_scores(state, pod, nodes),
        "NodeResourcesBalancedAllocation": [_balance(pod, node) for node in nodes] if balanced else None,
        "ImageLocality": _images(state, pod, nodes),
        "DynamicResources": device_scores(state, pod, nodes),
    }
    weights = {**_WEIGHTS, **dict(profile.weights)}
    return {
        node.name: {
            name: weights[name] * column[index]
            for name, column in columns.items()
            if column is not None and weights[name] > 0
        }
        for index, node in enumerate(nodes)
    }


def _taints(pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int]:
    """Fewer PreferNoSchedule taints that the pod does not tolerate are better."""
    preferring = [t for t in pod.tolerations if t.get("effect") in {None, "", "PreferNoSchedule"}]
    counts = [
        sum(
            taint.get("effect") == "PreferNoSchedule"
            and not any(tolerates(toleration, taint) for toleration in preferring)
            for taint in node.taints
        )
        for node in nodes
    ]
    most = max(counts, default=0)
    return [_BEST - _BEST * count // most if most else _BEST for count in counts]


def _affinity(pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int] | None:
    preferred = ((pod.spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "preferredDuringSchedulingIgnoredDuringExecution"
    )
    if not preferred:
        return None
    sums = [
        sum(
            int(entry["weight"])
            for entry in preferred
            # A term without expressions is for no node in particular: it weighs nothing.
            if _preferred(entry["preference"], node)
        )
        for node in nodes
    ]
    most = max(sums, default=0)
    return [_BEST * value // most if most else 0 for value in sums]


def _preferred(term: Mapping[str, Any], node: NodeInfo) -> bool:
    required = {"nodeSelectorTerms": [term]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    return node_fits({"affinity": affinity}, node.name, node.labels)


def _images(state: ClusterState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int]:
    """Nodes that have the pod's images are better, the more so the larger these are and the more nodes have them."""
    if not state.with_images:
        return [0] * len(nodes)
    spec = pod.spec
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    names = [_image(container.get("image") or "") for container in containers]
    names += [_image(v["image"].get("reference") or "") for v in spec.get("volumes") or () if v.get("image")]
    spread = {name: sum(name in node.images for node in state.nodes.values()) for name in set(names)}
    most = _LARGEST_IMAGE * len(containers)
    found = []
    for node in nodes:
        total = sum(
            int(node.images[name] * (spread[name] / len(state.nodes)))
            for name in names
            if name in node.images
        )
        found.append(
            _BEST * (min(max(total, _SMALLEST_IMAGE), most) - _SMALLEST_IMAGE) // (most - _SMALLEST_IMAGE)
        )
    return found


def _image(name: str) -> str:
    """The name with its tag: without one it is the latest."""
    return name if name.rfind(":") > name.rfind("/") else f"{name}:latest"


def _fit(pod: PodInfo, node: NodeInfo, profile: Profile) -> int:
    total = weights = 0
    for name, weight in profile.resources:
        capacity = node.allocatable.get(name, 0)
        asked = pod.scored.get(name, 0)
        if capacity == 0 or (asked == 0 and name not in {"cpu", "memory", "ephemeral-storage"}):
            continue
        used = node.scored.get(name, 0) + asked
        if profile.strategy == "RequestedToCapacityRatio":
            score = _ratio(profile.shape, 100 if used > capacity else used * 100 // capacity)
            if score > 0:
                total += score * weight
                weights += weight
            continue
        if profile.strategy == "MostAllocated":
            score = min(used, capacity) * _BEST // capacity
        else:
            score = 0 if used > capacity else (capacity - used) * _BEST // capacity
        total += score * weight
        weights += weight
    if not weights:
        return 0
    if profile.strategy == "RequestedToCapacityRatio":
        return math.floor(total / weights + 0.5)
    return total // weights


def _ratio(shape: Sequence[tuple[int, int]], utilization: int) -> int:
    """The broken line through ``shape``, its scores stretched from 0..10 to 0..100 (helper/shape_score.go)."""
    points = [(at, score * 10) for at, score in shape]
    for index, (at, score) in enumerate(points):
        if utilization <= at:
            if index == 0:
                return score
            before, low = points[index - 1]
            rise = (score - low) * (utilization - before)
            return low + int(rise / (at - before))
    return points[-1][1] if points else 0


def _balance(pod: PodInfo, node: NodeInfo) -> int:
    """How much more even the node's CPU and memory become (balanced_allocation.go, 1.35 and later)."""
    with_pod = _evenness(node, pod.requests)
    without = _evenness(node, _NOTHING)
    half = _BEST // 2
    return half + (half + with_pod - without) // 2


def _evenness(node: NodeInfo, more: Mapping[str, int]) -> int:
    cpu, memory = node.allocatable.get("cpu", 0), node.allocatable.get("memory", 0)
    if not (cpu and memory):
        return _BEST
    first = min(1.0, (node.requested.get("cpu", 0) + more.get("cpu", 0)) / cpu)
    second = min(1.0, (node.requested.get("memory", 0) + more.get("memory", 0)) / memory)
    return int((1 - abs(first - second) / 2) * _BEST)
