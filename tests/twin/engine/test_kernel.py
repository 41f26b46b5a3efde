"""The event kernel against the plain step-by-step scheduler, against itself interpreted, and against queueing theory."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.catalog.gpus import gpu
from stoker.catalog.models import model
from stoker.twin.engine import EngineSpec, Load, Policy, closed_loop, make_service, open_loop, replay
from stoker.twin.engine import layout as at
from stoker.twin.engine.setup import engine_spec
from stoker.twin.engine.timing.cost import StepCost

_spec = importlib.util.spec_from_file_location("naive", Path(__file__).with_name("naive.py"))
assert _spec is not None
assert _spec.loader is not None
_naive = importlib.util.module_from_spec(_spec)
sys.modules["naive"] = _naive
_spec.loader.exec_module(_naive)

COST = StepCost(
    knot_tokens=(1, 64, 512, 4096),
    knot_seconds=(0.008, 0.009, 0.02, 0.12),
    mixed_seconds=(0.010, 0.011, 0.022, 0.125),
    kv_read_s=3e-8,
    decode_seq_s=1e-5,
    prefill_pair_s=2e-9,
    prefill_chunk_s=1e-4,
    arrival_s=0.0,
    arrival_token_s=0.0,
    provenance="invented",
)


def engine(**changes: object) -> EngineSpec:
    fields = {
        "cost": COST,
        "gpus": 1,
        "max_num_seqs": 16,
        "max_num_batched_tokens": 512,
        "max_model_len": 4096,
        "blocks": 400,
        "reserve_full_prompt": False,
        "lookahead": 0,
    }
    return EngineSpec(**(fields | changes))  # type: ignore[arg-type]


def load_of(requests: list[tuple[float, int, int]]) -> Load:
    arrival, prompt, answer = (np.array(column) for column in zip(*requests, strict=True))
    return Load(arrival.astype(np.float64), prompt.astype(np.int32), answer.astype(np.int32))


def requests_from(seed: int, count: int, rate: float, longest: int = 900) -> list[tuple[float, int, int]]:
    rng = np.random.default_rng(seed)
    arrival = np.cumsum(rng.exponential(1 / rate, count))
    prompt = rng.integers(1, longest, count)
    answer = rng.integers(1, 200, count)
    return [(float(a), int(p), int(o)) for a, p, o in zip(arrival, prompt, answer, strict=True)]


@pytest.mark.parametrize(
    ("name", "changes", "rate"),
    [
        ("room for all", {}, 4.0),
        ("few slots", {"max_num_seqs": 3}, 4.0),
        ("few blocks, so sequences are preempted", {"blocks": 100}, 6.0),
        ("few blocks and whole prompts reserved", {"blocks": 100, "reserve_full_prompt": True}, 6.0),
        ("small steps, so prompts come in chunks", {"max_num_batched_tokens": 64}, 4.0),
        ("blocks of one token", {"block_tokens": 1, "blocks": 1600}, 6.0),
        ("overload", {"blocks": 150}, 60.0),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_the_event_kernel_equals_the_plain_scheduler(
    name: str, changes: dict[str, object], rate: float, seed: int
) -> None:
    spec = engine(**changes)
    requests = requests_from(seed, 120, rate)
    plain = _naive.run_naively(spec, requests)
    service = make_service(spec, load_of(requests), candidates=1)
    service.add_replica(0, 0.0)
    service.advance(at.FOREVER)
    assert [s.preempted for s in plain] == service.requests(at.Q_PREEMPTED).tolist(), name
    np.testing.assert_allclose([s.ttft for s in plain], service.times(at.T_TTFT), rtol=1e-9)
    np.testing.assert_allclose([s.e2e for s in plain], service.times(at.T_E2E), rtol=1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("max_loras", "blocks"), [(1, 400), (2, 400), (3, 120), (8, 400)])
def test_adapters_share_their_slots_as_in_the_plain_scheduler(max_loras: int, blocks: int, seed: int) -> None:
    spec = engine(max_loras=max_loras, lora_load_s=0.05, blocks=blocks)
    requests = requests_from(seed, 120, 8.0)
    adapters = np.random.default_rng(seed).integers(-1, 5, len(requests)).astype(np.int32)
    plain = _naive.run_naively(spec, requests, adapters.tolist())
    service = make_service(spec, replace(load_of(requests), adapter=adapters), candidates=1)
    service.add_replica(0, 0.0)
    service.advance(at.FOREVER)
    assert [s.preempted for s in plain] == service.requests(at.Q_PREEMPTED).tolist()
    np.testing.assert_allclose([s.ttft for s in plain], service.times(at.T_TTFT), rtol=1e-9)
    np.testing.assert_allclose([s.e2e for s in plain], service.times(at.T_E2E), rtol=1e-9)
    loads = service.replica(0, at.R_LORA_LOADS)
    assert loads == 5 if max_loras == 8 else loads > 5


def test_adapters_that_the_engine_does_not_take_are_an_error() -> None:
    load = replace(load_of([(0.0, 10, 10)]), adapter=np.zeros(1, np.int32))
    with pytest.raises(ValueError, match="max_loras"):
        make_service(engine(), load, candidates=1)


def test_the_scarce_cases_do_preempt() -> None:
    service = make_service(engine(blocks=100), load_of(requests_from(0, 120, 6.0)), candidates=1)
    service.add_replica(0, 0.0)
    service.advance(at.FOREVER)
    assert sum(service.figures(at.R_PREEMPTIONS)) > 10


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    blocks=st.integers(60, 300),
    slots=st.integers(1, 20),
    budget=st.integers(32, 600),
    reserve=st.booleans(),
    rate=st.floats(0.5, 50),
)
def test_any_engine_equals_the_plain_scheduler(
    seed: int, blocks: int, slots: int, budget: int, reserve: bool, rate: float
) -> None:
    spec = engine(
        blocks=blocks, max_num_seqs=slots, max_num_batched_tokens=budget, reserve_full_prompt=reserve
    )
    requests = requests_from(seed, 40, rate, longest=600)
    plain = _naive.run_naively(spec, requests)
    service = make_service(spec, load_of(requests), candidates=1)
    service.add_replica(0, 0.0)
    service.advance(at.FOREVER)
    np.testing.assert_allclose([s.e2e for s in plain], service.times(at.T_E2E), rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    replicas=st.integers(1, 5),
    policy=st.sampled_from(list(Policy)),
    blocks=st.integers(80, 500),
    lookahead=st.integers(0, 1),
    prefix=st.booleans(),
    kill_at=st.floats(0, 20),
)
def test_every_request_ends_once_and_no_block_leaks(
    seed: int, replicas: int, policy: Policy, blocks: int, lookahead: int, prefix: bool, kill_at: float
) -> None:
    requests = requests_from(seed, 150, 15.0)
    load = load_of(requests)
    if prefix:
        rng = np.random.default_rng(seed)
        whole = [prompt // 64 for _, prompt, _ in requests]
        chains = [
            [group * 1000 + i for i in range(n)]
            for n, group in zip(whole, rng.integers(0, 8, 150), strict=True)
        ]
        load = Load(
            load.arrival_s,
            load.input_tokens,
            load.output_tokens,
            np.array([key for chain in chains for key in chain], np.int64),
            np.concatenate(([0], np.cumsum(whole))).astype(np.int64),
            64,
        )
    spec = engine(blocks=blocks, lookahead=lookahead)
    service = make_service(spec, load, candidates=replicas, policy=policy, seed=seed, hold_timeout_s=1e9)
    for replica in range(replicas):
        service.add_replica(replica, 0.0)
    service.advance(kill_at)
    lost = service.stop_replica(0, kill_at)
    service.advance(kill_at + 5)
    service.add_replica(0, kill_at + 5)
    service.advance(at.FOREVER)
    status = service.requests(at.Q_STATUS)
    assert np.count_nonzero(status == at.PENDING) == 0
    assert np.count_nonzero(status == at.ABORTED) == lost
    assert set(status.tolist()) <= {at.COMPLETED, at.ABORTED}
    assert service.figures(at.R_USED) == [0] * replicas
    assert service.figures(at.R_CONTEXT) == [0] * replicas
    assert service.figures(at.R_RUNNING) == [0] * replicas
    assert max(service.figures(at.R_PEAK)) <= blocks
    done = status == at.COMPLETED
    assert service.requests(at.Q_MADE)[done].tolist() == service.requests(at.Q_OUTPUT)[done].tolist()


def test_tokens_in_are_tokens_processed() -> None:
    requests = requests_from(3, 400, 10.0)
    service = make_service(engine(blocks=4000), load_of(requests), candidates=2)
    for replica in range(2):
        service.add_replica(replica, 0.0)
    service.advance(at.FOREVER)
    assert sum(service.figures(at.R_PREEMPTIONS)) == 0
    assert sum(service.figures(at.R_PREFILLED)) == sum(prompt for _, prompt, _ in requests)
    assert sum(service.figures(at.R_DECODED)) == sum(answer for _, _, answer in requests)


def test_a_prompt_as_long_as_the_context_is_refused_and_a_long_answer_is_cut() -> None:
    requests = [(0.0, 4096, 5), (1.0, 4000, 500), (2.0, 10, 10)]
    service = make_service(engine(), load_of(requests), candidates=1)
    service.add_replica(0, 0.0)
    service.advance(at.FOREVER)
    assert service.requests(at.Q_STATUS).tolist() == [at.TOO_LONG, at.COMPLETED, at.COMPLETED]
    assert service.requests(at.Q_MADE).tolist() == [0, 96, 10]


def test_without_a_replica_requests_are_refused_or_held_until_their_client_gives_up() -> None:
    requests = [(0.0, 10, 10), (50.0, 10, 10), (100.0, 10, 10)]
    refused = make_service(engine(), load_of(requests), candidates=1)
    refused.advance(at.FOREVER)
    assert refused.requests(at.Q_STATUS).tolist() == [at.NO_REPLICA] * 3
    held = make_service(engine(), load_of(requests), candidates=1, hold_timeout_s=60.0)
    held.advance(90.0)
    held.add_replica(0, 90.0)
    held.advance(at.FOREVER)
    assert held.requests(at.Q_STATUS).tolist() == [at.TIMED_OUT, at.COMPLETED, at.COMPLETED]
    assert held.times(at.T_TTFT)[1] > 40.0


def one_at_a_time(step_s: float) -> EngineSpec:
    """An engine that serves one request at a time, each in as many steps of the same length as it has answer tokens."""
    cost = StepCost((1, 2), (step_s, step_s), None, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "invented")
    return engine(
        cost=cost, max_num_seqs=1, max_num_batched_tokens=16, blocks=100_000, max_model_len=1_000_000
    )


def test_one_server_with_fixed_service_times_waits_as_m_d_1_says() -> None:
    """Mean wait of M/D/1: rho * s / (2 * (1 - rho)) (Pollaczek-Khinchine)."""
    service_s, rho = 1.0, 0.7
    run = open_loop(
        one_at_a_time(service_s / 10),
        rate=rho / service_s,
        requests=400_000,
        input_tokens=1,
        output_tokens=10,
        rng=np.random.default_rng(5),
    )
    wait = float(run.e2e_s.mean()) - service_s
    assert wait == pytest.approx(rho * service_s / (2 * (1 - rho)), rel=0.03)


def test_one_server_with_random_service_times_waits_as_m_m_1_says() -> None:
    """Mean time in an M/M/1: s / (1 - rho). Service times are geometric in steps, which is exponential in the limit."""
    service_s, rho, steps = 1.0, 0.6, 400
    rng = np.random.default_rng(6)
    answer = rng.geometric(1 / steps, 400_000).astype(np.int32)
    run = open_loop(
        one_at_a_time(service_s / steps),
        rate=rho / service_s,
        requests=len(answer),
        input_tokens=1,
        output_tokens=answer,
        rng=rng,
    )
    assert float(run.e2e_s.mean()) == pytest.approx(service_s / (1 - rho), rel=0.04)


def test_littles_law_holds_in_steady_state() -> None:
    """Mean number in the system = arrival rate times mean time in it, counted at times of its own."""
    requests = requests_from(8, 4000, 6.0)
    spec = engine(blocks=4000, max_num_seqs=64)
    service = make_service(spec, load_of(requests), candidates=2)
    for replica in range(2):
        service.add_replica(replica, 0.0)
    inside = []
    for second in np.arange(50.0, 600.0, 0.5):
        service.advance(float(second))
        inside.append(sum(service.figures(at.R_RUNNING)) + sum(service.figures(at.R_WAITING)))
    service.advance(at.FOREVER)
    arrival = service.times(at.T_ARRIVAL)
    window = (arrival >= 50.0) & (arrival < 600.0)
    rate = np.count_nonzero(window) / 550.0
    mean_time = float(service.times(at.T_E2E)[window].mean())
    assert float(np.mean(inside)) == pytest.approx(rate * mean_time, rel=0.03)


def test_a_closed_loop_never_has_more_in_flight_than_clients() -> None:
    run = closed_loop(engine(blocks=4000), concurrency=8, requests=200, input_tokens=100, output_tokens=50)
    assert run.completed == 200
    ends = run.arrival_s + run.e2e_s
    in_flight = [int(((run.arrival_s <= t) & (ends > t)).sum()) for t in ends]
    assert max(in_flight) <= 8


def test_async_scheduling_costs_a_request_that_arrives_during_a_step_one_step_more() -> None:
    requests = [(0.0, 10, 200), (0.5, 10, 2)]
    ttft = []
    for lookahead in (0, 1):
        service = make_service(engine(lookahead=lookahead), load_of(requests), candidates=1)
        service.add_replica(0, 0.0)
        service.advance(at.FOREVER)
        ttft.append(float(service.times(at.T_TTFT)[1]))
    assert ttft[1] - ttft[0] == pytest.approx(0.008, rel=0.01)


def _outcome(interpreted: str) -> str:
    program = f"""
