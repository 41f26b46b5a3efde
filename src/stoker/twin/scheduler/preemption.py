"""DefaultPreemption: which pods of lower priority would have to go, on which node, and what it says when that is no help.

Sources: kubernetes 1.36 pkg/scheduler/framework/preemption/preemption.go (pickOneNodeForPreemption) and
plugins/defaultpreemption/default_preemption.go (SelectVictimsOnNode).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.selectors import matches
from stoker.twin.scheduler.filters import Refusal, filter_with_promised, read
from stoker.twin.scheduler.pods import PodInfo
from stoker.twin.scheduler.state import ClusterState, NodeInfo

__all__ = ["Candidate", "Preemption", "preempt"]

_NO_VICTIMS: Final = "No preemption victims found for incoming pod"
_NO_HELP: Final = "Preemption is not helpful for scheduling"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that would do without ``victims``, which are in order of importance, the most important first."""

    node: str
    victims: tuple[PodInfo, ...]
    violations: int


@dataclass(frozen=True, slots=True)
class Preemption:
    """The best candidate, or why there is none: a sentence, or reasons by node."""

    candidate: Candidate | None
    not_eligible: str
    reasons: Mapping[str, tuple[str, ...]]


def preempt(state: ClusterState, pod: PodInfo, refusals: Mapping[str, Refusal]) -> Preemption:
    """What preemption would do for a pod that fits on no node. The state is as it was when this returns."""
    if pod.spec.get("preemptionPolicy") == "Never":
        return Preemption(None, "not eligible due to preemptionPolicy=Never.", {})
    nominated = state.nodes.get(pod.nominated)
    if (
        nominated is not None
        and not refusals[nominated.name].unresolvable
        and any(
            other.priority < pod.priority and other.terminating and other.preempted
            for other in nominated.pods.values()
        )
    ):
        return Preemption(None, "not eligible due to a terminating pod on the nominated node.", {})
    reasons: dict[str, tuple[str, ...]] = dict.fromkeys(state.nodes, (_NO_HELP,))
    candidates: list[Candidate] = []
    for name, refusal in refusals.items():
        if refusal.unresolvable:
            continue
        found = _victims(state, pod, state.nodes[name])
        if isinstance(found, Candidate):
            candidates.append(found)
        else:
            reasons[name] = found
    if not candidates:
        return Preemption(None, "", reasons)
    return Preemption(_best(candidates), "", {})


def _importance(pod: PodInfo) -> tuple[int, int]:
    """Sorts the more important first: higher priority, then the one that runs longer."""
    return -pod.priority, pod.order


def _victims(state: ClusterState, pod: PodInfo, node: NodeInfo) -> Candidate | tuple[str, ...]:
    lower = sorted((other for other in node.pods.values() if other.priority < pod.priority), key=_importance)
    if not lower:
        return (_NO_VICTIMS,)
    for other in lower:
        node.remove(other)
    gone = list(lower)
    try:
        refusal = _try(state, pod, node)
        if refusal is not None:
            return refusal.reasons
        victims: list[PodInfo] = []
        violating, others = _by_budget(state, lower)
        violations = 0
        for other in (*violating, *others):
            node.add(other)
            gone.remove(other)
            if _try(state, pod, node) is not None:
                node.remove(other)
                gone.append(other)
                victims.append(other)
                violations += other in violating
        if not victims:
            return (f'expected at least one victim pod on node "{node.name}"',)
        return Candidate(node.name, tuple(sorted(victims, key=_importance)), violations)
    finally:
        for other in gone:
            node.add(other)


def _try(state: ClusterState, pod: PodInfo, node: NodeInfo) -> Refusal | None:
    return filter_with_promised(state, pod, node, read(state, pod))


def _by_budget(state: ClusterState, pods: Sequence[PodInfo]) -> tuple[list[PodInfo], list[PodInfo]]:
    """Pods whose eviction would break a budget, and the others, each in the given order."""
    allowed: list[tuple[Mapping[str, Any], list[int]]] = [
        (budget, [int((budget.get("status") or {}).get("disruptionsAllowed") or 0)])
        for budget in state.budgets
    ]
    violating: list[PodInfo] = []
    others: list[PodInfo] = []
    for pod in pods:
        broken = False
        for budget, left in allowed:
            selector = budget["spec"].get("selector")
            if (
                pod.labels
                and budget["metadata"].get("namespace", "") == pod.namespace
                and any((selector or {}).values())  # An empty selector is a budget for nobody.
                and matches(selector, pod.labels)
                and pod.name not in ((budget.get("status") or {}).get("disruptedPods") or {})
            ):
                left[0] -= 1
                broken |= left[0] < 0
        (violating if broken else others).append(pod)
    return violating, others


def _best(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate that does the least harm.

    Fewest broken budgets; lowest of the highest priorities; lowest sum of priorities; fewest victims; and the one whose
    most important victims started last.
    """

    def rank(candidate: Candidate) -> tuple[int, int, int, int, int]:
        victims = candidate.victims
        highest = victims[0].priority
        # Priorities are shifted so that negative ones count as well (preemption.go minSumPrioritiesScoreFunc).
        total = sum(victim.priority + 2**31 for victim in victims)
        started = min((v.order for v in victims if v.priority == highest), default=0)
        return candidate.violations, highest, total, len(victims), -started

    return min(candidates, key=rank)
