"""Knative's pod autoscaler (knative/serving pkg/autoscaler/scaling/autoscaler.go, config-autoscaler's defaults).

The desired count is the concurrency over the target, averaged over a stable window; a panic window reacts to bursts: while
it asks for twice the ready pods or more, replicas only go up.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["KpaSpec", "KpaState", "decide"]

_PREFIX = "autoscaling.knative.dev/"


@dataclass(frozen=True, slots=True)
class KpaSpec:
    """One revision's settings.

    Attributes:
        target: concurrency per pod that is aimed at: the annotation's, times the target utilisation.
        stable_s, panic_s: windows; the panic window is a tenth.
        panic_threshold: panic where the panic window asks for this many times the ready pods.
        max_up, max_down: most growth and shrinking in one step, as factors of the ready pods.
        grace_s: how long zero must last before the last pod goes.
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

    @classmethod
    def from_annotations(cls, annotations: Mapping[str, str]) -> "KpaSpec":
        """Read the annotations of a revision; 70 % target utilisation where a hard limit is not aimed at."""
        own = {key.removeprefix(_PREFIX): value for key, value in annotations.items()}
        utilization = float(own.get("target-utilization-percentage", "70")) / 100
        stable = float(own.get("window", "60s").rstrip("s"))
        return cls(
            target=max(0.01, float(own.get("target", "100")) * utilization),
            min_scale=int(own.get("min-scale", "0")),
            max_scale=int(own.get("max-scale", "0")),
            stable_s=stable,
            panic_s=stable * float(own.get("panic-window-percentage", "10")) / 100,
            panic_threshold=float(own.get("panic-threshold-percentage", "200")) / 100,
        )


@dataclass(slots=True)
class KpaState:
    """Samples of the stable window, and the panic that is on."""

    samples: deque[tuple[float, float]] = field(default_factory=deque)
    panic_until_s: float = -1.0
    panic_pods: int = 0
    zero_since_s: float | None = None


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
    state.samples.append((now, concurrency))
    while state.samples[0][0] <= now - spec.stable_s:
        state.samples.popleft()
    stable = sum(value for _, value in state.samples) / len(state.samples)
    recent = [value for time, value in state.samples if time > now - spec.panic_s]
    panic = sum(recent) / len(recent)
    base = max(1, ready)
    most, least = math.ceil(spec.max_up * base), math.floor(base / spec.max_down)
    wanted = min(most, max(math.ceil(stable / spec.target), least))
    urgent = min(most, max(math.ceil(panic / spec.target), least))
    if ready > 0 and math.ceil(panic / spec.target) / base >= spec.panic_threshold:
        state.panic_until_s = now + spec.stable_s
        state.panic_pods = max(state.panic_pods, urgent)
    if now < state.panic_until_s:
        # In panic the count never goes down.
        state.panic_pods = max(state.panic_pods, urgent, current)
        wanted = state.panic_pods
    else:
        state.panic_pods = 0
    if stable > 0 or concurrency > 0:
        state.zero_since_s = None
        wanted = max(wanted, 1)
    elif wanted == 0 or spec.min_scale == 0:
        state.zero_since_s = now if state.zero_since_s is None else state.zero_since_s
        wanted = 0 if now - state.zero_since_s >= spec.grace_s else max(current, 0)
    wanted = max(wanted, spec.min_scale)
    return min(wanted, spec.max_scale) if spec.max_scale else wanted
