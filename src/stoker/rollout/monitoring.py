"""What gates see of monitoring: Prometheus, Alertmanager's own counters, and the catcher where pages arrive.

All times are the cluster's; a server that does not answer makes a gate inconclusive.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import httpx2

from stoker.errors import UnreachableError
from stoker.kube.lab import lab_services
from stoker.kube.prometheus import TOKEN_VARIABLE, Sample, Series, instant, metric_types, samples
from stoker.pages import Page
from stoker.pages.formats import page_of_json
from stoker.rollout.endpoints import Endpoint, Way, find_alertmanager, find_prometheus
from stoker.rollout.gate import CannotMeasureError, Context

__all__ = [
    "Alertmanager",
    "CaughtPage",
    "PageSource",
    "Prometheus",
    "alertmanager",
    "catcher",
    "prometheus",
    "services",
]

_TIMEOUT: Final = httpx2.Timeout(30.0, connect=3.0)
_COUNTER: Final = re.compile(
    r"^(alertmanager_notifications(?:_failed)?_total)\{([^}]*)\} (\S+)$", re.MULTILINE
)
_INTEGRATION: Final = re.compile(r'integration="([^"]*)"')


def services(context: Context) -> dict[str, str]:
    """URLs that the user named, over those that a lab tells of itself."""
    return {**lab_services(context.cluster), **context.services}


class Prometheus:
    """Queries as of now."""

    def __init__(self, client: httpx2.Client, now: Callable[[], datetime], endpoint: Endpoint) -> None:
        self._client = client
        self._now = now
        self.endpoint = endpoint

    def instant(self, query: str) -> list[Sample]:
        """Samples; an empty list where there is no data."""
        return instant(self._client, query, self._now())

    def value(self, query: str) -> float | None:
        """The one element of an answer; None for none."""
        found = self.instant(query)
        return found[0][1] if len(found) == 1 else None

    def samples(self, selector: str, seconds: float) -> list[Series]:
        """Raw samples of the last so many of the cluster's seconds, as they were scraped."""
        return samples(self._client, f"{selector}[{max(1, round(seconds))}s]", self._now())

    def types(self) -> dict[str, str]:
        return metric_types(self._client)


@contextmanager
def prometheus(context: Context) -> Iterator[Prometheus]:
    """The cluster's Prometheus.

    Raises:
        CannotMeasureError: none answers.
    """
    endpoint = find_prometheus(context.cluster, context.platform, services(context))
    context.note("Prometheus", **endpoint.as_json())
    with endpoint.client(_TIMEOUT) as client:
        token = os.environ.get(TOKEN_VARIABLE)
        if token and endpoint.way is Way.NAMED:
            client.headers["Authorization"] = f"Bearer {token}"
        found = Prometheus(client, context.now, endpoint)
        try:
            found.instant("vector(1)")
        except UnreachableError as error:
            raise CannotMeasureError(f"no Prometheus answers: {error.message}", fix=error.fix) from error
        yield found


class Alertmanager:
    """Alertmanager's own words: what it sent, by integration, and which alerts it has."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def sent(self) -> dict[str, int]:
        """Notifications that were delivered, failed ones taken off, by integration as ``pagerduty``."""
        return delivered(self._get("/metrics").text)

    def alerts(self) -> list[dict[str, Any]]:
        """Its active alerts, each with its labels and receivers."""
        found = self._get("/api/v2/alerts").json()
        return found if isinstance(found, list) else []

    def _get(self, path: str) -> httpx2.Response:
        try:
            return self._client.get(path).raise_for_status()
        except httpx2.HTTPError as error:
            raise CannotMeasureError(
                f"Alertmanager does not answer {path}: {error}", fix="name a URL for alertmanager"
            ) from error


def delivered(text: str) -> dict[str, int]:
    """Notifications by integration out of a page of Alertmanager's metrics: tries that did not fail."""
    found: dict[str, int] = {}
    for name, labels, value in _COUNTER.findall(text):
        integration = _INTEGRATION.search(labels)
        if integration is not None:
            sign = -1 if "failed" in name else 1
            found[integration[1]] = found.get(integration[1], 0) + sign * round(float(value))
    return found


@contextmanager
def alertmanager(context: Context) -> Iterator[Alertmanager]:
    """The cluster's Alertmanager.

    Raises:
        CannotMeasureError: none answers.
    """
    endpoint = find_alertmanager(context.cluster, context.platform, services(context))
    context.note("Alertmanager", **endpoint.as_json())
    with endpoint.client(_TIMEOUT) as client:
        yield Alertmanager(client)


class CaughtPage:
    """A page that a catcher took, and when that was on the cluster's clock."""

    def __init__(self, at: float, page: Page) -> None:
        self.at = at
        self.page = page


class PageSource:
    """A catcher's answers to ``GET /pages``.

    A catcher on another clock than the cluster's tells its own now with them, so that times can be compared.
    """

    def __init__(self, client: httpx2.Client, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._next = 0
        self._seen: list[CaughtPage] = []

    def pages(self) -> list[CaughtPage]:
        """Every page so far, in order."""
        try:
            told = self._client.get("/pages", params={"from": self._next}).raise_for_status().json()
            offset = self._now().timestamp() - float(told["now"])
            self._seen += [
                CaughtPage(float(one["time"]) + offset, page_of_json(one)) for one in told["pages"]
            ]
            self._next = int(told["next"])
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            raise CannotMeasureError(
                f"the catcher of pages does not answer: {error}", fix="stoker catch, and name its URL"
            ) from error
        return self._seen


@contextmanager
def catcher(context: Context) -> Iterator[PageSource | None]:
    """Where pages are caught; None where nobody said."""
    url = services(context).get("catcher")
    if not url:
        yield None
        return
    context.note("catcher of pages", url=url)
    with httpx2.Client(base_url=url.rstrip("/"), timeout=_TIMEOUT) as client:
        yield PageSource(client, context.now)
