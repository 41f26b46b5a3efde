"""What a run says in figures. Everything here is counted from the run; nothing is estimated.

GPU seconds are told apart in four steps, each a part of the one before:

- owned: nodes times their GPUs times the time they existed; this is what is paid for;
- allocated: held by pods, from binding to the end of their grace period;
- busy: the engine of the pod that holds them was in a step; for a neighbour its own share (`Neighbour.busy_share`);
- useful: what the answered requests would have taken on the same GPUs in full batches: prompt tokens at the speed of a
  full prefill step and answer tokens at the speed of the largest batch that fits. Idle slots of a batch, recomputation
  after preemption and aborted answers are the difference to busy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stoker.twin.engine import EngineSpec
from stoker.twin.engine import layout as at
from stoker.twin.engine.state import dense_seconds
from stoker.twin.fleet.faults import FaultTally
from stoker.twin.fleet.simulation import FleetRun, Route

__all__ = ["Figures", "Result", "full_batch_seconds", "summarise"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of all requests, of a model's, or of a tenant's; times in seconds, None where nothing was measured.

    Attributes:
        requests: that arrived. Each is completed, refused, failed or unfinished.
        refused: prompt too long, no replica, or its client stopped waiting while it was held.
        failed: its replica died or was stopped.
        unfinished: still open an hour after the last arrival.
        goodput: share of all requests that were answered within the model's promise on TTFT and TPOT.
        queue_depth_mean, queue_depth_p95: waiting and held requests, over the samples.
        kv_usage_mean, kv_usage_p95: share of KV blocks in use, over the samples.
        gpu_allocated, gpu_utilization, gpu_useful: shares of the owned GPU seconds (see the module); of a model or tenant,
            those of its own pods.
        cost_usd: of the owned GPU seconds; of a model or tenant, of the allocated ones.
        idle_cost_usd: the part that was not busy.
        preemptions: sequences that lost their KV blocks.
        lora_loads: LoRA adapters that were loaded into a GPU while a step waited.
        oom_incidents: serving containers that ended for want of memory: ``oom_host_memory`` killed by the node's kernel
            (OOMKilled), ``oom_gpu_memory`` that found no memory on a GPU they share (Error, CrashLoopBackOff).
        cold_starts: replicas that started while the fleet ran; ``cold_start_p50_s`` from creation to ready.
        quota_refusals: pods that admission refused.
    """

    requests: int
    completed: int
    refused: int
    failed: int
    unfinished: int
    ttft_p50_s: float | None
    ttft_p95_s: float | None
    ttft_p99_s: float | None
    tpot_p50_s: float | None
    tpot_p95_s: float | None
    tpot_p99_s: float | None
    e2e_p50_s: float | None
    e2e_p95_s: float | None
    e2e_p99_s: float | None
    goodput: float | None
    queue_depth_mean: float
    queue_depth_p95: float
    kv_usage_mean: float
    kv_usage_p95: float
    gpu_allocated: float
    gpu_utilization: float
    gpu_useful: float
    cost_usd: float
    idle_cost_usd: float
    preemptions: int
    lora_loads: int
    oom_incidents: int
    oom_host_memory: int
    oom_gpu_memory: int
    cold_starts: int
    cold_start_p50_s: float | None
    quota_refusals: int


@dataclass(frozen=True, slots=True)
class Result:
    """A run's figures: of everything, by model and by tenant, and what happened to the cluster and the neighbours."""

    total: Figures
    models: dict[str, Figures]
    tenants: dict[str, Figures]
    owned_gpu_hours: float
    neighbours: dict[str, dict[str, float | int | None]]
    pod_preemptions: int
    unrouted: int
    duration_s: float
    end_s: float
    faults: FaultTally
    rollout_s: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One route with its requests' outcomes and its GPU seconds."""

    route: Route
    number: int
    status: NDArray[np.int32]
    ttft: NDArray[np.float64]
    e2e: NDArray[np.float64]
    tpot: NDArray[np.float64]
    kept: int
    allocated_s: float
    allocated_usd: float
    busy_s: float
    useful_s: float


@dataclass(frozen=True, slots=True)
class _Gpus:
    """GPU seconds of what figures are about, and what they cost."""

    owned_s: float
    allocated_s: float
    busy_s: float
    useful_s: float
    cost_usd: float


