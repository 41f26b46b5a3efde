"""What one replica can carry, and how many replicas the stated traffic needs."""

import math
from dataclasses import dataclass

from stoker.platform.base import seconds_of
from stoker.platform.models import Model
from stoker.sizing.placement import Placement
from stoker.sizing.scaling import concurrency_within_slo, queue_within_slo

__all__ = ["Demand", "measure"]

# A model that nobody can size (its architecture is unknown) is taken to hold a small batch; see the note on it.
_UNKNOWN_CONCURRENCY = 16


@dataclass(frozen=True, slots=True)
class Demand:
    """Requests one replica should hold, requests that may wait, replicas that the stated peak needs (None: unstated)."""

    concurrency: int
    queue: int
    replicas: int | None


def measure(model: Model, placement: Placement) -> Demand:
    """Derive the targets of autoscaling from sizing: the slow end of every estimate, so that promises hold."""
    speed, traffic = placement.speed, model.traffic
    if speed is None or placement.report is None:
        return Demand(_UNKNOWN_CONCURRENCY, 1, None)
    bound = placement.report.batch.max_num_seqs
    prefill = speed.ttft(traffic.input_tokens).high
    queue = queue_within_slo(model.slo, prefill)
    if not speed.caches:
        return Demand(bound, queue, None)
    context = traffic.input_tokens + traffic.output_tokens // 2
    concurrency = concurrency_within_slo(
        model.slo,
        traffic,
        kv_tokens=placement.layout.kv_tokens,
        max_num_seqs=bound,
        tpot_at=lambda batch: speed.tpot(batch, context).high,
    )
    rate = traffic.requests_per_second
    if rate is None:
        return Demand(concurrency, queue, None)
    # Little's law: requests in the system = rate × time in the system.
    seconds = (
        min(prefill, seconds_of(model.slo.ttft_p95))
        + traffic.output_tokens * speed.tpot(concurrency, context).high
    )
    return Demand(concurrency, queue, math.ceil(rate * seconds / concurrency))
