"""A clock that only moves when told, and engines that live by it."""

import heapq
from collections.abc import Callable

import pytest

from stoker.catalog.gpus import gpu
from stoker.catalog.models import model
from stoker.lab.serving.clock import Timer
from stoker.lab.serving.engine import Engine
from stoker.lab.serving.request import Request
from stoker.lab.serving.stats import EngineStats
from stoker.twin.engine.setup import engine_spec
from stoker.twin.engine.spec import EngineSpec


class Alarm:
    def __init__(self, do: Callable[[], None]) -> None:
        self.do: Callable[[], None] | None = do

    def cancel(self) -> None:
        self.do = None


class VirtualClock:
    """Time is the moment of the next thing that happens."""

    def __init__(self) -> None:
        self.time = 1_000_000.0
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._count = 0

    def now(self) -> float:
        return self.time

    def at(self, when: float, do: Callable[[], None]) -> Timer:
        alarm = Alarm(do)
        self._count += 1
        heapq.heappush(self._alarms, (max(when, self.time), self._count, alarm))
        return alarm

    def run(self, until: float = float("inf")) -> None:
        """Let everything happen up to ``until``, or until nothing more does."""
        while self._alarms and self._alarms[0][0] <= until:
            when, _, alarm = heapq.heappop(self._alarms)
            if alarm.do is not None:
                self.time = max(self.time, when)
                alarm.do()
        if until != float("inf"):
            self.time = max(self.time, until)


class Client:
    """Sends requests and remembers what came back."""

    def __init__(self, engine: Engine, clock: VirtualClock, *, streams: bool = True) -> None:
        self.engine, self.clock, self.streams = engine, clock, streams
        self.seen: list[tuple[float, int]] = []
        self.over: list[Request] = []

    def progress(self, made: int) -> None:
        self.seen.append((self.clock.now(), made))

    def ended(self, request: Request) -> None:
        self.over.append(request)

    def send(
        self, prompt: int, answer: int, *, hashes: list[int] | None = None, adapter: str = ""
    ) -> Request:
        request = Request(prompt, answer, self.clock.now(), self, hashes=hashes, adapter=adapter)
        self.engine.submit(request)
        return request


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def spec() -> EngineSpec:
    return engine_spec(model("llama-3.1-8b"), gpu("A100-SXM-80GB"), max_model_len=8192)


@pytest.fixture
def engine(spec: EngineSpec, clock: VirtualClock) -> Engine:
    return Engine(spec, clock, EngineStats(spec.max_model_len))


@pytest.fixture
def client(engine: Engine, clock: VirtualClock) -> Client:
    return Client(engine, clock)
