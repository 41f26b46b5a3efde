"""One sync of the HPA controller (kubernetes 1.36 pkg/controller/podautoscaler/horizontal.go).

The controller keeps recommendations and scale events between syncs; here they are `HpaState`, changed in place. What it does
with them is in `rates`.

Left out: how the target is found and written (a scale that cannot be read or written, selectors that overlap), events.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from stoker.twin.autoscaler.hpa import HpaSpec, Metric
from stoker.twin.autoscaler.rates import HpaState, limit, limit_by_rules, remember, stabilize
from stoker.twin.autoscaler.replicas import NoMetricsError, PodSample, replicas_for

__all__ = ["HpaDecision", "HpaState", "Reading", "sync"]

_FAILED: Final = {
    kind: f"FailedGet{kind}Metric" for kind in ("Resource", "ContainerResource", "Pods", "Object", "External")
}


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
        proposed: before limits; None where no metric was asked, or none could be read.
        active: ScalingActive; ``reason`` of its condition, empty where the condition is left as it was.
        limited: ScalingLimited, and its reason, empty where the condition is left as it was.
        stabilized: a recommendation of the window was taken in place of this one.
    """

    replicas: int
    proposed: int | None = None
    active: bool = True
    reason: str = ""
    limited: bool = False
    limited_reason: str = ""
    stabilized: bool = False


def sync(
    spec: HpaSpec,
    state: HpaState,
    current: int,
    readings: Callable[[Metric], Reading],
    now: float,
    *,
    ready: int | None = None,
    status: int | None = None,
) -> HpaDecision:
    """One sync (reconcileAutoscaler).

    Args:
        spec: the HPA.
        state: what is remembered; changed.
        current: ``spec.replicas`` of the target.
        readings: what each metric says now.
        now: seconds.
        ready: pods that are ready, for Value targets; ``current`` where not told.
        status: ``status.replicas`` of the target, for AverageValue targets; ``current`` where not told.
    """
    if not state.recommendations:
        state.recommendations.append((now, current))
    # Without the feature gate the controller takes the condition away where it meets it.
    state.scaled_to_zero = state.scaled_to_zero and spec.flags.scale_to_zero
    if current == 0 and not (state.scaled_to_zero and (spec.min_replicas != 0 or _asks_from_outside(spec))):
        return HpaDecision(0, active=False, reason="ScalingDisabled")
    if current > spec.max_replicas:
        decision = HpaDecision(spec.max_replicas)
    elif 0 < current < spec.min_replicas:
        decision = HpaDecision(spec.min_replicas)
    else:
        decision = _by_metrics(spec, state, current, readings, now, ready, status)
    if decision.replicas != current:
        remember(spec, state, current, decision.replicas, now)
        to_zero = decision.replicas == 0 and spec.min_replicas == 0 and _asks_from_outside(spec)
        state.scaled_to_zero = to_zero and spec.flags.scale_to_zero
    return decision


def _asks_from_outside(spec: HpaSpec) -> bool:
    """Only a metric that does not come from pods can be read without any."""
    return any(metric.kind in {"Object", "External"} for metric in spec.metrics)


def _by_metrics(
    spec: HpaSpec,
    state: HpaState,
    current: int,
    readings: Callable[[Metric], Reading],
    now: float,
    ready: int | None,
    status: int | None,
) -> HpaDecision:
    proposed, failed = _propose(spec, current, readings, now, ready, status)
    if proposed is None or (failed and proposed < current):
        # A metric that cannot be read may scale up by the others, never down.
        return HpaDecision(current, active=False, reason=failed)
    best = stabilize(spec, state, current, proposed, now)
    if spec.has_behavior:
        replicas, why = limit_by_rules(spec, state, current, best, now)
    else:
        replicas, why = limit(spec, current, best)
    if current == 0:
        # Back from zero where the minimum was raised meanwhile.
        replicas = max(replicas, spec.min_replicas)
    return HpaDecision(
        replicas, proposed, True, "ValidMetricFound", why != "DesiredWithinRange", why, best != proposed
    )


def _propose(
    spec: HpaSpec,
    current: int,
    readings: Callable[[Metric], Reading],
    now: float,
    ready: int | None,
    status: int | None,
) -> tuple[int | None, str]:
    """The most that any metric asks for, and the condition of the first that could not be read."""
    proposed: int | None = None
    failed = ""
    for metric in spec.metrics:
        try:
            wanted = _wanted(spec, metric, current, readings, now, ready, status)
        except NoMetricsError:
            failed = failed or _FAILED.get(metric.kind, "InvalidMetricSourceType")
        else:
            proposed = wanted if proposed is None else max(proposed, wanted)
    return proposed, failed


def _wanted(
    spec: HpaSpec,
    metric: Metric,
    current: int,
    readings: Callable[[Metric], Reading],
    now: float,
    ready: int | None,
    status: int | None,
) -> int:
    if metric.kind not in _FAILED:
        raise NoMetricsError(f"unknown metric source type {metric.kind!r}")
    reading = readings(metric)
    if reading.error:
        raise NoMetricsError(reading.error)
    return replicas_for(
        spec, metric, current, value=reading.value, pods=reading.pods, ready=ready, status=status, now=now
    )
