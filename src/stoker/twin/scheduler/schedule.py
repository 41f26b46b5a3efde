"""One try to schedule a pod: filter, score, choose; or preempt, and say why not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stoker.kube.selectors import nodes_terms
from stoker.twin.scheduler.claims import claims_gated, claims_problem, uses_devices
from stoker.twin.scheduler.devices import DeviceError
from stoker.twin.scheduler.filters import Reading, Refusal, filter_with_promised, read
from stoker.twin.scheduler.pods import PodInfo, parse_pod
from stoker.twin.scheduler.preemption import preempt
from stoker.twin.scheduler.profiles import Profile
from stoker.twin.scheduler.scores import score_nodes
from stoker.twin.scheduler.state import ClusterState, NodeInfo
from stoker.twin.scheduler.volumes import volume_problem

__all__ = ["Decision", "queue_key", "schedule"]

_NOT_NAMED = Refusal(("node(s) didn't satisfy plugin(s) [NodeAffinity]",), True)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a scheduling cycle came to.

    Attributes:
        node: where the pod is bound; None where it stays Pending.
        message: the FailedScheduling message, whole, or why it is not tried; empty where it was bound.
        feasible: nodes that passed every filter.
        scores: weighted score by node and plugin.
        tied: nodes with the highest total; any of them is right.
        nominated: node promised to a pod that preempts.
        victims: namespace and name of pods to delete for it, the most important first.
        reasons: why each node did not do.
        gated: the pod is not in the queue at all: it has scheduling gates, or waits for its ResourceClaims.
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
        # What the API server writes into the pod's condition (pkg/registry/core/pod/strategy.go).
        return Decision(gated=True, message="Scheduling is blocked due to non-empty scheduling gates")
    info = parse_pod(pod)
    if (info.resource_claims or info.unclaimed) and claims_gated(state, info):
        return Decision(gated=True)
    try:
        return _schedule(state, pod, info, choose)
    except DeviceError as error:
        return Decision(message=f'running "DynamicResources" filter plugin: {error}')


def _schedule(
    state: ClusterState, pod: Mapping[str, Any], info: PodInfo, choose: Callable[[tuple[str, ...]], str]
) -> Decision:
    total = len(state.nodes)
    if not total:
        return Decision(message="no nodes available to schedule pods")
    problem, some = _early(state, info)
    if problem:
        # The state of DynamicResources, which speaks next, was not found, as the plugin was never asked.
        return Decision(message=f"0/{total} nodes are available: {problem}. not found")
    problem = claims_problem(state, info) if info.resource_claims else ""
    if problem:
        everywhere = dict.fromkeys(state.nodes, Refusal((problem,), True))
        return _failed(state, info, everywhere, f"0/{total} nodes are available: {problem}.")
    reading = read(state, info)
    refusals: dict[str, Refusal] = {}
    promised = state.nodes.get(info.nominated)
    # The node that was promised is taken if it does, before any other is looked at.
    if promised is not None and filter_with_promised(state, info, promised, reading) is None:
        return Decision(node=promised.name, feasible=(promised.name,), tied=(promised.name,))
    feasible = _feasible(state, info, some, reading, refusals)
    if not feasible:
        return _failed(state, info, refusals)
    reasons = {name: refusal.reasons for name, refusal in refusals.items()}
    names = tuple(node.name for node in feasible)
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


def _early(state: ClusterState, pod: PodInfo) -> tuple[str, frozenset[str] | None]:
    """What keeps the pod off every node (PreFilter), and the nodes that its affinity names, where it names them all."""
    some = _named(pod.spec) if pod.picky else None
    if some is not None and not some:
        return "pod affinity terms conflict", None
    return volume_problem(state, pod) if pod.claims else "", some


def _named(spec: Mapping[str, Any]) -> frozenset[str] | None:
    """Nodes that the required node affinity names one by one (node_affinity.go PreFilter); None where any may do."""
    found: frozenset[str] = frozenset()
    terms = nodes_terms(spec)
    for term in terms:
        named = [
            frozenset(field.get("values") or ())
            for field in term.get("matchFields") or ()
            if field.get("key") == "metadata.name" and field.get("operator") == "In"
        ]
        if not named:
            return None
        found |= frozenset.intersection(*named)
    return found if terms else None


def _feasible(
    state: ClusterState,
    pod: PodInfo,
    some: frozenset[str] | None,
    reading: Reading,
    refusals: dict[str, Refusal],
) -> list[NodeInfo]:
    """Nodes that do; ``refusals`` gets why the others do not."""
    found = []
    for node in state.nodes.values():
        if some is not None and node.name not in some:
            refusals[node.name] = _NOT_NAMED
            continue
        refusal = filter_with_promised(state, pod, node, reading)
        if refusal is None:
            found.append(node)
        else:
            refusals[node.name] = refusal
    return found


def _failed(state: ClusterState, pod: PodInfo, refusals: Mapping[str, Refusal], early: str = "") -> Decision:
    reasons = {name: refusal.reasons for name, refusal in refusals.items()}
    message = early or _sentence(len(state.nodes), reasons)
    outcome = preempt(state, pod, refusals)
    if outcome.candidate is not None:
        return Decision(
            message=message,
            nominated=outcome.candidate.node,
            victims=tuple(victim.key for victim in outcome.candidate.victims),
            reasons=reasons,
        )
    # What the PostFilter plugins say, DynamicResources first.
    asked = uses_devices(state, pod) and not early
    claims = "still not schedulable" if asked else "no new claims to deallocate"
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
