"""How many pods Knative's autoscaler wants (knative/serving main of 2026-08-21, pkg/autoscaler/scaling/autoscaler.go).

The desired count is the concurrency over the target, averaged over a stable window; a panic window reacts to bursts: while
it asks for twice the ready pods or more, replicas only go up.

Left out: requests per second as a metric (refused), the weighted aggregation algorithm, more than one activator, and the start
of the autoscaler itself (`KpaState.started` has its panic; the twin's first moment is not one).
"""

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from stoker.errors import StokerError

__all__ = ["KpaSpec", "KpaState", "Wanted", "metric_target", "wanted"]

_PREFIX = "autoscaling.knative.dev/"
TICK_S: Final = 2.0
"""config-autoscaler tick-interval."""

_TARGET_MIN: Final = 0.01  # pkg/apis/autoscaling/register.go
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True, slots=True)
class KpaSpec:
    """One revision's settings; defaults are those of config-autoscaler (pkg/autoscaler/config/config.go).

    Attributes:
        target: concurrency per pod that is aimed at: the annotation's, times the target utilisation.
        total: concurrency that a pod can take; 0 where it is the target.
        min_scale, max_scale: bounds; 0 is none.
        stable_s, panic_s: windows; the panic window is a tenth.
        panic_threshold: panic where the panic window asks for this many times the ready pods.
        max_up, max_down: most growth and shrinking in one step, as factors of the ready pods.
        grace_s: how long the activator must have been in the path before the last pod goes.
        retention_s: how long the last pod stays in any case.
        down_delay_s: how long a lower count must last before it counts.
        activation_scale: the least count that is not zero.
        initial_scale: the count of a new revision.
        burst_capacity: what must be free for bursts without the activator; -1 keeps it in the path, 0 takes it out.
        scale_to_zero: enable-scale-to-zero.
        reachable: a route points at the revision.
        deadline_s: how long an activation may last (config-deployment progress-deadline).
    """

    target: float
    min_scale: int
    max_scale: int
    stable_s: float = 60.0
    panic_s: float = 6.0
    panic_threshold: float = 2.0
    max_up: float = 1000.0
    max_down: float = 2.0
    grace_s: float = 30.0
    total: float = 0.0
    retention_s: float = 0.0
    down_delay_s: float = 0.0
    activation_scale: int = 1
    initial_scale: int = 1
    burst_capacity: float = 211.0
    scale_to_zero: bool = True
    reachable: bool = True
    deadline_s: float = 600.0

    @classmethod
    def from_annotations(cls, annotations: Mapping[str, str], limit: int = 0) -> "KpaSpec":
        """Read the annotations of a revision, and its ``containerConcurrency``.

        Raises:
            StokerError: it scales by what the twin does not count, or a duration is none.
        """
        own = {key.removeprefix(_PREFIX): value for key, value in annotations.items()}
        if own.get("metric", "concurrency") != "concurrency":
            raise StokerError(f"the twin does not scale by {own['metric']!r}", fix="scale by concurrency")
        target, total = metric_target(own, limit)
        stable = _seconds(own.get("window", "60s"))
        return cls(
            target=target,
            total=total,
            # A revision that may start with nothing needs allow-zero-initial-scale, which is off.
            initial_scale=int(own.get("initial-scale", "1")) or 1,
            min_scale=int(own.get("min-scale", "0")),
            max_scale=int(own.get("max-scale", "0")),
            stable_s=stable,
            panic_s=stable * float(own.get("panic-window-percentage", "10")) / 100,
            panic_threshold=float(own.get("panic-threshold-percentage", "200")) / 100,
            retention_s=_seconds(own.get("scale-to-zero-pod-retention-period", "0s")),
            down_delay_s=_seconds(own.get("scale-down-delay", "0s")),
            activation_scale=int(own.get("activation-scale", "1")),
            burst_capacity=float(own.get("target-burst-capacity", "211")),
        )


def metric_target(
    own: Mapping[str, str], limit: int, *, default: float = 100.0, fraction: float = 0.7
) -> tuple[float, float]:
    """Concurrency that is aimed at, and that a pod can take (resources/target.go ResolveMetricTarget).

    Args:
        own: annotations without their prefix.
        limit: ``containerConcurrency``; 0 is none.
        default: container-concurrency-target-default.
        fraction: container-concurrency-target-percentage as a fraction.
    """
    total = float(limit) or default
    if "target" in own:
        total = min(float(own["target"]), limit) if limit else float(own["target"])
    if "target-utilization-percentage" in own:
        fraction = float(own["target-utilization-percentage"]) / 100
    return max(_TARGET_MIN, total * fraction), total


