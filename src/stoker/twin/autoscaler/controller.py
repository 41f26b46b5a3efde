"""One sync of the HPA controller (kubernetes 1.36 pkg/controller/podautoscaler/horizontal.go).

The controller keeps recommendations and scale events between syncs; here they are `HpaState`, changed in place.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from stoker.twin.autoscaler.hpa import HpaSpec, Metric, Policy, Rules
from stoker.twin.autoscaler.replicas import NoMetricsError, PodSample, replicas_for

__all__ = ["HpaDecision", "HpaState", "Reading", "sync"]


@dataclass(slots=True)
class HpaState:
    """What the controller remembers of one HPA: (time, replicas) of recommendations, (time, change) of scalings."""

    recommendations: list[tuple[float, int]] = field(default_factory=list)
    ups: list[tuple[float, int]] = field(default_factory=list)
    downs: list[tuple[float, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a metric says at a sync: a value, samples of pods, or an error."""

    value: float | None = None
    pods: Sequence[PodSample] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class HpaDecision:
    """What the controller writes.

    Attributes:
        replicas: the count it sets; what it was where it leaves it.
        proposed: before limits; None where no metric could be read.
        active: ScalingActive; ``reason`` of its condition.
        limited: ScalingLimited, and its reason.
        stabilized: a recommendation of the window was taken in place of this one.
    """

    replicas: int
    proposed: int | None
    active: bool
    reason: str
    limited: bool
    limited_reason: str
    stabilized: bool


def sync(
    spec: HpaSpec,
    state: HpaState,
    current: int,
    readings: Callable[[Metric], Reading],
    now: float,
    *,
    ready: int | None = None,
) -> HpaDecision:
    """One sync.

    Args:
        spec: the HPA.
        state: what is remembered; changed.
        current: ``spec.replicas`` of the target.
        readings: what each metric says now.
        now: seconds.
        ready: pods that are ready, for Value targets; ``current`` where not told.
    """
    if not state.recommendations:
        state.recommendations.append((now, current))
    if current == 0 and spec.min_replicas != 0:
        return HpaDecision(0, None, False, "ScalingDisabled", False, "", False)
    if current > spec.max_replicas:
        return _written(state, spec, current, spec.max_replicas, now, "TooManyReplicas")
    if current < spec.min_replicas:
        return _written(state, spec, current, spec.min_replicas, now, "TooFewReplicas")
    proposed, errors = _propose(spec, current, readings, now, ready)
    if proposed is None or (errors and proposed < current):
        # A metric that cannot be read may scale up by the others, never down.
        return HpaDecision(current, None, False, "FailedGetMetric", False, "", False)
    normalize = _with_behavior if spec.has_behavior else _without_behavior
    replicas, limited, why, stabilized = normalize(spec, state, current, proposed, now)
    if replicas != current:
        _remember(spec, state, current, replicas, now)
    return HpaDecision(replicas, proposed, True, "ValidMetricFound", limited, why, stabilized)


def _written(
    state: HpaState, spec: HpaSpec, current: int, replicas: int, now: float, reason: str
) -> HpaDecision:
    _remember(spec, state, current, replicas, now)
    return HpaDecision(replicas, replicas, True, "ValidMetricFound", True, reason, False)


def _propose(
    spec: HpaSpec,
    current: int,
    readings: Callable[[Metric], Reading],
    now: float,
    ready: int | None,
) -> tuple[int | None, int]:
    """The most that any metric asks for, and how many could not be read."""
    proposed: int | None = None
    errors = 0
    for metric in spec.metrics:
        reading = readings(metric)
        if reading.error:
            errors += 1
            continue
        try:
            wanted = replicas_for(
                spec, metric, current, value=reading.value, pods=reading.pods, ready=ready, now=now
            )
        except NoMetricsError:
            errors += 1
            continue
        proposed = wanted if proposed is None else max(proposed, wanted)
    return proposed, errors


def _without_behavior(
    spec: HpaSpec, state: HpaState, current: int, proposed: int, now: float
) -> tuple[int, bool, str, bool]:
    window = now - spec.down.stabilization_s
    best = proposed
    for time, replicas in state.recommendations:
        if time >= window:
            best = max(best, replicas)
    _record(state, proposed, now, window)
    most = min(spec.max_replicas, max(2 * current, 4))
    if best < spec.min_replicas:
        return spec.min_replicas, True, "TooFewReplicas", best != proposed
    if best > most:
        reason = "TooManyReplicas" if most == spec.max_replicas else "ScaleUpLimit"
        return most, True, reason, best != proposed
    return best, False, "DesiredWithinRange", best != proposed


def _with_behavior(
    spec: HpaSpec, state: HpaState, current: int, proposed: int, now: float
) -> tuple[int, bool, str, bool]:
    best = _stabilized(spec, state, current, proposed, now)
    stabilized = best != proposed
    if best > current:
        limit = max(current, _up_limit(current, state.ups, spec.up, now))
        most = min(spec.max_replicas, limit)
        if best > most:
            return most, True, "ScaleUpLimit" if limit < spec.max_replicas else "TooManyReplicas", stabilized
    elif best < current:
        limit = min(current, _down_limit(current, state.downs, spec.down, now))
        least = max(spec.min_replicas, limit)
        if best < least:
            reason = "ScaleDownLimit" if limit > spec.min_replicas else "TooFewReplicas"
            return least, True, reason, stabilized
    return best, False, "DesiredWithinRange", stabilized


def _stabilized(spec: HpaSpec, state: HpaState, current: int, proposed: int, now: float) -> int:
    """The lowest recommendation of the up window, or the highest of the down window."""
    up = proposed >= current
    window = now - (spec.up if up else spec.down).stabilization_s
    better = min if up else max
    best = proposed
    for time, replicas in state.recommendations:
        if time > window:
            best = better(best, replicas)
    _record(state, proposed, now, now - max(spec.up.stabilization_s, spec.down.stabilization_s))
    return best


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


def _changed(events: Sequence[tuple[float, int]], period_s: int, now: float) -> int:
    return sum(change for time, change in events if time > now - period_s)


def _up_limit(current: int, events: Sequence[tuple[float, int]], rules: Rules, now: float) -> int:
    if rules.select == "Disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = current - _changed(events, policy.period_s, now)
        limits.append(_raised(start, policy))
    return min(limits) if rules.select == "Min" else max(limits)


def _raised(start: int, policy: Policy) -> int:
    if policy.kind == "Pods":
        return start + policy.value
    return math.ceil(start * (1 + policy.value / 100))


def _down_limit(current: int, events: Sequence[tuple[float, int]], rules: Rules, now: float) -> int:
    if rules.select == "Disabled":
        return current
    limits = []
    for policy in rules.policies:
        start = current + _changed(events, policy.period_s, now)
        limits.append(
            start - policy.value if policy.kind == "Pods" else int(start * (1 - policy.value / 100))
        )
    return max(limits) if rules.select == "Min" else min(limits)


def _remember(spec: HpaSpec, state: HpaState, current: int, replicas: int, now: float) -> None:
    """Store a scale event; those that no policy looks back to are dropped."""
    if not spec.has_behavior:
        return
    up = replicas > current
    rules = spec.up if up else spec.down
    longest = max((policy.period_s for policy in rules.policies), default=0)
    events = state.ups if up else state.downs
    kept = [event for event in events if event[0] >= now - longest]
    kept.append((now, abs(replicas - current)))
    if up:
        state.ups = kept
    else:
        state.downs = kept
