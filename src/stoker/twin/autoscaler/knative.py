"""Knative's pod autoscaler, tick by tick: averages of both windows, the count that `kpa` wants, and what becomes of it.

Sources: knative/serving main of 2026-08-21, pkg/autoscaler/aggregation/bucketing.go, pkg/reconciler/autoscaling/kpa/kpa.go and
scaler.go (scale, handleScaleToZero).

Left out: the probe that the activator is in the path (it always answers), the difference that the activator makes to a request
(the twin holds requests only where no pod is ready), and seconds between ticks: a bucket is a tick, with one sample.
"""

import math

from stoker.twin.autoscaler.kpa import TICK_S, KpaSpec, KpaState, Wanted, metric_target, wanted

__all__ = ["KpaSpec", "KpaState", "Wanted", "decide", "metric_target", "observe", "settle", "wanted"]

_ACTIVATION_BUFFER_S = 30.0  # scaler.go activationTimeoutBuffer
_PRECISION = 6  # bucketing.go


def decide(spec: KpaSpec, state: KpaState, concurrency: float, ready: int, current: int, now: float) -> int:
    """Replicas of the revision after a tick.

    Args:
        spec: settings.
        state: what is remembered; changed.
        concurrency: requests open now, those that the activator holds included.
        ready: pods that take requests.
        current: replicas that are asked for now.
        now: seconds.
    """
    averages = observe(spec, state, concurrency, ready, now)
    if averages is not None:
        state.wanted = wanted(spec, state, *averages, ready, now)
    # Where nobody was asked for a whole window, what was wanted last is still wanted (ErrNoData).
    return current if state.wanted is None else settle(spec, state, state.wanted, ready, current, now)


def observe(
    spec: KpaSpec, state: KpaState, concurrency: float, ready: int, now: float
) -> tuple[float, float] | None:
    """Record a sample, and average both windows; None where they hold nothing.

    Without a pod and without a request there is nobody to ask, so nothing is recorded. A window that was empty for its whole
    length begins anew: the first request of a sleeping revision counts in full.
    """
    tick = int(now // TICK_S)
    stable, panic = math.ceil(spec.stable_s / TICK_S), max(1, math.ceil(spec.panic_s / TICK_S))
    samples = state.samples
    if ready > 0 or concurrency > 0:
        last = samples[-1][0] if samples else -math.inf
        if tick - last >= stable:
            state.first = tick
            samples.clear()
        if tick - last >= panic:
            state.first_panic = tick
        samples.append((tick, concurrency))
    while samples and samples[0][0] <= tick - stable:
        samples.popleft()
    if not samples:
        return None
    return _average(state, state.first, tick, stable), _average(state, state.first_panic, tick, panic)


def _average(state: KpaState, first: int, tick: int, length: int) -> float:
    """WindowAverage: ticks without a sample are zero, but for those since the last one and before the first."""
    last = state.samples[-1][0]
    if tick - last >= length:
        return 0.0
    total = 0.0
    for at, value in reversed(state.samples):
        if at <= tick - length:
            break
        total += value
    scale = 10.0**_PRECISION
    return math.floor(total / min(last - first + 1, length - (tick - last)) * scale + 0.5) / scale


def settle(spec: KpaSpec, state: KpaState, found: Wanted, ready: int, current: int, now: float) -> int:
    """What becomes of a wanted count: bounds, and the way to zero (scaler.scale, kpa.ReconcileKind).

    Args:
        spec: settings.
        state: what is remembered; its phase changes.
        found: the count that is wanted, and the free capacity for bursts.
        ready: pods that take requests.
        current: replicas that are asked for now.
        now: seconds.
    """
    least = spec.min_scale if spec.reachable else 0
    if not state.phase:
        # The first look of the twin is at a revision that has been as it is for long.
        state.phase = "active" if current > 0 else "inactive"
    floor = least
    if spec.initial_scale > 1 and not state.initialized and spec.reachable:
        floor = max(spec.initial_scale, least)
    count = max(floor, found.replicas)
    count = min(count, spec.max_scale) if spec.max_scale else count
    count, applies = _toward_zero(spec, state, count, now)
    in_path = count <= 0 or found.excess_burst < 0
    if not in_path:
        state.proxy_s = None
    elif state.proxy_s is None:
        state.proxy_s = now
    enough = max(least, 1 if state.initialized else spec.initial_scale)
    state.initialized = state.initialized or ready >= enough
    _mark(state, count, ready, enough, now)
    return count if applies else current


def _toward_zero(spec: KpaSpec, state: KpaState, count: int, now: float) -> tuple[int, bool]:
    """The count, and whether it is applied (handleScaleToZero); -1 is unknown."""
    if count != 0:
        return count, True
    if not spec.scale_to_zero:
        return 1, True
    since = now - state.phase_s
    if state.phase == "activating":
        # Pods that do not come up are given up after the deadline.
        return (0, True) if since > spec.deadline_s + _ACTIVATION_BUFFER_S else (-1, False)
    if state.phase == "active":
        # After a window of activity the revision becomes inactive, which takes no pod yet; until then one pod stays.
        return (0, False) if since >= spec.stable_s else (1, True)
    retention = spec.retention_s if spec.reachable else 0.0
    if since >= max(spec.grace_s, retention):
        return 0, True
    if since < retention:
        return 0, False
    return 0, state.proxy_s is not None and now - state.proxy_s >= spec.grace_s


def _mark(state: KpaState, count: int, ready: int, enough: int, now: float) -> None:
    """The Active condition (computeActiveCondition)."""
    phase = state.phase
    if count == 0:
        phase = "inactive"
    elif count > 0 or phase != "inactive":
        phase = "active" if ready >= enough else "activating"
    if phase != state.phase:
        state.phase, state.phase_s = phase, now