import json, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_kernel as t
from stoker.twin.engine.compiled import COMPILED
from stoker.twin.engine import make_service
from stoker.twin.engine import layout as at
service = make_service(t.engine(blocks=120, lookahead=1), t.load_of(t.requests_from(1, 400, 12.0)), candidates=2)
for replica in range(2):
    service.add_replica(replica, 0.0)
service.advance(at.FOREVER)
print(json.dumps([service.times(at.T_TTFT).tolist(), service.times(at.T_E2E).tolist(), service.figures(at.R_MOVES)]))
print(COMPILED, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "STOKER_INTERPRETED": interpreted},
    )
    assert done.stderr.strip() == str(interpreted == "")
    return done.stdout


@pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed")
def test_compiled_and_interpreted_kernels_agree_to_the_last_bit() -> None:
    compiled, interpreted = _outcome(""), _outcome("1")
    assert json.loads(compiled) == json.loads(interpreted)
    assert compiled == interpreted


def test_a_cached_prefix_is_not_computed_again() -> None:
    """Three requests with one prompt of four hash blocks: the second and third find three of them and compute the last."""
    chain = np.array([11, 12, 13, 14] * 3, np.int64)
    load = Load(
        np.array([0.0, 5.0, 10.0]),
        np.array([256, 256, 256], np.int32),
        np.array([5, 5, 5], np.int32),
        chain,
        np.array([0, 4, 8, 12], np.int64),
        64,
    )
    service = make_service(engine(), load, candidates=1)
    service.add_replica(0, 0.0)
    service.advance(at.FOREVER)
    assert service.figures(at.R_HIT_TOKENS) == [2 * 192]
    assert service.figures(at.R_PREFILLED) == [256 + 2 * 64]
    ttft = service.times(at.T_TTFT)
    assert ttft[1] < ttft[0]
    assert replay(engine(), load).prefix_hits == pytest.approx(384 / 768)


