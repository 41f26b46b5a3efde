"""How good a node is for a pod: the score plugins of the default profile with their weights.

Sources: kubernetes 1.36 pkg/scheduler/framework/plugins/{noderesources,tainttoleration,nodeaffinity}, weights of
apis/config/v1/default_plugins.go. All arithmetic is in whole numbers, as there. ImageLocality is left out: the twin's nodes
report no images, and without them it scores all nodes alike.
"""

import math
from collections.abc import Sequence
from typing import Final

from stoker.kube.selectors import matches, tolerates
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
}


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
            if matches({"matchExpressions": entry["preference"].get("matchExpressions") or []}, node.labels)
        )
        for node in nodes
    ]
    most = max(sums, default=0)
    return [_BEST * value // most if most else 0 for value in sums]


def _fit(pod: PodInfo, node: NodeInfo, profile: Profile) -> int:
    total = weights = 0
    for name, weight in profile.resources:
        capacity = node.allocatable.get(name, 0)
        asked = pod.scored.get(name, 0)
        if capacity == 0 or (asked == 0 and name not in {"cpu", "memory"}):
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
    with_pod = _evenness(node, pod)
    without = _evenness(node, None)
    half = _BEST // 2
    return half + (half + with_pod - without) // 2


def _evenness(node: NodeInfo, pod: PodInfo | None) -> int:
    shares = []
    for name in ("cpu", "memory"):
        capacity = node.allocatable.get(name, 0)
        if capacity:
            used = node.requested.get(name, 0) + (pod.requests.get(name, 0) if pod is not None else 0)
            shares.append(min(1.0, used / capacity))
    deviation = abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else 0.0
    return int((1 - deviation) * _BEST)
