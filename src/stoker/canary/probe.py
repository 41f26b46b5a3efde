"""Paired probes: the same prompt to a pod of each version, who is asked first drawn by lot.

Both answers come from the same moment, over the same way, at temperature 0 and with the same seed, so that what differs is
the versions. As many pods of the stable version are asked as the canary has: with more of them, each would see a prompt less
often and its prefix cache would help it less.

Pods are asked at their own addresses, or through the API server's proxy where those cannot be reached from here.
"""

import json
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx2

from stoker.canary.prompts import Prompt

__all__ = ["Answer", "Pair", "Prober", "Target", "ask", "direct", "draw", "is_near", "proxied"]

_TIMEOUT: Final = httpx2.Timeout(60.0, connect=5.0)
_MOST: Final = 60.0  # of the wall for a whole answer: one that trickles would keep orders waiting


@dataclass(frozen=True, slots=True)
class Target:
    """A pod that can be asked: ``url`` before ``/v1``."""

    pod: str
    url: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came.

    Attributes:
        error: why there is none; empty where there is.
        lost: the API server, through which it was asked, did not pass it on: that says nothing of the pod.
        ttft: seconds to the first token. ``tpot``: seconds between tokens, None for a single one. Of the cluster's time.
    """

    text: str = ""
    error: str = ""
    ttft: float | None = None
    tpot: float | None = None
    tokens: int = 0
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt."""

    number: int
    prompt: int
    canary_first: bool
    stable: Answer
    canary: Answer

    @property
    def is_void(self) -> bool:
        """Whether it tells nothing of the versions: neither answered, as when the network is down, or one was never asked."""
        return self.stable.lost or self.canary.lost or bool(self.stable.error and self.canary.error)


def draw(seed: int, number: int, prompts: int) -> tuple[int, bool]:
    """Which prompt pair ``number`` asks, and whether the canary is asked first. With replacement: draws are independent."""
    lot = random.Random(f"{seed}/{number}")  # noqa: S311  # a lot that can be drawn again, not a secret
    return lot.randrange(prompts), lot.random() < 0.5


def is_near(pod: dict[str, Any], port: int, *, timeout: float = 1.0) -> bool:
    """Whether the pod's own address can be reached from here."""
    address = (pod.get("status") or {}).get("podIP")
    try:
        socket.create_connection((address, port), timeout=timeout).close()
    except OSError:
        return False
    return True


def direct(pod: dict[str, Any], port: int, base_path: str) -> Target:
    """The pod at its own address."""
    address = str((pod.get("status") or {}).get("podIP") or "")
    host = f"[{address}]" if ":" in address else address
    return Target(pod["metadata"]["name"], f"http://{host}:{port}{base_path}")


def proxied(pod: dict[str, Any], port: int, base_path: str, server: str) -> Target:
    """The pod through the API server."""
    space, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{quote(space, safe='')}/pods/http:{quote(name, safe='')}:{port}/proxy"
    return Target(name, f"{server.rstrip('/')}{path}{base_path}")


@dataclass(frozen=True)
class Prober:
    """Sends pairs.

    Attributes:
        client: carries what the way needs.
        model: its name in requests.
        speed: the cluster's seconds in one of the wall.
        via_api: pods are asked through the API server, whose own refusals are not the pods'.
        elapsed: a clock that only counts, in seconds of the wall.
    """

    client: httpx2.Client
    model: str
    speed: float = 1.0
    via_api: bool = False
    elapsed: Callable[[], float] = time.perf_counter

    def pair(
        self,
        number: int,
        prompt: Prompt,
        *,
        drawn: tuple[int, bool],
        stable: Target,
        canary: Target,
    ) -> Pair:
        """Ask both, one after the other, in the order that `draw` gave."""
        index, canary_first = drawn
        answers = {}
        for version in ("canary", "stable") if canary_first else ("stable", "canary"):
            target = canary if version == "canary" else stable
            answers[version] = ask(self, target, prompt)
        return Pair(number, index, canary_first, answers["stable"], answers["canary"])

    def warm(self, targets: Sequence[Target]) -> None:
        """Open the connections, so that no probe pays for that."""
        for target in targets:
            try:
                self.client.get(f"{target.url}/v1/models", timeout=10.0)
            except httpx2.HTTPError:
                continue  # the probe itself will say so


def ask(prober: Prober, target: Target, prompt: Prompt) -> Answer:
    """One streamed answer; whatever goes wrong is an answer too."""
    body = {
        "model": prober.model,
        "messages": prompt.conversation,
        "max_tokens": prompt.max_tokens,
        "temperature": 0,
        "seed": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began = prober.elapsed()
    try:
        with prober.client.stream(
            "POST", f"{target.url}/v1/chat/completions", json=body, timeout=_TIMEOUT
        ) as response:
            if not response.is_success:
                response.read()
                lost = prober.via_api and _is_servers_own(response)
                return Answer(error=f"HTTP {response.status_code}: {response.text[:200]}", lost=lost)
            return _listen(prober, response, began)
    except (httpx2.HTTPError, ValueError, LookupError, TypeError, AttributeError) as error:
        # Where the API server is not even reached, the pod was not asked. An answer that stops may be the pod's fault.
        lost = prober.via_api and isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        return Answer(error=f"{type(error).__name__}: {error}"[:300], lost=lost)


def _is_servers_own(response: httpx2.Response) -> bool:
    """Whether an API server refused by itself; that a pod cannot be reached it says in these words, and that is the pod's.

    Source of the words: k8s.io/apimachinery/pkg/util/proxy/transport.go.
    """
    try:
        found = response.json()
    except ValueError:
        return False
    is_status = isinstance(found, dict) and found.get("kind") == "Status"
    return is_status and "error trying to reach service" not in str(found.get("message"))


def _listen(prober: Prober, response: httpx2.Response, began: float) -> Answer:
    first = last = 0.0
    pieces: list[str] = []
    counted = 0
    is_whole = False
    for line in response.iter_lines():
        if prober.elapsed() - began > _MOST:
            return Answer(error=f"not done after {_MOST:g} s")
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            is_whole = True
            break
        event = json.loads(data)
        if "error" in event:
            return Answer(error=f"in the stream: {json.dumps(event['error'])[:200]}")
        counted = (event.get("usage") or {}).get("completion_tokens") or counted
        for choice in event.get("choices") or ():
            delta = choice.get("delta") or {}
            piece = (delta.get("content") or "") + (delta.get("reasoning_content") or "")
            if piece:
                last = prober.elapsed()
                first = first or last
                pieces.append(piece)
    if not is_whole:
        return Answer(error="the stream ended before it was done")
    tokens = counted or len(pieces)
    if not pieces:
        return Answer(error="the answer is empty")
    return Answer(
        text="".join(pieces),
        ttft=(first - began) * prober.speed,
        tpot=(last - first) * prober.speed / (tokens - 1) if tokens > 1 else None,
        tokens=tokens,
    )
