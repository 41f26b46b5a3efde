"""One engine alone, as a load generator sees it: a closed loop of clients, an open loop at a rate, a trace replayed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stoker.twin.engine import layout as at
from stoker.twin.engine.route import Policy
from stoker.twin.engine.spec import EngineSpec
from stoker.twin.engine.state import Load, Service, make_service

__all__ = ["EngineRun", "closed_loop", "open_loop", "replay"]


@dataclass(frozen=True, slots=True, eq=False)
class EngineRun:
    """What the clients measured.

    Attributes:
        arrival_s, ttft_s, tpot_s, e2e_s: per completed request, in order of arrival. TPOT is (E2E - TTFT) /
            (answer tokens - 1), NaN for answers of one token.
        input_tokens, output_tokens: the same.
        completed, refused: requests.
        duration_s: from the first arrival to the last token.
        busy_s: seconds in steps, summed over replicas.
        preemptions: times a sequence lost its blocks.
        kv_peak: highest share of KV blocks in use.
        prefix_hits: share of prompt tokens found in the prefix cache; 0 where requests have no hash ids.
        steps: events of the kernel.
    """

    arrival_s: NDArray[np.float64]
    ttft_s: NDArray[np.float64]
    tpot_s: NDArray[np.float64]
    e2e_s: NDArray[np.float64]
    input_tokens: NDArray[np.int32]
    output_tokens: NDArray[np.int32]
    completed: int
    refused: int
    duration_s: float
    busy_s: float
    preemptions: int
    kv_peak: float
    prefix_hits: float
    steps: int


def replay(
    spec: EngineSpec, load: Load, *, replicas: int = 1, policy: Policy = Policy.LEAST_REQUESTS, seed: int = 0
) -> EngineRun:
    """Replay requests against ``replicas`` warm replicas, to the last token."""
    service = make_service(spec, load, candidates=replicas, policy=policy, seed=seed)
    return _run(service, spec, replicas)


def open_loop(
    spec: EngineSpec,
    *,
    rate: float,
    requests: int,
    input_tokens: NDArray[np.int32] | int,
    output_tokens: NDArray[np.int32] | int,
    rng: np.random.Generator,
    replicas: int = 1,
) -> EngineRun:
    """Poisson arrivals at ``rate`` requests a second. Lengths are fixed, or one per request."""
    arrival = np.cumsum(rng.exponential(1.0 / rate, requests))
    return replay(
        spec,
        Load(arrival, _lengths(input_tokens, requests), _lengths(output_tokens, requests)),
        replicas=replicas,
    )


def closed_loop(
    spec: EngineSpec,
    *,
    concurrency: int,
    requests: int,
    input_tokens: NDArray[np.int32] | int,
    output_tokens: NDArray[np.int32] | int,
) -> EngineRun:
    """``concurrency`` clients that each send the next request when the last one ends, all starting at once."""
    arrival = np.zeros(requests)
    load = Load(arrival, _lengths(input_tokens, requests), _lengths(output_tokens, requests))
    service = make_service(
        spec, load, candidates=1, concurrency=concurrency, client_delay_s=spec.cost.arrival_s
    )
    return _run(service, spec, 1)


def _lengths(tokens: NDArray[np.int32] | int, requests: int) -> NDArray[np.int32]:
    return np.full(requests, tokens, np.int32) if isinstance(tokens, int) else tokens


def _run(service: Service, spec: EngineSpec, replicas: int) -> EngineRun:
    for replica in range(replicas):
        service.add_replica(replica, 0.0)
    service.advance(at.FOREVER)
    status = service.requests(at.Q_STATUS)
    done = status == at.COMPLETED
    arrival = service.times(at.T_ARRIVAL)[done]
    tokens_in = service.requests(at.Q_INPUT)[done]
    tokens_out = service.requests(at.Q_OUTPUT)[done]
    # What happens outside the engine, HTTP and tokeniser, delays every token of the answer alike.
    outside = spec.cost.arrival_s + spec.cost.arrival_token_s * tokens_in
    ttft = service.times(at.T_TTFT)[done] + outside
    e2e = service.times(at.T_E2E)[done] + outside
    tpot = np.full(len(ttft), np.nan)
    np.divide(e2e - ttft, tokens_out - 1, out=tpot, where=tokens_out > 1)
    queried = sum(service.figures(at.R_QUERIED_TOKENS))
    return EngineRun(
        arrival_s=arrival,
        ttft_s=ttft,
        tpot_s=tpot,
        e2e_s=e2e,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        completed=int(done.sum()),
        refused=int((~done).sum()),
        duration_s=float((arrival + e2e).max() - arrival.min()) if len(arrival) else 0.0,
        busy_s=sum(service.seconds(replica, at.RF_BUSY) for replica in range(replicas)),
        preemptions=sum(service.figures(at.R_PREEMPTIONS)),
        kv_peak=max(service.figures(at.R_PEAK)) / spec.blocks,
        prefix_hits=sum(service.figures(at.R_HIT_TOKENS)) / queried if queried else 0.0,
        steps=sum(service.figures(at.R_MOVES)),
    )
