"""Replicas that one metric asks for (kubernetes 1.36 pkg/controller/podautoscaler/replica_calculator.go)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stoker.twin.autoscaler.hpa import HpaSpec, Metric

__all__ = ["NoMetricsError", "PodSample", "replicas_for"]

# kube-controller-manager's defaults: --horizontal-pod-autoscaler-cpu-initialization-period and -initial-readiness-delay.
CPU_INITIALIZATION_S: Final = 300.0
INITIAL_READINESS_DELAY_S: Final = 30.0


class NoMetricsError(Exception):
    """A metric could not be had; the message is the controller's."""


@dataclass(frozen=True, slots=True)
class PodSample:
    """One pod of the target as the controller sees it.

    Attributes:
        value: what the metric says of it, in units; None where it says nothing.
        request: what it requests of the resource, in units.
        phase: Pending, Running, Failed, ...
        ready: its Ready condition; None where it has none yet. ``ready_since_s``: when that last changed.
        started_s: its start time; None where it has not started.
        deleted: it has a deletion timestamp.
        sampled_s, window_s: time and window of the sample, for CPU.
    """

    value: float | None
    request: float = 0.0
    phase: str = "Running"
    ready: bool | None = True
    ready_since_s: float = 0.0
    started_s: float | None = 0.0
    deleted: bool = False
    sampled_s: float = 0.0
    window_s: float = 60.0


def replicas_for(
    spec: HpaSpec,
    metric: Metric,
    current: int,
    *,
    value: float | None = None,
    pods: Sequence[PodSample] = (),
    ready: int | None = None,
    now: float = 0.0,
) -> int:
    """Replicas that a metric asks for.

    Args:
        spec: the HPA, for its tolerances.
        metric: which one.
        current: replicas of the target (``status.replicas``).
        value: of an External or Object metric.
        pods: samples of the target's pods, for Resource, ContainerResource and Pods metrics.
        ready: pods that are running and ready; ``current`` where not told.
        now: for CPU samples of young pods.

    Raises:
        NoMetricsError: there is no sample to go by.
    """
    if metric.kind in {"External", "Object"}:
        if value is None:
            raise NoMetricsError(f"no metrics returned from {metric.kind.lower()} metrics API")
        return _by_value(spec, metric, current, value, current if ready is None else ready)
    return _by_pods(spec, metric, current, pods, now)


def _tolerated(spec: HpaSpec, ratio: float) -> bool:
    return 1.0 - spec.down.tolerance <= ratio <= 1.0 + spec.up.tolerance


def _by_value(spec: HpaSpec, metric: Metric, current: int, value: float, ready: int) -> int:
    if metric.target == "AverageValue":
        # ceil(sum / target): an absolute count, whatever is there now.
        if current and _tolerated(spec, value / (metric.value * current)):
            return current
        return math.ceil(value / metric.value)
    ratio = value / metric.value
    if current == 0:
        return math.ceil(ratio)
    return current if _tolerated(spec, ratio) else math.ceil(ratio * ready)


@dataclass(slots=True)
class _Groups:
    counted: list[PodSample]
    unready: list[PodSample]
    missing: list[PodSample]


def _group(metric: Metric, pods: Sequence[PodSample], now: float) -> _Groups:
    """groupPods: those that count, those that are not ready yet, those without a sample; failed and deleted ones not."""
    groups = _Groups([], [], [])
    for pod in pods:
        if pod.deleted or pod.phase == "Failed":
            continue
        if pod.phase == "Pending":
            groups.unready.append(pod)
        elif pod.value is None:
            groups.missing.append(pod)
        elif metric.name == "cpu" and _too_young(pod, now):
            groups.unready.append(pod)
        else:
            groups.counted.append(pod)
    return groups


def _too_young(pod: PodSample, now: float) -> bool:
    if pod.ready is None or pod.started_s is None:
        return True
    if pod.started_s + CPU_INITIALIZATION_S > now:
        return not pod.ready or pod.sampled_s < pod.ready_since_s + pod.window_s
    return not pod.ready and pod.started_s + INITIAL_READINESS_DELAY_S > pod.ready_since_s


def _by_pods(spec: HpaSpec, metric: Metric, current: int, pods: Sequence[PodSample], now: float) -> int:
    if not pods:
        raise NoMetricsError("no pods returned by selector while calculating replica count")
    groups = _group(metric, pods, now)
    if not groups.counted:
        raise NoMetricsError("did not receive metrics for targeted pods (pods might be unready)")
    ratio = _ratio(metric, [(pod.value or 0.0, pod.request) for pod in groups.counted])
    rebalance = bool(groups.unready) and ratio > 1.0
    if not rebalance and not groups.missing:
        return current if _tolerated(spec, ratio) else math.ceil(ratio * len(groups.counted))
    samples = [(pod.value or 0.0, pod.request) for pod in groups.counted]
    if ratio < 1.0:
        # On the way down a pod without a sample counts as busy: at its request, or at the target if that is more.
        samples += [(_fallback(metric, pod), pod.request) for pod in groups.missing]
    elif ratio > 1.0:
        samples += [(0.0, pod.request) for pod in groups.missing]
    if rebalance:
        samples += [(0.0, pod.request) for pod in groups.unready]
    again = _ratio(metric, samples)
    if _tolerated(spec, again) or (ratio < 1.0) != (again < 1.0):
        return current
    wanted = math.ceil(again * len(samples))
    if (again < 1.0 and wanted > current) or (again > 1.0 and wanted < current):
        return current
    return wanted


def _fallback(metric: Metric, pod: PodSample) -> float:
    if metric.target == "Utilization":
        return pod.request * max(100.0, metric.value) / 100.0
    return metric.value


def _ratio(metric: Metric, samples: Sequence[tuple[float, float]]) -> float:
    total = sum(value for value, _ in samples)
    if metric.target == "Utilization":
        requested = sum(request for _, request in samples)
        if requested == 0:
            raise NoMetricsError("no metrics returned matched known pods")
        # Whole percent, as the controller computes it (metrics/utilization.go).
        return int(total * 100 / requested) / metric.value
    return total / len(samples) / metric.value
