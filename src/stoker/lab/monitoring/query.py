"""Questions to the lab's Prometheus, in the lab's time; no data is a value of its own.

`PrometheusClient` asks and waits. Controllers must not wait: `Readings` keeps the last answer to each question they have ever
asked and asks anew beside them. Sources: prometheus 2.42 web/api/v1; keda v2.20 pkg/scalers/prometheus_scaler.go (words of
errors, one element or none).
"""

import asyncio
import contextlib
import math
import time as wall_time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from stoker.errors import StokerError
from stoker.lab.monitoring.speed import LabTime, scaled_query

__all__ = [
    "NO_DATA",
    "NoData",
    "PrometheusClient",
    "QueryError",
    "Range",
    "Readings",
    "Sample",
    "is_in_cluster_prometheus",
    "loopback_client",
]

_TIMEOUT_S: Final = 10.0
_FORGET_S: Final = 300.0
# KEDA_HTTP_DEFAULT_TIMEOUT of the operator, in the lab's time; a fast lab leaves a real Prometheus half a second still.
_KEDA_TIMEOUT_S: Final = 3.0
_SHORTEST_TIMEOUT_S: Final = 0.5


class NoData(Enum):
    """An empty answer: not zero, not an error."""

    NO_DATA = "no data"


NO_DATA: Final = NoData.NO_DATA


@dataclass(frozen=True, slots=True)
class QueryError:
    """Prometheus did not answer, or refused; in KEDA's words where KEDA would say them."""

    message: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One element of an answer: labels, the value, and when it was in the lab's time."""

    labels: dict[str, str]
    value: float
    time: float


@dataclass(frozen=True, slots=True)
class Range:
    """One series of a range query: times of the lab, and values."""

    labels: dict[str, str]
    times: tuple[float, ...]
    values: tuple[float, ...]


def loopback_client(
    url: str = "", timeout_s: float = 10.0, transport: httpx2.AsyncBaseTransport | None = None
) -> httpx2.AsyncClient:
    """A client of servers on this machine: no proxy of the environment's in between, no certificates to load."""
    return httpx2.AsyncClient(
        base_url=url,
        timeout=timeout_s,
        transport=transport,
        trust_env=False,
        verify=False,
    )


