"""Asks each version of a model again and again, in a thread of its own, while the traffic is shifted."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpx2

from stoker.rollout.endpoints import Endpoint
from stoker.rollout.evidence import moment
from stoker.rollout.gate import Context

__all__ = ["Asked", "Prober", "Sender"]

_SHOWN: Final = 200
_FAILURES_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests and failures of one door during one stage."""

    door: str
    stage: str
    requests: int
    failures: int


@dataclass
class Sender:
    """Sends small completions; "" or why one failed.

    Attributes:
        model: name in requests; prefix: the engine's ``openai_prefix``.
        seconds: of the wall, for an answer.
    """

    model: str
    prefix: str
    seconds: float

    def client(self, endpoint: Endpoint) -> httpx2.Client:
        return endpoint.client(httpx2.Timeout(self.seconds, connect=5.0))

    def send(self, client: httpx2.Client) -> str:
        body = {"model": self.model, "prompt": "Say yes.", "max_tokens": 2}
        # A connection each: one that is kept may be closed by the other side just when it is used again, and new ones are
        # what kube-proxy balances.
        headers = {"Connection": "close"}
        try:
            response = client.post(f"{self.prefix}/completions", json=body, headers=headers)
        except httpx2.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        if not response.is_success:
            return f"HTTP {response.status_code}: {response.text[:_SHOWN]}"
        try:
            found: Any = response.json()
        except ValueError:
            return f"no JSON: {response.text[:_SHOWN]}"
        return "" if isinstance(found, dict) and found.get("choices") else "no answer in the body"


@dataclass
class Prober:
    """The thread. It asks the versions' own doors; who shifts the traffic asks the front door, and counts."""

    context: Context
    sender: Sender
    every: float
    failures: list[dict[str, Any]] = field(default_factory=list)
    _stage: str = ""
    _doors: Mapping[str, Endpoint] = field(default_factory=dict)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    _failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)
    _idle: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="stoker-prober", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def watch(self, stage: str, doors: Mapping[str, Endpoint]) -> None:
        """A stage, for the record, and the doors that there are now."""
        with self._idle:
            self._stage, self._doors = stage, dict(doors)

    @contextmanager
    def held(self) -> Iterator[dict[str, int]]:
        """Nothing is under way meanwhile; answers so far, by door."""
        with self._idle:
            answered: Counter[str] = Counter()
            for (door, stage), count in self._asked.items():
                answered[door] += count - self._failed[door, stage]
            yield dict(answered)

    def note(self, door: str, requests: int, problems: Sequence[str]) -> None:
        """Count requests that somebody else sent to a door, and why some of them failed."""
        self._asked[door, self._stage] += requests
        for why in problems:
            self._fail(door, why)

    def result(self) -> tuple[Asked, ...]:
        return tuple(
            Asked(door, stage, count, self._failed[door, stage])
            for (door, stage), count in sorted(self._asked.items())
        )

    def _run(self) -> None:
        pause = max(self.every / self.context.clock.speed, 0.1)
        with ExitStack() as stack:
            clients: dict[tuple[str, str], httpx2.Client] = {}
            while not self._over.wait(pause) and not self.context.stop.is_set():
                with self._idle:
                    for door, endpoint in self._doors.items():
                        key = (endpoint.url, endpoint.headers.get("Host", ""))
                        if key not in clients:
                            clients[key] = stack.enter_context(self.sender.client(endpoint))
                        self.note(door, 1, [why] if (why := self.sender.send(clients[key])) else [])

    def _fail(self, door: str, why: str) -> None:
        self._failed[door, self._stage] += 1
        if len(self.failures) < _FAILURES_KEPT:
            self.failures.append(
                {"at": moment(self.context.now()), "door": door, "stage": self._stage, "why": why}
            )
