"""One try to schedule a pod: filter, score, choose; or preempt, and say why not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stoker.twin.scheduler.devices import claims_missing, devices_for
from stoker.twin.scheduler.filters import Refusal, filter_with_promised, read
from stoker.twin.scheduler.pods import PodInfo, parse_pod
from stoker.twin.scheduler.preemption import preempt
from stoker.twin.scheduler.profiles import Profile
from stoker.twin.scheduler.scores import score_nodes
from stoker.twin.scheduler.state import ClusterState, NodeInfo
from stoker.twin.scheduler.volumes import claims_problem

__all__ = ["Decision", "queue_key", "schedule", "take_devices"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a scheduling cycle came to.

    Attributes:
        node: where the pod is bound; None where it stays Pending.
        message: the FailedScheduling message, whole; empty where it was bound.
        feasible: nodes that passed every filter.
        scores: weighted score by node and plugin.
        tied: nodes with the highest total; any of them is right.
        nominated: node promised to a pod that preempts.
        victims: namespace and name of pods to delete for it, the most important first.
        reasons: why each node did not do.
        gated: the pod is not in the queue at all: it has scheduling gates.
    """

    node: str | None = None
    message: str = ""
    feasible: tuple[str, ...] = ()
    scores: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    tied: tuple[str, ...] = ()
    nominated: str | None = None
    victims: tuple[tuple[str, str], ...] = ()
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gated: bool = False


def queue_key(pod: Mapping[str, Any], queued: float) -> tuple[int, float]:
    """Sorts pods as PrioritySort does: higher priority first, then the one queued earlier."""
    return -(pod["spec"].get("priority") or 0), queued


def _first(names: tuple[str, ...]) -> str:
    return names[0]


def schedule(
    state: ClusterState, pod: Mapping[str, Any], choose: Callable[[tuple[str, ...]], str] = _first
) -> Decision:
    """Try to schedule a Pod. All nodes are looked at (percentageOfNodesToScore 100); the state is not changed.

    Args:
        state: the cluster.
        pod: v1 Pod, admitted: with its priority.
        choose: picks among nodes with the same highest score.

    Raises:
        ValueError: a request of the pod is no quantity.
    """
    if pod["spec"].get("schedulingGates"):
        return Decision(gated=True)
    info = parse_pod(pod)
    total = len(state.nodes)
    problem = claims_problem(state, info) or claims_missing(state, info)
    if problem:
        return Decision(message=f"0/{total} nodes are available: {problem}. not found")
    reading = read(state, info)
    if not total:
        return Decision(message="no nodes available to schedule pods")
    refusals: dict[str, Refusal] = {}
    feasible: list[NodeInfo] = []
    for node in state.nodes.values():
        refusal = filter_with_promised(state, info, node, reading)
        if refusal is None:
            feasible.append(node)
        else:
            refusals[node.name] = refusal
    if not feasible:
        return _failed(state, info, refusals)
    reasons = {name: refusal.reasons for name, refusal in refusals.items()}
    names = tuple(node.name for node in feasible)
    # The node that was promised is taken if it does, before any other is looked at.
    if info.nominated in names:
        return Decision(node=info.nominated, feasible=names, tied=(info.nominated,), reasons=reasons)
    if len(feasible) == 1:
        return Decision(node=names[0], feasible=names, tied=names, reasons=reasons)
    scheduler = pod["spec"].get("schedulerName") or "default-scheduler"
    scores = score_nodes(state, info, feasible, state.profiles.get(scheduler) or Profile())
    totals = {name: sum(parts.values()) for name, parts in scores.items()}
    best = max(totals.values())
    tied = tuple(name for name in names if totals[name] == best)
    return Decision(
        node=tied[0] if len(tied) == 1 else choose(tied),
        feasible=names,
        scores=scores,
        tied=tied,
        reasons=reasons,
    )


def _failed(state: ClusterState, pod: PodInfo, refusals: Mapping[str, Refusal]) -> Decision:
    reasons = {name: refusal.reasons for name, refusal in refusals.items()}
    message = _sentence(len(state.nodes), reasons)
    outcome = preempt(state, pod, refusals)
    if outcome.candidate is not None:
        return Decision(
            message=message,
            nominated=outcome.candidate.node,
            victims=tuple(victim.key for victim in outcome.candidate.victims),
            reasons=reasons,
        )
    # What the PostFilter plugins say, DynamicResources first.
    claims = "still not schedulable" if pod.resource_claims else "no new claims to deallocate"
    why = outcome.not_eligible or _sentence(len(state.nodes), outcome.reasons)
    return Decision(message=f"{message} {claims}, preemption: {why}", reasons=reasons)


def _sentence(total: int, reasons: Mapping[str, tuple[str, ...]]) -> str:
    """FitError's message: how many nodes had each reason, in the order of the finished words (framework/types.go)."""
    counts: dict[str, int] = {}
    for found in reasons.values():
        for reason in found:
            counts[reason] = counts.get(reason, 0) + 1
    words = sorted(f"{count} {reason}" for reason, count in counts.items())
    return f"0/{total} nodes are available: {', '.join(words)}."


def take_devices(state: ClusterState, pod: Mapping[str, Any], node: str) -> None:
    """Note which devices a pod's claims hold on the node that it is bound to."""
    info = parse_pod(pod)
    if info.resource_claims:
        state.devices_taken[info.key] = devices_for(state, info, state.nodes[node]) or ()
