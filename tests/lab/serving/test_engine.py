"""The online engine makes the twin's decisions at the twin's times."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from tests.lab.serving.conftest import Client, VirtualClock

from stoker.catalog.gpus import gpu
from stoker.catalog.models import model
from stoker.lab.serving.engine import Engine
from stoker.lab.serving.request import Request
from stoker.lab.serving.stats import EngineStats
from stoker.twin.engine.alone import EngineRun, closed_loop
from stoker.twin.engine.setup import engine_spec
from stoker.twin.engine.spec import EngineSpec


class Loop:
    """Clients that each send the next request when the last one ends."""

    streams = False

    def __init__(self, spec: EngineSpec, requests: int, prompt: int, answer: int) -> None:
        self.clock = VirtualClock()
        self.stats = EngineStats(spec.max_model_len)
        self.engine = Engine(spec, self.clock, self.stats)
        self.latencies: list[float] = []
        self._left, self._prompt, self._answer = requests, prompt, answer

    def progress(self, made: int) -> None:
        raise AssertionError(made)

    def ended(self, request: Request) -> None:
        self.latencies.append(self.clock.now() - request.arrived)
        self.send()

    def send(self) -> None:
        if not self._left:
            return
        self._left -= 1
        request = Request(self._prompt, self._answer, self.clock.now(), self)
        outside = self.engine.spec.cost.arrival_s
        self.clock.at(self.clock.now() + outside, lambda: self.engine.submit(request))

    def run(self, clients: int) -> float:
        """Output tokens a second."""
        begun = self.clock.now()
        for _ in range(clients):
            self.send()
        self.clock.run()
        return self.stats.generation_tokens / (self.clock.now() - begun)


def throughput(run: EngineRun) -> float:
    return float(run.output_tokens.sum()) / run.duration_s


CASES: list[tuple[str, str, dict[str, Any], int, int, int, int]] = [
    ("llama-3-8b", "A100-SXM-80GB", {}, 1, 4, 500, 100),
    ("llama-3-8b", "A100-SXM-80GB", {}, 32, 200, 1000, 200),
    ("llama-3-70b", "H100-SXM-80GB", {"tensor": 4}, 64, 200, 1500, 200),
    ("llama-3-8b", "A100-SXM-80GB", {"gpu_memory_utilization": 0.4}, 250, 500, 3000, 1000),
]


@pytest.mark.parametrize(
    ("name", "device", "flags", "clients", "requests", "prompt", "answer"),
    CASES,
    ids=["alone", "batch", "tensor-parallel", "preempting"],
)
def test_a_closed_loop_is_as_fast_as_the_twin_says(
    name: str, device: str, flags: dict[str, Any], clients: int, requests: int, prompt: int, answer: int
) -> None:
    spec = engine_spec(model(name), gpu(device), **flags)
    loop = Loop(spec, requests, prompt, answer)

    made = loop.run(clients)

    twin = closed_loop(
        spec, concurrency=clients, requests=requests, input_tokens=prompt, output_tokens=answer
    )
    assert pytest.approx(throughput(twin), rel=0.005) == made
    assert twin.preemptions == loop.stats.preemptions
    assert pytest.approx(float(twin.e2e_s.mean()), rel=0.01) == sum(loop.latencies) / requests


def test_answers_of_one_token_leave_nobody_waiting(spec: EngineSpec) -> None:
    loop = Loop(spec, 100, 100, 1)

    loop.run(16)

    assert len(loop.latencies) == 100


def test_nothing_is_held_when_everything_has_ended(
    engine: Engine, client: Client, clock: VirtualClock
) -> None:
    for _ in range(20):
        client.send(700, 50)
    clock.run()

    assert (0, True, 20) == (engine.used, engine.is_idle, len(client.over))


def test_a_stream_hears_of_every_token_in_its_step(client: Client, clock: VirtualClock) -> None:
    client.send(100, 10)
    clock.run()

    assert list(range(1, 10)) == [made for _, made in client.seen]  # the tenth comes with the end
    times = [when for when, _ in client.seen]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(pytest.approx(gaps[0], rel=0.01) == gap for gap in gaps)


def test_steps_that_are_overdue_are_told_of_once(
    spec: EngineSpec, engine: Engine, client: Client, clock: VirtualClock
) -> None:
    request = client.send(100, 10)
    alone = Loop(spec, 1, 100, 10)
    alone.run(1)
    clock.time += 3600  # the process slept

    clock.run()

    assert ([], [request]) == (client.seen, client.over)
    assert engine.busy == pytest.approx(alone.engine.busy)
    assert request.last < clock.now() - 3500


@pytest.mark.parametrize("after", [0.0, 0.005, 0.05, 0.2])
def test_an_aborted_request_gives_back_everything(
    engine: Engine, client: Client, clock: VirtualClock, after: float
) -> None:
    request = client.send(3000, 100)
    other = client.send(500, 100)
    clock.run(clock.now() + after)

    engine.abort(request)
    clock.run()

    assert [other] == client.over
    assert (0, True, "abort") == (engine.used, engine.is_idle, request.reason)
    assert 1 == engine.stats.ended_by["abort"]


def test_a_waiting_request_can_be_aborted(spec: EngineSpec, clock: VirtualClock) -> None:
    engine = Engine(replace(spec, max_num_seqs=1), clock, EngineStats(spec.max_model_len))
    client = Client(engine, clock)
    client.send(100, 10)
    second = client.send(100, 10)

    engine.abort(second)
    clock.run()

    assert (1, True) == (len(client.over), engine.is_idle)


def test_a_prompt_seen_before_is_computed_but_for_its_last_block(
    engine: Engine, client: Client, clock: VirtualClock
) -> None:
    hashes = list(range(1000, 1100))  # 1,600 tokens in full blocks
    first = client.send(1600, 5, hashes=hashes)
    clock.run()
    second = client.send(1600, 5, hashes=hashes)
    clock.run()

    assert (0, 1584) == (first.cached, second.cached)
    assert (3200, 1584) == (engine.stats.queries, engine.stats.hits)
    assert second.first - second.scheduled < first.first - first.scheduled
    assert 0 == engine.used


def test_cached_blocks_make_room_for_new_ones(spec: EngineSpec, clock: VirtualClock) -> None:
    small = replace(spec, blocks=128, max_model_len=2048)
    engine = Engine(small, clock, EngineStats(2048))
    client = Client(engine, clock)
    for turn in range(10):
        client.send(1600, 20, hashes=list(range(turn * 1000, turn * 1000 + 100)))
        clock.run()

    again = client.send(1600, 20, hashes=list(range(9000, 9100)))
    clock.run()

    assert 11 == len(client.over)
    assert 1584 == again.cached
    assert 0 == engine.used


def test_a_full_cache_keeps_requests_waiting_until_it_is_mended(
    engine: Engine, client: Client, clock: VirtualClock
) -> None:
    engine.filled = engine.spec.blocks
    client.send(100, 10)
    clock.run(clock.now() + 5)
    assert (1.0, 1, 0) == (engine.usage, engine.stats.waiting, len(client.over))

    engine.filled = 0
    clock.run()

    assert 1 == len(client.over)


def test_a_slow_engine_takes_as_many_times_as_long(spec: EngineSpec) -> None:
    plain, slow = Loop(spec, 1, 500, 50), Loop(spec, 1, 500, 50)
    slow.engine.pace = 3.0
    plain.run(1)
    slow.run(1)

    assert pytest.approx(3.0) == slow.engine.busy / plain.engine.busy


def test_a_frozen_engine_goes_on_where_it_stopped(
    engine: Engine, client: Client, clock: VirtualClock
) -> None:
    client.send(100, 10)
    clock.run(clock.now() + 0.05)
    engine.freeze(True)
    made = len(client.seen)
    clock.run(clock.now() + 100)
    client.send(100, 5)
    assert made == len(client.seen)

    engine.freeze(False)
    clock.run()

    assert 2 == len(client.over)


def test_an_adapter_waits_for_a_slot(spec: EngineSpec, clock: VirtualClock) -> None:
    engine = Engine(replace(spec, max_loras=1), clock, EngineStats(spec.max_model_len))
    client = Client(engine, clock)
    first = client.send(100, 50, adapter="a")
    second = client.send(100, 50, adapter="b")
    plain = client.send(100, 50)
    clock.run()

    assert [first, plain, second] == sorted(client.over, key=lambda each: each.first)
    assert second.scheduled >= first.last