class PrometheusClient:
    """Asks one Prometheus.

    Args:
        url: its root.
        time: how the lab's time follows from the wall's.
        transport: for tests.
    """

    def __init__(self, url: str, time: LabTime, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.url = url
        self.time = time
        self._client = loopback_client(url, _TIMEOUT_S, transport)

    async def close(self) -> None:
        await self._client.aclose()

    async def is_ready(self) -> bool:
        try:
            return (await self._client.get("/-/ready")).status_code == httpx2.codes.OK
        except httpx2.HTTPError:
            return False

    async def instant(self, query: str, at: float | None = None) -> list[Sample] | NoData | QueryError:
        """Samples now, or at a time of the lab. A scalar is one sample without labels; NaN is kept as it is."""
        moment = wall_time.time() if at is None else self.time.to_wall(at)
        data = await self._ask("/api/v1/query", query, {"time": f"{moment:.3f}"})
        if isinstance(data, QueryError):
            return data
        result = data.get("result") or []
        if data.get("resultType") in {"scalar", "string"}:
            result = [{"metric": {}, "value": result}]
        found = [
            Sample(
                one.get("metric") or {}, _number(one["value"][1]), self.time.to_lab(float(one["value"][0]))
            )
            for one in result
            if "value" in one
        ]
        return found or NO_DATA

    async def range(
        self, query: str, start: float, end: float, step: float
    ) -> list[Range] | NoData | QueryError:
        """Series between two times of the lab, at steps of so many of its seconds."""
        data = await self._ask(
            "/api/v1/query_range",
            query,
            {
                "start": f"{self.time.to_wall(start):.3f}",
                "end": f"{self.time.to_wall(end):.3f}",
                "step": f"{max(0.001, step / self.time.speed):.3f}",
            },
        )
        if isinstance(data, QueryError):
            return data
        found = []
        for one in data.get("result") or []:
            points = one.get("values") or []
            times = tuple(self.time.to_lab(float(moment)) for moment, _ in points)
            found.append(Range(one.get("metric") or {}, times, tuple(_number(value) for _, value in points)))
        return found or NO_DATA

    async def alerts(self) -> list[dict[str, Any]] | QueryError:
        """Alerts that are pending or firing, as `/api/v1/alerts` has them."""
        try:
            body = (await self._client.get("/api/v1/alerts")).json()
        except (httpx2.HTTPError, ValueError) as error:
            return QueryError(f"Prometheus does not answer: {error}")
        found: list[dict[str, Any]] = (body.get("data") or {}).get("alerts") or []
        return found

    async def _ask(self, path: str, query: str, more: dict[str, str]) -> dict[str, Any] | QueryError:
        try:
            translated = scaled_query(query, self.time)
        except StokerError as error:
            return QueryError(error.message)
        try:
            response = await self._client.post(path, data={"query": translated, **more})
        except httpx2.HTTPError as error:
            return QueryError(f"{self.url} does not answer: {str(error) or type(error).__name__}")
        if not response.is_success:
            return QueryError(f"prometheus query api returned error. status: {response.status_code}")
        try:
            body = response.json()
        except ValueError:
            return QueryError(f"{self.url} is no Prometheus: it answers no JSON")
        data: dict[str, Any] = body.get("data") or {}
        return data


def _number(text: str) -> float:
    return float(text.replace("Inf", "inf"))


def single_value(answer: list[Sample] | NoData | QueryError, query: str) -> float | NoData | QueryError:
    """What KEDA makes of an answer: one finite element, none, or an error (prometheus_scaler.go ExecutePromQuery).

    What ``ignoreNullValues`` makes of no data (and of NaN and infinities, which are no data here) is the scaler's to decide.
    """
    if not isinstance(answer, list):
        return answer
    if len(answer) > 1:
        return QueryError(f"prometheus query {query} returned multiple elements")
    return answer[0].value if math.isfinite(answer[0].value) else NO_DATA


def is_in_cluster_prometheus(
    server_address: str, services: Sequence[dict[str, Any]], prometheuses: Sequence[dict[str, Any]]
) -> bool | str:
    """Whether an address is the lab's Prometheus, as the cluster's names have it; otherwise Go's words for the failure.

    ``http://prometheus-operated.monitoring.svc:9090`` is, where the namespace has a Prometheus object (the operator makes that
    Service) or such a Service whose name or selector speaks of Prometheus. Short names are taken for those of any namespace.
    """
    parts = urlsplit(server_address if "//" in server_address else f"//{server_address}")
    host = parts.hostname or ""
    names = host.split(".")
    if not host or parts.scheme not in {"http", "https"}:
        return f'Get "{server_address}/api/v1/query": unsupported protocol scheme "{parts.scheme}"'
    name, namespace = names[0], names[1] if len(names) > 1 else ""
    if name == "prometheus-operated" and any(
        one["metadata"]["namespace"] == namespace or not namespace for one in prometheuses
    ):
        return True
    for service in services:
        metadata = service["metadata"]
        if metadata["name"] != name or (namespace and metadata["namespace"] != namespace):
            continue
        if _speaks_of_prometheus(service):
            return True
        port = parts.port or 80
        return f'Get "{server_address}/api/v1/query": dial tcp {host}:{port}: connect: connection refused'
    return f'Get "{server_address}/api/v1/query": dial tcp: lookup {host}: no such host'


def _speaks_of_prometheus(service: dict[str, Any]) -> bool:
    words = [service["metadata"]["name"]]
    for mapping in (service["metadata"].get("labels"), (service.get("spec") or {}).get("selector")):
        words += [str(value) for value in (mapping or {}).values()]
    return any(
        word in {"prometheus", "prometheus-operated", "thanos-query", "thanos-querier"} for word in words
    ) or any("prometheus" in word and "adapter" not in word and "operator" not in word for word in words)


@dataclass(slots=True)
class _Reading:
    value: float | NoData | QueryError | None = None
    at: float = 0.0
    asked: float = 0.0
    every_s: float = 30.0


@dataclass(slots=True)
class Readings:
    """The last answer to every question that is asked again and again, refreshed beside those who ask.

    Attributes:
        client: who is asked; None where there is no Prometheus, which is an error then, not an empty answer.
        resolve: what `is_in_cluster_prometheus` says of an address.
    """

    client: PrometheusClient | None
    resolve: Callable[[str], bool | str]
    time: LabTime
    on_change: Callable[[str, str], None] | None = None
    _known: dict[tuple[str, str], _Reading] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def prometheus_value(
        self, server_address: str, query: str, every_s: float = 30.0
    ) -> float | NoData | QueryError | None:
        """The newest value that is known, at once. None: asked just now for the first time, look again in a moment.

        Args:
            server_address: of the trigger.
            query: its PromQL, in the lab's time.
            every_s: how often it is asked, in the lab's seconds: the trigger's ``pollingInterval``.
        """
        key = (server_address, query)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _Reading()
            self._wake.set()
        found.asked = wall_time.monotonic()
        found.every_s = every_s
        return found.value

    async def read(self, server_address: str, query: str) -> float | NoData | QueryError:
        """The value, waited for."""
        resolved = self.resolve(server_address)
        if isinstance(resolved, str):
            return QueryError(resolved)
        if self.client is None:
            parts = urlsplit(server_address)
            return QueryError(
                f'Get "{server_address}/api/v1/query": dial tcp {parts.netloc}: connect: connection refused'
            )
        limit = max(_SHORTEST_TIMEOUT_S, _KEDA_TIMEOUT_S / self.time.speed)
        try:
            answer = await asyncio.wait_for(self.client.instant(query), limit)
        except TimeoutError:
            return QueryError(
                f'Get "{server_address}/api/v1/query": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
            )
        return single_value(answer, query)

    async def run(self) -> None:
        """Refresh what somebody still asks for; ends when cancelled."""
        while True:
            self._wake.clear()
            now = wall_time.monotonic()
            due = []
            for key, reading in list(self._known.items()):
                if now - reading.asked > max(_FORGET_S, 10 * reading.every_s / self.time.speed):
                    del self._known[key]
                elif reading.value is None or now - reading.at >= max(0.1, reading.every_s / self.time.speed):
                    due.append(self._refresh(key, reading))
            await asyncio.gather(*due)
            now = wall_time.monotonic()
            pauses = [one.every_s / self.time.speed - (now - one.at) for one in self._known.values()]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), min(5.0, max(0.05, min(pauses, default=5.0))))

    async def _refresh(self, key: tuple[str, str], reading: _Reading) -> None:
        before = reading.value
        reading.value = await self.read(*key)
        reading.at = wall_time.monotonic()
        if before != reading.value and self.on_change is not None:
            self.on_change(*key)