def _seconds(duration: str) -> float:
    """A Go duration; a bare zero is one too."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", duration)
    if "".join(value + unit for value, unit in parts) != duration or not parts:
        if duration == "0":
            return 0.0
        raise StokerError(f"no duration: {duration!r}", fix="write it like 60s or 1m30s")
    return sum(float(value) * _UNITS[unit] for value, unit in parts)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A desired count, and the capacity for bursts that is free (negative: the activator stays in the path)."""

    replicas: int
    excess_burst: int


@dataclass(slots=True)
class KpaState:
    """What is remembered of a revision.

    Attributes:
        samples: (tick, concurrency) of the stable window; its first tick, and that of the panic window.
        panic_s: when panic began or was last confirmed; None out of panic. ``panic_pods``: the most it asked for.
        delayed: (tick, count) within the scale-down delay.
        phase: the PodAutoscaler's Active condition: active, activating or inactive; empty before the first look.
        phase_s, proxy_s: since when, and since when the activator is in the path (None: it is not).
        initialized: the revision reached its initial scale once.
        wanted: the last evaluation; None before the first.
    """

    samples: deque[tuple[int, float]] = field(default_factory=deque)
    first: int = 0
    first_panic: int = 0
    panic_s: float | None = None
    panic_pods: int = 0
    delayed: deque[tuple[int, int]] = field(default_factory=deque)
    phase: str = ""
    phase_s: float = -math.inf
    proxy_s: float | None = None
    initialized: bool = True
    wanted: Wanted | None = None

    @classmethod
    def started(cls, ready: int, now: float) -> "KpaState":
        """Of an autoscaler that has just started: it panics where more than one pod is ready, to keep them."""
        return cls(panic_s=now if ready > 1 else None, panic_pods=ready)


def wanted(spec: KpaSpec, state: KpaState, stable: float, panic: float, ready: int, now: float) -> Wanted:
    """One evaluation (autoscaler.Scale) of averages over both windows.

    Args:
        spec: settings.
        state: what is remembered; changed.
        stable: concurrency over the stable window.
        panic: over the panic window.
        ready: pods that take requests.
        now: seconds.
    """
    base = max(1, ready)
    most = math.ceil(spec.max_up * base)
    least = math.floor(base / spec.max_down) if spec.reachable else 0
    steady, urgent = math.ceil(stable / spec.target), math.ceil(panic / spec.target)
    replicas = _bounded(spec, steady, least, most)
    in_panic = _bounded(spec, urgent, least, most)
    if urgent / base >= spec.panic_threshold:
        state.panic_s = now
    elif state.panic_s is not None and state.panic_s + spec.stable_s < now:
        state.panic_s = None
        state.panic_pods = 0
    if state.panic_s is not None:
        # In panic the count never goes down.
        state.panic_pods = max(state.panic_pods, replicas, in_panic)
        replicas = state.panic_pods
    if spec.reachable and spec.down_delay_s > 0:
        replicas = _delayed(spec, state, replicas, now)
    return Wanted(replicas, _excess_burst(spec, panic, ready))


def _bounded(spec: KpaSpec, count: int, least: int, most: int) -> int:
    bounded = min(max(count, least), most)
    return max(bounded, spec.activation_scale) if count > 0 and spec.activation_scale > 1 else bounded


def _delayed(spec: KpaSpec, state: KpaState, replicas: int, now: float) -> int:
    """The most of the scale-down delay, in buckets of a tick (aggregation/max/timewindow.go)."""
    tick = int(now // TICK_S)
    kept = state.delayed
    while kept and kept[-1][1] <= replicas:
        kept.pop()
    kept.append((tick, replicas))
    while tick - kept[0][0] >= math.ceil(spec.down_delay_s / TICK_S):
        kept.popleft()
    return kept[0][1]


def _excess_burst(spec: KpaSpec, panic: float, ready: int) -> int:
    if spec.burst_capacity == 0:
        return 0
    if spec.burst_capacity < 0:
        return -1
    return math.floor(ready * (spec.total or spec.target) - spec.burst_capacity - panic)