def summarise(run: FleetRun, duration_s: float) -> Result:
    """Count a run that was asked to last ``duration_s``."""
    owned = [(group, seconds * group.gpus) for group, seconds in run.machines.node_seconds()]
    owned_s = sum(seconds for _, seconds in owned)
    cost = sum(seconds * group.usd_per_gpu_hour / 3600 for group, seconds in owned)
    parts = [_part(run, route, number) for number, route in enumerate(run.routes)]
    beside = run.neighbours.gpu_seconds()
    total = _Gpus(
        owned_s,
        sum(part.allocated_s for part in parts) + sum(seconds for seconds, _ in beside.values()),
        sum(part.busy_s for part in parts) + sum(busy for _, busy in beside.values()),
        sum(part.useful_s for part in parts),
        cost,
    )
    by_model, by_tenant = (
        {name: _figures(run, chosen, _own(chosen)) for name, chosen in _grouped(parts, field).items()}
        for field in ("model", "tenant")
    )
    return Result(
        total=_figures(run, parts, total, unrouted=len(run.unrouted)),
        models=by_model,
        tenants=by_tenant,
        owned_gpu_hours=owned_s / 3600,
        neighbours={
            kind: {
                "submitted": tally.submitted,
                "finished": tally.finished,
                "refused": tally.refused,
                "preempted": tally.preempted,
                "oom_kills": tally.oom_kills,
                "gpu_oom_kills": tally.gpu_oom_kills,
                "given_up": tally.given_up,
                "waited_p50_s": _quantile(np.array(tally.waited_s), 0.5),
                "gpu_hours": beside.get(kind, (0.0, 0.0))[0] / 3600,
            }
            for kind, tally in run.neighbours.tallies.items()
        },
        pod_preemptions=run.machines.preempted,
        unrouted=len(run.unrouted),
        duration_s=duration_s,
        end_s=run.end_s,
        faults=run.faults,
        rollout_s=tuple(seconds for route in run.routes for seconds in route.run.rollout_s),
    )


def _grouped(parts: Sequence[_Part], field: str) -> dict[str, list[_Part]]:
    found: dict[str, list[_Part]] = {}
    for part in parts:
        found.setdefault(getattr(part.route.spec, field), []).append(part)
    return found


def _own(parts: Sequence[_Part]) -> _Gpus:
    allocated = sum(part.allocated_s for part in parts)
    return _Gpus(
        allocated,
        allocated,
        sum(part.busy_s for part in parts),
        sum(part.useful_s for part in parts),
        sum(part.allocated_usd for part in parts),
    )


def _part(run: FleetRun, route: Route, number: int) -> _Part:
    service, spec = route.service, route.spec
    status = service.requests(at.Q_STATUS)
    done = status == at.COMPLETED
    prompt = service.requests(at.Q_INPUT)[done]
    answer = service.requests(at.Q_OUTPUT)[done]
    outside = spec.engine.cost.arrival_s + spec.engine.cost.arrival_token_s * prompt
    ttft = service.times(at.T_TTFT)[done] + outside
    e2e = service.times(at.T_E2E)[done] + outside
    tpot = (e2e - ttft)[answer > 1] / (answer[answer > 1] - 1)
    promised = ttft <= spec.ttft_slo_s
    promised[answer > 1] &= tpot <= spec.tpot_slo_s
    slots = range(service.s[at.CANDIDATES])
    per_prompt, per_answer = full_batch_seconds(spec.engine, prompt, answer)
    allocated_s, allocated_usd = route.run.allocated(run.end_s)
    return _Part(
        route=route,
        number=number,
        status=status,
        ttft=ttft,
        e2e=e2e,
        tpot=tpot,
        kept=int(promised.sum()),
        allocated_s=allocated_s,
        allocated_usd=allocated_usd,
        busy_s=sum(service.seconds(slot, at.RF_BUSY) for slot in slots) * spec.gpus,
        useful_s=(float(prompt.sum()) * per_prompt + float(answer.sum()) * per_answer) * spec.gpus,
    )


