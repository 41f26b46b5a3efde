"""How fast the HPA controller goes where it wants: windows, policies, bounds (kubernetes 1.36 horizontal.go).

Every function is a step of `controller.sync`; they are public because upstream tests them one by one, and so do our tests.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from stoker.twin.autoscaler.hpa import HpaSpec, Policy, Rules

__all__ = ["HpaState", "limit", "limit_by_rules", "remember", "stabilize"]

Events = Sequence[tuple[float, int]]


@dataclass(slots=True)
class HpaState:
    """What the controller remembers of one HPA.

    Attributes:
        recommendations: (time, replicas) before windows and limits.
        ups, downs: (time, change) of its own scalings; only with ``behavior``.
        scaled_to_zero: the ScaledToZero condition: it was this HPA that took the last replica.
    """

    recommendations: list[tuple[float, int]] = field(default_factory=list)
    ups: list[tuple[float, int]] = field(default_factory=list)
    downs: list[tuple[float, int]] = field(default_factory=list)
    scaled_to_zero: bool = False


def stabilize(spec: HpaSpec, state: HpaState, current: int, proposed: int, now: float) -> int:
    """What the windows make of a proposal, which is recorded.

    Without ``behavior`` the highest recommendation of the down window (stabilizeRecommendation). With it the current count,
    moved no further than between the lowest of the up window and the highest of the down window
    (stabilizeRecommendationWithBehaviors): windows only ever hold a change back.
    """
    down = now - spec.down.stabilization_s
    if not spec.has_behavior:
        best = max([proposed, *(replicas for time, replicas in state.recommendations if time >= down)])
        _record(state, proposed, now, down)
        return best
    up = now - spec.up.stabilization_s
    lowest = min([proposed, *(replicas for time, replicas in state.recommendations if time > up)])
    highest = max([proposed, *(replicas for time, replicas in state.recommendations if time > down)])
    _record(state, proposed, now, min(up, down))
    return min(max(current, lowest), highest)


def _record(state: HpaState, replicas: int, now: float, obsolete: float) -> None:
    """Add a recommendation; those before ``obsolete`` are dropped, and of a run of equal ones the last is enough.

    The controller keeps them all. A later one with the same count answers every question about a window that an earlier
    one answers, so nothing changes but the length of the list.
    """
    recommendations = state.recommendations
    if recommendations and recommendations[-1][1] == replicas and len(recommendations) > 1:
        recommendations[-1] = (now, replicas)
    else:
        recommendations.append((now, replicas))
    if recommendations[0][0] < obsolete:
        state.recommendations = [entry for entry in recommendations if entry[0] >= obsolete]


def limit(spec: HpaSpec, current: int, desired: int) -> tuple[int, str]:
    """Bounds without ``behavior``: at most double, or four (convertDesiredReplicasWithRules). With the reason."""
    fastest = max(2 * current, 4)
    if desired < spec.min_replicas:
        return spec.min_replicas, "TooFewReplicas"
    if desired > min(spec.max_replicas, fastest):
        return (
            (fastest, "ScaleUpLimit")
            if spec.max_replicas > fastest
            else (spec.max_replicas, "TooManyReplicas")
        )
    return desired, "DesiredWithinRange"


def limit_by_rules(spec: HpaSpec, state: HpaState, current: int, desired: int, now: float) -> tuple[int, str]:
    """Bounds with ``behavior``: its policies (convertDesiredReplicasWithBehaviorRate). With the reason."""
    if desired > current:
        fastest = max(current, _reach(state, current, spec.up, now, up=True))
        if desired > min(spec.max_replicas, fastest):
            return (
                (fastest, "ScaleUpLimit")
                if spec.max_replicas > fastest
                else (spec.max_replicas, "TooManyReplicas")
            )
    elif desired < current:
        fastest = min(current, _reach(state, current, spec.down, now, up=False))
        if desired < max(spec.min_replicas, fastest):
            return (
                (fastest, "ScaleDownLimit")
                if spec.min_replicas < fastest
                else (spec.min_replicas, "TooFewReplicas")
            )
    return desired, "DesiredWithinRange"


def _reach(state: HpaState, current: int, rules: Rules, now: float, *, up: bool) -> int:
    """How far policies let a count go, from what it was at the start of each one's period."""
    if rules.select == "Disabled":
        return current
    reached = []
    for policy in rules.policies:
        added, taken = (_changed(events, policy.period_s, now) for events in (state.ups, state.downs))
        start = current - added + taken
        reached.append(_raised(start, policy) if up else _lowered(start, policy))
    # The least change is the lowest count on the way up and the highest on the way down.
    return min(reached) if up == (rules.select == "Min") else max(reached)


def _changed(events: Events, period_s: int, now: float) -> int:
    return sum(change for time, change in events if time > now - period_s)


def _raised(start: int, policy: Policy) -> int:
    if policy.kind == "Pods":
        return start + policy.value
    return math.ceil(start * (1 + policy.value / 100))


def _lowered(start: int, policy: Policy) -> int:
    if policy.kind == "Pods":
        return start - policy.value
    return int(start * (1 - policy.value / 100))


def remember(spec: HpaSpec, state: HpaState, current: int, replicas: int, now: float) -> None:
    """Store a scale event in the place of the last that no policy of its direction looks back to (storeScaleEvent).

    Others stay: a policy of the other direction with a longer period still counts them.
    """
    if not spec.has_behavior:
        return
    rules, events = (spec.up, state.ups) if replicas > current else (spec.down, state.downs)
    longest = max((policy.period_s for policy in rules.policies), default=0)
    event = (now, abs(replicas - current))
    old = [place for place, (time, _) in enumerate(events) if time < now - longest]
    if old:
        events[old[-1]] = event
    else:
        events.append(event)