def test_a_cache_without_room_forgets_the_least_recently_used_prefix() -> None:
    """Blocks for two prompts of 256 tokens: a third evicts the first, which is then computed in full again."""
    chains = np.array([1, 2, 3, 4, 21, 22, 23, 24, 31, 32, 33, 34, 1, 2, 3, 4], np.int64)
    load = Load(
        np.array([0.0, 5.0, 10.0, 15.0]),
        np.full(4, 256, np.int32),
        np.full(4, 2, np.int32),
        chains,
        np.arange(0, 17, 4, dtype=np.int64),
        64,
    )
    roomy = make_service(engine(blocks=100), load, candidates=1)
    tight = make_service(engine(blocks=34), load, candidates=1)
    for service in (roomy, tight):
        service.add_replica(0, 0.0)
        service.advance(at.FOREVER)
    assert roomy.figures(at.R_HIT_TOKENS) == [192]
    assert tight.figures(at.R_HIT_TOKENS) == [0]


@pytest.mark.parametrize("answer", [1, 2])
def test_a_request_that_comes_during_the_last_step_of_all_is_served_next(answer: int) -> None:
    """Answers of one token end with their prefill: nothing decodes, and the next request must not wait for a step that never is."""
    run = closed_loop(
        engine_spec(model("llama-3-8b"), gpu("A100-SXM-80GB")),
        concurrency=16,
        requests=100,
        input_tokens=300,
        output_tokens=answer,
    )

    assert (100, 0) == (run.completed, run.refused)