def full_batch_seconds(
    spec: EngineSpec, prompt: NDArray[np.int32], answer: NDArray[np.int32]
) -> tuple[float, float]:
    """Seconds per prompt token in a full prefill step, and per answer token in the largest batch that fits.

    The batch is bounded by ``max_num_seqs`` and by the KV blocks that requests of these lengths hold on average.
    """
    cost = spec.cost
    mixed = dense_seconds(
        cost.knot_tokens, cost.mixed_seconds or cost.knot_seconds, spec.max_num_batched_tokens
    )
    length = float(prompt.mean()) if len(prompt) else 1.0
    per_prompt = float(mixed[-1]) / spec.max_num_batched_tokens + cost.prefill_pair_s * length / 2
    context = length + (float(answer.mean()) / 2 if len(answer) else 0.0)
    batch = int(max(1, min(spec.max_num_seqs, spec.blocks * spec.block_tokens / max(1.0, context))))
    decode = float(dense_seconds(cost.knot_tokens, cost.knot_seconds, batch)[-1])
    per_answer = (decode + batch * (cost.kv_read_s * context + cost.decode_seq_s)) / batch
    return per_prompt, per_answer


def _quantile(values: NDArray[np.float64], share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None


def _joined(arrays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return arrays[0] if len(arrays) == 1 else np.concatenate([np.zeros(0), *arrays])


def _figures(run: FleetRun, parts: Sequence[_Part], gpus: _Gpus, unrouted: int = 0) -> Figures:
    status = np.zeros(at.UNFINISHED + 1, np.int64)
    for part in parts:
        status += np.bincount(part.status, minlength=at.UNFINISHED + 1)
    requests = int(status.sum()) + unrouted
    times: dict[str, float | None] = {}
    for name in ("ttft", "tpot", "e2e"):
        values = _joined([getattr(part, name) for part in parts])
        for share in (50, 95, 99):
            times[f"{name}_p{share}_s"] = _quantile(values, share / 100)
    queue, usage = _sampled(run, parts)
    starts = np.array([seconds for part in parts for seconds in part.route.run.cold_start_s])
    return Figures(
        requests=requests,
        completed=int(status[at.COMPLETED]),
        refused=int(status[[at.TOO_LONG, at.NO_REPLICA, at.TIMED_OUT]].sum()) + unrouted,
        failed=int(status[at.ABORTED]),
        unfinished=int(status[[at.PENDING, at.UNFINISHED]].sum()),
        **times,
        goodput=sum(part.kept for part in parts) / requests if requests else None,
        queue_depth_mean=float(queue.mean()) if len(queue) else 0.0,
        queue_depth_p95=_quantile(queue, 0.95) or 0.0,
        kv_usage_mean=float(usage.mean()) if len(usage) else 0.0,
        kv_usage_p95=_quantile(usage, 0.95) or 0.0,
        gpu_allocated=_share(gpus.allocated_s, gpus.owned_s),
        gpu_utilization=_share(gpus.busy_s, gpus.owned_s),
        gpu_useful=_share(gpus.useful_s, gpus.owned_s),
        cost_usd=gpus.cost_usd,
        idle_cost_usd=gpus.cost_usd * (1.0 - _share(gpus.busy_s, gpus.owned_s)),
        preemptions=sum(sum(part.route.service.figures(at.R_PREEMPTIONS)) for part in parts),
        lora_loads=sum(sum(part.route.service.figures(at.R_LORA_LOADS)) for part in parts),
        oom_incidents=sum(part.route.run.oom_kills + part.route.run.gpu_oom_kills for part in parts),
        oom_host_memory=sum(part.route.run.oom_kills for part in parts),
        oom_gpu_memory=sum(part.route.run.gpu_oom_kills for part in parts),
        cold_starts=sum(part.route.run.cold_starts for part in parts),
        cold_start_p50_s=_quantile(starts, 0.5),
        quota_refusals=sum(part.route.run.refused for part in parts),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _sampled(run: FleetRun, parts: Sequence[_Part]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Queue depth, summed over the parts, and KV usage, their mean, at every sample within the duration."""
    columns = run.series.workloads()
    count = len(run.routes)
    if not count or not len(columns["time_s"]):
        return np.zeros(0), np.zeros(0)
    chosen = [part.number for part in parts]
    queue = (columns["waiting"] + columns["held"]).reshape(-1, count)[:, chosen]
    usage = columns["kv_usage"].reshape(-1, count)[:, chosen]
    return queue.sum(axis=1), usage.mean(axis=1)
