"""Scaling targets derived from sizing: how many requests one replica should hold, and when the next one starts."""

import math
from collections.abc import Callable
from typing import Final

from stoker.platform.autoscaling import Autoscaling, ModelAutoscaling, Signal, Wake
from stoker.platform.base import seconds_of
from stoker.platform.models import Model, Slo, Tier, Traffic
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import Scaling

__all__ = ["concurrency_within_slo", "queue_within_slo", "replica_bounds", "resolve_scaling"]

_TARGET_UTILIZATION: Final = 0.7  # see the `why` of autoscaling.targetUtilization
_SCALE_DOWN: Final = 600
_IDLE: Final = 900


def concurrency_within_slo(
    slo: Slo, traffic: Traffic, *, kv_tokens: int, max_num_seqs: int, tpot_at: Callable[[int], float]
) -> int:
    """Requests of the mean length that one replica runs at once without breaking the TPOT objective; at least 1.

    The KV pool bounds it (a request holds its prompt and its answer), the engine's batch bound does, and the estimated
    time per output token at that batch must stay within the objective.

    Args:
        slo: the model's objectives.
        traffic: mean prompt and answer lengths.
        kv_tokens: tokens that the KV pool of one replica holds.
        max_num_seqs: batch bound of the engine.
        tpot_at: estimated seconds per output token at a batch size; must not fall as the batch grows.
    """
    length = traffic.input_tokens + traffic.output_tokens
    bound = max(1, min(max_num_seqs, kv_tokens // length))
    objective = seconds_of(slo.tpot_p95)
    low, high = 1, bound
    while low < high:  # largest batch whose estimate keeps the objective
        middle = (low + high + 1) // 2
        if tpot_at(middle) <= objective:
            low = middle
        else:
            high = middle - 1
    return low


def queue_within_slo(slo: Slo, prefill_seconds: float) -> int:
    """Waiting requests per replica that can still see a first token in time, at one prefill after another; at least 1."""
    if prefill_seconds <= 0:
        return 1
    return max(1, math.floor(seconds_of(slo.ttft_p95) / prefill_seconds) - 1)


def replica_bounds(model: Model, *, autoscaled: bool, fitting: int, needed: int | None) -> tuple[int, int]:
    """Least and most replicas: the user's, or the tier's defaults within what the pool can hold.

    Args:
        model: the model as written.
        autoscaled: whether anything moves the count.
        fitting: replicas that the pool holds at most.
        needed: replicas that the stated peak traffic needs, None where no rate is stated.
    """
    if model.replicas is not None:
        return model.replicas.min, model.replicas.max
    batch = model.tier is Tier.BATCH
    least = 0 if batch and autoscaled else 1 if batch else 2
    most = max(2 if batch else 4, needed or 0) if autoscaled else max(least, needed or 0)
    most = max(1, min(most, fitting))
    return min(least, most), most


def resolve_scaling(
    platform: Autoscaling,
    own: ModelAutoscaling,
    *,
    mode: ServingMode,
    bounds: tuple[int, int],
    concurrency: int,
    queue: int,
    startup_seconds: int,
    measurable: bool,
) -> Scaling:
    """Answer every open question about one model's autoscaling: the model's word, else the platform's, else ours."""
    enabled = platform.enabled if own.enabled is None else own.enabled
    signal = own.signal or platform.signal or Signal.AUTO
    utilization = own.target_utilization or platform.target_utilization or _TARGET_UTILIZATION
    down = own.scale_down_after or platform.scale_down_after
    idle = own.idle_after or platform.idle_after
    broker = own.broker or platform.broker
    warm_up = own.warm_up or platform.warm_up
    # Without anything to follow there is no ScaledObject, and a count that nobody owns would fall to one.
    followed = measurable or broker is not None or bool(warm_up) or bounds[0] == 0
    return Scaling(
        enabled=enabled and bounds[0] < bounds[1] and followed,
        signal=Signal.QUEUE if signal is Signal.AUTO else signal,
        target_concurrency=max(1, math.floor(concurrency * utilization)),
        target_queue=queue,
        wake=_wake(own.wake or platform.wake or Wake.AUTO, mode, has_broker=broker is not None)
        if bounds[0] == 0
        else None,
        broker=broker,
        warm_up=warm_up,
        cooldown_seconds=int(seconds_of(idle)) if idle else max(_IDLE, 2 * startup_seconds),
        scale_down_seconds=int(seconds_of(down)) if down else max(_SCALE_DOWN, startup_seconds),
    )


def _wake(wake: Wake, mode: ServingMode, *, has_broker: bool) -> Wake:
    if wake is not Wake.AUTO:
        return wake
    if mode is ServingMode.KNATIVE:
        return Wake.KNATIVE
    if has_broker:
        return Wake.BROKER
    # The endpoint picker of an LLMInferenceService holds requests itself; the add-on would go around it.
    return Wake.GATEWAY if mode is ServingMode.LLM_INFERENCE_SERVICE else Wake.HTTP_ADDON
