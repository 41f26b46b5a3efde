"""Inter-pod affinity and topology spread: what other pods mean for a pod, counted per topology before nodes are filtered.

Sources: kubernetes 1.36 pkg/scheduler/framework/plugins/interpodaffinity and podtopologyspread (filtering.go, scoring.go).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from stoker.kube.selectors import matches, node_fits, untolerated
from stoker.twin.scheduler.pods import PodInfo, SpreadConstraint
from stoker.twin.scheduler.state import ClusterState, NodeInfo

__all__ = ["Affinity", "Spread", "preference_scores", "read_affinity", "read_spread", "spread_scores"]

_HOSTNAME: Final = "kubernetes.io/hostname"
_HARD_AFFINITY_WEIGHT: Final = 1  # InterPodAffinityArgs.hardPodAffinityWeight
_BEST: Final = 100
_SYSTEM_DEFAULT: Final = (
    (_HOSTNAME, 3),
    ("topology.kubernetes.io/zone", 5),
)  # plugin.go systemDefaultConstraints

Pair = tuple[str, str]


@dataclass(slots=True)
class Affinity:
    """Pods that matter to one pod, by (topology key, value)."""

    near: dict[Pair, int] = field(default_factory=dict)
    far: dict[Pair, int] = field(default_factory=dict)
    existing: dict[Pair, int] = field(default_factory=dict)

    def blocks(
        self, pod: PodInfo, node: NodeInfo, namespaces: Mapping[str, Mapping[str, str]]
    ) -> tuple[str, bool]:
        """Why ``node`` does not do, and whether removing pods could not help; an empty reason where it does."""
        if pod.affinity and not self._near(pod, node, namespaces):
            return "node(s) didn't match pod affinity rules", True
        for term in pod.anti_affinity:
            value = node.labels.get(term.topology_key)
            if value is not None and self.far.get((term.topology_key, value), 0) > 0:
                return "node(s) didn't match pod anti-affinity rules", False
        if self.existing and any(
            self.existing.get((key, value), 0) > 0 for key, value in node.labels.items()
        ):
            return "node(s) didn't satisfy existing pods anti-affinity rules", False
        return "", False

    def _near(self, pod: PodInfo, node: NodeInfo, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
        met = True
        for term in pod.affinity:
            value = node.labels.get(term.topology_key)
            if value is None:
                return False
            met = met and self.near.get((term.topology_key, value), 0) > 0
        if met:
            return True
        # The first pod of a group that must be near itself may go anywhere.
        return not self.near and all(term.selects(pod, namespaces) for term in pod.affinity)


def read_affinity(state: ClusterState, pod: PodInfo) -> Affinity:
    """Count what (anti-)affinity of this pod and of existing pods says about each topology."""
    found = Affinity()
    if not (pod.affinity or pod.anti_affinity or state.with_anti_affinity):
        return found
    for node in state.nodes.values():
        for other in node.pods.values():
            for term in other.anti_affinity:
                if term.selects(pod, state.namespaces):
                    _count(found.existing, node, term.topology_key)
            if pod.affinity and all(term.selects(other, state.namespaces) for term in pod.affinity):
                for term in pod.affinity:
                    _count(found.near, node, term.topology_key)
            for term in pod.anti_affinity:
                if term.selects(other, state.namespaces):
                    _count(found.far, node, term.topology_key)
    return found


def _count(counts: dict[Pair, int], node: NodeInfo, key: str, weight: int = 1) -> None:
    value = node.labels.get(key)
    if value is not None:
        counts[key, value] = counts.get((key, value), 0) + weight


@dataclass(slots=True)
class Spread:
    """Matching pods by topology value, for each hard constraint of a pod."""

    counts: list[dict[str, int]]

    def blocks(self, pod: PodInfo, node: NodeInfo) -> tuple[str, bool]:
        """Why ``node`` does not do, and whether removing pods could not help; an empty reason where it does."""
        hard = [constraint for constraint in pod.spread if constraint.hard]
        for constraint, counts in zip(hard, self.counts, strict=True):
            value = node.labels.get(constraint.topology_key)
            if value is None:
                return "node(s) didn't match pod topology spread constraints (missing required label)", True
            least = min(counts.values(), default=0) if len(counts) >= constraint.min_domains else 0
            own = int(matches(constraint.selector, pod.labels))
            if counts.get(value, 0) + own - least > constraint.max_skew:
                return "node(s) didn't match pod topology spread constraints", False
        return "", False


def _eligible(pod: PodInfo, node: NodeInfo, constraint: SpreadConstraint) -> bool:
    """NodeAffinityPolicy and nodeTaintsPolicy."""
    if pod.picky and constraint.honor_affinity and not node_fits(pod.spec, node.name, node.labels):
        return False
    return not (constraint.honor_taints and untolerated(node.taints, pod.tolerations))


def _matching(node: NodeInfo, constraint: SpreadConstraint, namespace: str) -> int:
    if constraint.selector is not None and not any(constraint.selector.values()):
        return 0  # An empty selector counts nobody, though the pod itself matches it (common.go countPodsMatchSelector).
    return sum(
        other.namespace == namespace and not other.terminating and matches(constraint.selector, other.labels)
        for other in node.pods.values()
    )


def read_spread(state: ClusterState, pod: PodInfo) -> Spread:
    """Count matching pods per domain for the constraints that must hold; only nodes with every key are domains."""
    hard = [constraint for constraint in pod.spread if constraint.hard]
    counts: list[dict[str, int]] = [{} for _ in hard]
    for node in state.nodes.values() if hard else ():
        if not _complete(node, hard):
            continue
        for constraint, count in zip(hard, counts, strict=True):
            if _eligible(pod, node, constraint):
                value = node.labels[constraint.topology_key]
                count[value] = count.get(value, 0) + _matching(node, constraint, pod.namespace)
    return Spread(counts)


def _soft(state: ClusterState, pod: PodInfo) -> list[SpreadConstraint]:
    """Constraints that should hold: the pod's own, or those that every pod of a Service has."""
    if pod.spread or not state.services:
        return [constraint for constraint in pod.spread if not constraint.hard]
    labels: dict[str, str] = {}
    for namespace, selector in state.services:
        if namespace == pod.namespace and matches({"matchLabels": selector}, pod.labels):
            labels.update(selector)
    if not labels:
        return []
    return [
        SpreadConstraint(skew, key, False, {"matchLabels": labels}, 1, True, False)
        for key, skew in _SYSTEM_DEFAULT
    ]


