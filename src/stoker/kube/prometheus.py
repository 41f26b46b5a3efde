"""Prometheus' HTTP API, read only. No data is its own answer, never zero."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self

import httpx2

from stoker.errors import StokerError, UnreachableError
from stoker.kube.snapshot import Item, Source, Unread

__all__ = [
    "TOKEN_VARIABLE",
    "Line",
    "Prometheus",
    "Sample",
    "Series",
    "instant",
    "measure",
    "metric_types",
    "open_prometheus",
    "samples",
]

TOKEN_VARIABLE: Final = "STOKER_PROMETHEUS_TOKEN"  # noqa: S105  # the variable's name
Sample = tuple[dict[str, str], float]
Series = tuple[dict[str, str], tuple[tuple[float, float], ...]]  # labels; times since the epoch and values


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a range query.

    Attributes:
        points: seconds since the epoch and value at every step, None where there was no data.
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float | None], ...]


def open_prometheus(url: str, transport: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """A client of the server at ``url``, with the token of `TOKEN_VARIABLE`; for `instant`."""
    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.Client(base_url=url.rstrip("/"), headers=headers, timeout=30.0, transport=transport)


def _name(client: httpx2.Client) -> str:
    """The server's URL without credentials."""
    return str(client.base_url.copy_with(username=None, password=None)).rstrip("/")


class Prometheus:
    """A server that is asked several things over one connection; a context manager.

    Every method raises `UnreachableError` where the server does not answer and `StokerError` where it refuses.
    """

    def __init__(self, url: str, transport: httpx2.BaseTransport | None = None) -> None:
        self._client = open_prometheus(url, transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def name(self) -> str:
        """The server's URL without credentials."""
        return _name(self._client)

    def now(self) -> datetime:
        """The server's time: a lab's Prometheus is asked in the lab's."""
        data = _ask(lambda: self._client.post("/api/v1/query", data={"query": "time()"}), self._client)
        try:
            return datetime.fromtimestamp(float(data["result"][1]), UTC)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise StokerError(
                "Prometheus does not say what time it is", fix="check the server's version"
            ) from error

    def instant(self, query: str, at: datetime) -> list[Sample]:
        """As `instant`."""
        return instant(self._client, query, at)

    def ranged(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Line]:
        """Values at every step from ``start`` to ``end``; a step without a sample is None, as are NaN and infinities."""
        asked = {
            "query": query,
            "start": f"{start.timestamp():.3f}",
            "end": f"{end.timestamp():.3f}",
            "step": f"{step.total_seconds():.3f}",
        }
        data = _ask(lambda: self._client.post("/api/v1/query_range", data=asked), self._client)
        results = data.get("result") if data.get("resultType") == "matrix" else []
        count = math.floor((end - start) / step) + 1
        return [_line(entry, start.timestamp(), step.total_seconds(), count) for entry in results or []]


def _line(entry: Mapping[str, Any], start: float, step: float, count: int) -> Line:
    values: list[float | None] = [None] * count
    for point in entry.get("values") or ():
        try:
            index, value = round((float(point[0]) - start) / step), float(point[1])
        except (IndexError, TypeError, ValueError):
            continue
        if 0 <= index < count and math.isfinite(value):
            values[index] = value
    return Line(_labels(entry), tuple((round(start + i * step, 3), value) for i, value in enumerate(values)))


def instant(client: httpx2.Client, query: str, at: datetime) -> list[Sample]:
    """Samples of an instant query; an empty list where there is no data. NaN and infinities are no data.

    Raises:
        UnreachableError: the server does not answer.
        StokerError: it refuses the query.
    """
    data = _query(client, query, at)
    results = data.get("result") if data.get("resultType") == "vector" else []
    return [sample for entry in results or [] if (sample := _sample(entry)) is not None]


def samples(client: httpx2.Client, query: str, at: datetime) -> list[Series]:
    """The raw samples of a range selector (``metric{...}[5m]``), as they were scraped; NaN and infinities are left out.

    Raises:
        UnreachableError: the server does not answer.
        StokerError: it refuses the query.
    """
    data = _query(client, query, at)
    results = data.get("result") if data.get("resultType") == "matrix" else []
    found = []
    for entry in results or []:
        labels = {str(k): str(v) for k, v in (entry.get("metric") or {}).items()}
        points = ((float(when), float(value)) for when, value in entry.get("values") or ())
        found.append((labels, tuple(point for point in points if math.isfinite(point[1]))))
    return found


def metric_types(client: httpx2.Client) -> dict[str, str]:
    """Types of metrics by name as their targets give them; what the server does not know is not there.

    Raises:
        UnreachableError: the server does not answer.
        StokerError: it refuses.
    """
    data = _ask(lambda: client.get("/api/v1/metadata"), client)
    return {str(name): str(rows[0].get("type") or "") for name, rows in data.items() if rows}


def _query(client: httpx2.Client, query: str, at: datetime) -> dict[str, Any]:
    asked = {"query": query, "time": f"{at.timestamp():.3f}"}
    return _ask(lambda: client.post("/api/v1/query", data=asked), client)


def _ask(send: Callable[[], httpx2.Response], client: httpx2.Client) -> dict[str, Any]:
    try:
        response = send()
    except httpx2.TransportError as error:
        raise UnreachableError(
            f"{_name(client)} does not answer: {error}", fix="check --prometheus URL"
        ) from error
    if response.status_code in {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
        raise UnreachableError(
            f"{_name(client)} wants credentials ({response.status_code})",
            fix=f"put a bearer token into {TOKEN_VARIABLE}",
        )
    try:
        body = response.json()
    except ValueError as error:
        raise UnreachableError(
            f"{_name(client)} is no Prometheus: no JSON", fix="name the server's root URL"
        ) from error
    if not isinstance(body, dict) or body.get("status") != "success":
        said = body.get("error") if isinstance(body, dict) else response.status_code
        raise StokerError(f"Prometheus refused a query: {said}", fix="check the server's version")
    data = body.get("data")
    return data if isinstance(data, dict) else {}


def _labels(entry: Mapping[str, Any]) -> dict[str, str]:
    return {str(k): str(v) for k, v in (entry.get("metric") or {}).items()}


def _sample(entry: Mapping[str, Any]) -> Sample | None:
    try:
        number = float(entry["value"][1])
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return (_labels(entry), number) if math.isfinite(number) else None


def measure(
    url: str, queries: Mapping[str, str], at: datetime, transport: httpx2.BaseTransport | None = None
) -> tuple[Item, tuple[Unread, ...]]:
    """The answers to queries, as an object that rules read like any other; what was refused is told.

    Raises:
        UnreachableError: the server does not answer at all.
    """
    answers: dict[str, list[dict[str, Any]]] = {}
    unread: list[Unread] = []
    with open_prometheus(url, transport) as client:
        url = _name(client)
        for name, query in queries.items():
            try:
                answers[name] = [
                    {"labels": labels, "value": value} for labels, value in instant(client, query, at)
                ]
            except UnreachableError:
                raise
            except StokerError as error:
                unread.append(Unread(f"{url}: {name}", error.message))
    obj = {
        "apiVersion": "stoker.dev/v1",
        "kind": "Measurements",
        "metadata": {"name": url},
        "source": url,
        "at": at.isoformat(timespec="seconds"),
        "queries": answers,
    }
    return Item("stoker.dev", "v1", "Measurements", "", url, obj, Source(url)), tuple(unread)
