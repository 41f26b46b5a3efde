"""Replicas that one metric asks for (kubernetes 1.36 pkg/controller/podautoscaler/replica_calculator.go).

Values are whole thousandths and averages of them are cut, as the controller has them (metrics/utilization.go).

Left out: samples of pods that the selector does not find (the twin has none), a Ready condition that is Unknown (a pod is ready
or not), and what containers request (a sample comes with the request that it is held against).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stoker.twin.autoscaler.hpa import Flags, HpaSpec, Metric

__all__ = ["NoMetricsError", "PodSample", "replicas_for"]

_MOST: Final = 2**31 - 1  # counts are int32


class NoMetricsError(Exception):
    """A metric could not be had; the message is the controller's."""


@dataclass(frozen=True, slots=True)
class PodSample:
    """One pod of the target as the controller sees it.

    Attributes:
        value: what the metric says of it, in units; None where it says nothing.
        request: what it requests of the resource, in units; None where a container requests nothing of it.
        phase: Pending, Running, Failed, ...
        ready: its Ready condition; None where it has none yet. ``ready_since_s``: when that last changed.
        started_s: its start time; None where it has not started.
        deleted: it has a deletion timestamp.
        sampled_s, window_s: time and window of the sample, for CPU.
    """

    value: float | None
    request: float | None = 0.0
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
    status: int | None = None,
    now: float = 0.0,
) -> int:
    """Replicas that a metric asks for.

    Args:
        spec: the HPA, for its tolerances.
        metric: which one.
        current: ``spec.replicas`` of the target.
        value: of an External or Object metric.
        pods: samples of the target's pods, for Resource, ContainerResource and Pods metrics.
        ready: pods that are running and ready; ``current`` where not told.
        status: ``status.replicas`` of the target: the pods there are, which AverageValue counts; ``current`` where not told.
        now: for CPU samples of young pods.

    Raises:
        NoMetricsError: there is no sample to go by.
    """
    if metric.kind in {"External", "Object"}:
        if value is None:
            raise NoMetricsError(f"no metrics returned from {metric.kind.lower()} metrics API")
        usage, target = _milli(value), _milli(metric.value)
        there = current if status is None else status
        if metric.target == "AverageValue":
            return min(_MOST, _per_pod(spec, usage, target, there))
        if current and not there:
            raise NoMetricsError("no pods returned by selector while calculating replica count")
        return min(_MOST, _by_ratio(spec, current, usage / target, current if ready is None else ready))
    return _by_pods(spec, metric, current, pods, now)


def _milli(value: float) -> int:
    """Thousandths, as Quantity.MilliValue counts them: rounded up, of what a Quantity can hold (nano)."""
    return math.ceil(round(value * 1000, 6))


def _tolerated(spec: HpaSpec, ratio: float) -> bool:
    return 1.0 - spec.down.tolerance <= ratio <= 1.0 + spec.up.tolerance


def _per_pod(spec: HpaSpec, usage: int, target: int, there: int) -> int:
    """GetExternalPerPodMetricReplicas: ceil(sum / target), an absolute count, unless what is there is near enough."""
    if there and _tolerated(spec, usage / (target * there)):
        return there
    return math.ceil(usage / target)


def _by_ratio(spec: HpaSpec, current: int, ratio: float, ready: int) -> int:
    """getUsageRatioReplicaCount: from zero the ratio is the count."""
    if current == 0:
        return math.ceil(ratio)
    return current if _tolerated(spec, ratio) else math.ceil(ratio * ready)


@dataclass(slots=True)
class _Groups:
    counted: list[PodSample]
    unready: list[PodSample]
    missing: list[PodSample]


def _group(spec: HpaSpec, metric: Metric, pods: Sequence[PodSample], now: float) -> _Groups:
    """groupPods: those that count, those that are not ready yet, those without a sample; failed and deleted ones not."""
    groups = _Groups([], [], [])
    is_cpu = metric.name == "cpu" and metric.kind in {"Resource", "ContainerResource"}
    for pod in pods:
        if pod.deleted or pod.phase == "Failed":
            continue
        if pod.phase == "Pending":
            groups.unready.append(pod)
        elif pod.value is None:
            groups.missing.append(pod)
        elif is_cpu and _too_young(spec.flags, pod, now):
            groups.unready.append(pod)
        else:
            groups.counted.append(pod)
    return groups


def _too_young(flags: Flags, pod: PodSample, now: float) -> bool:
    if pod.ready is None or pod.started_s is None:
        return True
    if pod.started_s + flags.cpu_initialization_s > now:
        return not pod.ready or pod.sampled_s < pod.ready_since_s + pod.window_s
    return not pod.ready and pod.started_s + flags.initial_readiness_delay_s > pod.ready_since_s


def _by_pods(spec: HpaSpec, metric: Metric, current: int, pods: Sequence[PodSample], now: float) -> int:
    if not pods:
        raise NoMetricsError("no pods returned by selector while calculating replica count")
    groups = _group(spec, metric, pods, now)
    if not groups.counted:
        raise NoMetricsError("did not receive metrics for targeted pods (pods might be unready)")
    if metric.target == "Utilization" and any(pod.request is None for pod in pods):
        raise NoMetricsError(f"missing request for {metric.name}")
    samples = [(_milli(pod.value or 0.0), pod) for pod in groups.counted]
    ratio = _ratio(metric, samples)
    with_unready = bool(groups.unready) and ratio > 1.0
    if not with_unready and not groups.missing:
        return current if _tolerated(spec, ratio) else min(_MOST, math.ceil(ratio * len(samples)))
    if ratio < 1.0:
        # On the way down a pod without a sample counts as busy: at its request, or at the target if that is more.
        samples += [(_busy(metric, pod), pod) for pod in groups.missing]
    elif ratio > 1.0:
        samples += [(0, pod) for pod in groups.missing]
    if with_unready:
        samples += [(0, pod) for pod in groups.unready]
    again = _ratio(metric, samples)
    if _tolerated(spec, again) or (ratio < 1.0 < again) or (again < 1.0 < ratio):
        return current
    wanted = min(_MOST, math.ceil(again * len(samples)))
    if (again < 1.0 and wanted > current) or (again > 1.0 and wanted < current):
        return current
    return wanted


def _busy(metric: Metric, pod: PodSample) -> int:
    if metric.target == "Utilization":
        return _milli(pod.request or 0.0) * max(100, int(metric.value)) // 100
    return _milli(metric.value)


def _ratio(metric: Metric, samples: Sequence[tuple[int, PodSample]]) -> float:
    total = sum(value for value, _ in samples)
    if metric.target == "Utilization":
        requested = sum(_milli(pod.request or 0.0) for _, pod in samples)
        if requested == 0:
            raise NoMetricsError("no metrics returned matched known pods")
        return (total * 100 // requested) / int(metric.value)
    return (total // len(samples)) / _milli(metric.value)
