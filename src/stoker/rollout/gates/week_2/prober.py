"""Asks every door of a model again and again, in a thread of its own, while its traffic is shifted."""

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
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
    """Sends one small completion to an endpoint; "" or why it failed. ``light`` asks for the list of models instead."""

    model: str
    prefix: str
    seconds: float

    def client(self, endpoint: Endpoint) -> httpx2.Client:
        return endpoint.client(httpx2.Timeout(self.seconds, connect=5.0))

    def send(self, client: httpx2.Client, *, light: bool = False) -> str:
        body = {"model": self.model, "prompt": "Say yes.", "max_tokens": 2}
        # A connection each: one that is kept may be closed by the other side just when it is used again, and new ones are
        # what kube-proxy balances.
        headers = {"Connection": "close"}
        try:
            if light:
                response = client.get(f"{self.prefix}/models", headers=headers)
            else:
                response = client.post(f"{self.prefix}/completions", json=body, headers=headers)
        except httpx2.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        if not response.is_success:
            return f"HTTP {response.status_code}: {response.text[:_SHOWN]}"
        try:
            found: Any = response.json()
        except ValueError:
            return f"no JSON: {response.text[:_SHOWN]}"
        return (
            ""
            if isinstance(found, dict) and ("data" if light else "choices") in found
            else "no answer in the body"
        )


@dataclass
class Prober:
    """The thread.

    Attributes:
        stage: what is going on, for the record; set by who shifts the traffic.
        light: while requests are counted nothing is sent that the engines would count.
    """

    context: Context
    sender: Sender
    every: float
    stage: str = ""
    light: bool = False
    failures: list[dict[str, Any]] = field(default_factory=list)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    _failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    _doors: Mapping[str, Endpoint] = field(default_factory=dict)
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
        """A new stage, with these doors."""
        with self._idle:
            self.stage, self._doors = stage, dict(doors)

    def quiet(self, *, light: bool) -> None:
        """Send nothing, or again something, that engines count; returns when what was under way has ended."""
        with self._idle:
            self.light = light

    def failed(self, door: str, why: str) -> None:
        """Count a failure that somebody else met at a door."""
        self._note(door, self.stage, why)

    def asked(self, door: str, count: int) -> None:
        """Count requests that somebody else sent to a door."""
        self._asked[door, self.stage] += count

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
                    doors, stage, light = self._doors, self.stage, self.light
                    for door, endpoint in doors.items():
                        key = (door, endpoint.url)
                        if key not in clients:
                            clients[key] = stack.enter_context(self.sender.client(endpoint))
                        self._asked[door, stage] += 1
                        why = self.sender.send(clients[key], light=light)
                        if why:
                            self._note(door, stage, why)

    def _note(self, door: str, stage: str, why: str) -> None:
        self._failed[door, stage] += 1
        if len(self.failures) < _FAILURES_KEPT:
            self.failures.append({"at": moment(self.context.now()), "door": door, "stage": stage, "why": why})
