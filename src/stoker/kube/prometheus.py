"""Prometheus' HTTP API, read only. No data is its own answer, never zero."""

import math
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import httpx2

from stoker.errors import StokerError, UnreachableError
from stoker.kube.snapshot import Item, Source, Unread

__all__ = ["TOKEN_VARIABLE", "instant", "measure", "open_prometheus"]

TOKEN_VARIABLE: Final = "STOKER_PROMETHEUS_TOKEN"  # noqa: S105  # the variable's name
Sample = tuple[dict[str, str], float]


def open_prometheus(url: str, transport: httpx2.BaseTransport | None = None) -> httpx2.Client:
    """A client of the server at ``url``, with the token of `TOKEN_VARIABLE`; for `instant`."""
    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx2.Client(base_url=url.rstrip("/"), headers=headers, timeout=30.0, transport=transport)


def instant(client: httpx2.Client, query: str, at: datetime) -> list[Sample]:
    """Samples of an instant query; an empty list where there is no data. NaN and infinities are no data.

    Raises:
        UnreachableError: the server does not answer.
        StokerError: it refuses the query.
    """
    try:
        response = client.post("/api/v1/query", data={"query": query, "time": f"{at.timestamp():.3f}"})
    except httpx2.TransportError as error:
        raise UnreachableError(
            f"{client.base_url} does not answer: {error}", fix="check --prometheus URL"
        ) from error
    if response.status_code in {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
        raise UnreachableError(
            f"{client.base_url} wants credentials ({response.status_code})",
            fix=f"put a bearer token into {TOKEN_VARIABLE}",
        )
    try:
        body = response.json()
    except ValueError as error:
        raise UnreachableError(
            f"{client.base_url} is no Prometheus: no JSON", fix="name the server's root URL"
        ) from error
    if not isinstance(body, dict) or body.get("status") != "success":
        said = body.get("error") if isinstance(body, dict) else response.status_code
        raise StokerError(f"Prometheus refused a query: {said}", fix="check the server's version")
    data = body.get("data") or {}
    results = data.get("result") if data.get("resultType") == "vector" else []
    return [sample for entry in results or [] if (sample := _sample(entry)) is not None]


def _sample(entry: Mapping[str, Any]) -> Sample | None:
    try:
        number = float(entry["value"][1])
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return (
        ({str(k): str(v) for k, v in (entry.get("metric") or {}).items()}, number)
        if math.isfinite(number)
        else None
    )


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