def spread_scores(state: ClusterState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int] | None:
    """Scores of the constraints that should hold; None where the pod has none."""
    soft = _soft(state, pod)
    if not soft:
        return None
    # Under the system's own constraints nodes without a zone are still spread over by hostname.
    strict = bool(pod.spread)
    complete = [not strict or _complete(node, soft) for node in nodes]
    raw = [0.0] * len(nodes)
    for constraint in soft:
        key = constraint.topology_key
        if key == _HOSTNAME:
            size = sum(complete)
            counts = {node.labels.get(key, ""): _matching(node, constraint, pod.namespace) for node in nodes}
        else:
            counts = {
                node.labels.get(key, ""): 0 for node, whole in zip(nodes, complete, strict=True) if whole
            }
            size = len(counts)
            for node in state.nodes.values():
                value = node.labels.get(key, "")
                if (
                    value in counts
                    and (not strict or _complete(node, soft))
                    and _eligible(pod, node, constraint)
                ):
                    counts[value] += _matching(node, constraint, pod.namespace)
        weight = math.log(size + 2)
        for index, node in enumerate(nodes):
            if complete[index] and key in node.labels:
                raw[index] += counts[node.labels[key]] * weight + (constraint.max_skew - 1)
    rounded = [math.floor(value + 0.5) for value in raw]
    counted = [value for value, whole in zip(rounded, complete, strict=True) if whole]
    least, most = min(counted, default=0), max(counted, default=0)
    return [
        0 if not whole else _BEST if most == 0 else _BEST * (most + least - value) // most
        for value, whole in zip(rounded, complete, strict=True)
    ]


def _complete(node: NodeInfo, constraints: Sequence[SpreadConstraint]) -> bool:
    """Whether the node has the label of every constraint."""
    return all(constraint.topology_key in node.labels for constraint in constraints)


def preference_scores(state: ClusterState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int] | None:
    """Scores of preferred (anti-)affinity, of this pod and of existing ones; None where nobody has any."""
    if not (pod.preferred or state.with_preferences):
        return None
    counts: dict[Pair, int] = {}
    for node in state.nodes.values():
        for other in node.pods.values():
            wishes = [(term, other, term.weight) for term in pod.preferred]
            wishes += [(term, pod, term.weight) for term in other.preferred]
            wishes += [(term, pod, _HARD_AFFINITY_WEIGHT) for term in other.affinity]
            for term, about, weight in wishes:
                if term.selects(about, state.namespaces):
                    _count(counts, node, term.topology_key, weight)
    if not counts:
        return None
    raw = [sum(counts.get(pair, 0) for pair in node.labels.items()) for node in nodes]
    least, most = min(raw), max(raw)
    if most == least:
        return [0] * len(nodes)
    return [int(_BEST * ((value - least) / (most - least))) for value in raw]
