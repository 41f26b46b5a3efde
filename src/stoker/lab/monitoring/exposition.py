"""Two small servers of metrics: kube-state-metrics' stand-in, and the API server's own."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from stoker.lab.monitoring.state_metrics import escaped

__all__ = ["ApiMetrics", "Pages", "TextServer"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Pages = dict[str, Callable[[], str]]

# kubernetes staging/src/k8s.io/apiserver/pkg/endpoints/metrics/metrics.go, a part of the buckets.
_BUCKETS: Final = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_HELP_TOTAL: Final = (
    "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope,"
    " component, and HTTP response code."
)
_HELP_DURATION: Final = (
    "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource,"
    " scope and component."
)
_HELP_INFLIGHT: Final = "[STABLE] Maximal number of currently used inflight request limit of this apiserver per request kind in last second."
_VERBS: Final = {"POST": "POST", "PUT": "PUT", "PATCH": "PATCH", "DELETE": "DELETE", "HEAD": "GET"}


@dataclass(slots=True)
class ApiMetrics:
    """``apiserver_request_total`` and its relatives, counted by wrapping the application.

    Durations are the wall's: the API server of a fast lab is not faster. Watches count when they end, as upstream's do; their
    durations are left out of the histogram, as upstream leaves them.
    """

    counts: dict[tuple[str, ...], int] = field(default_factory=dict)
    durations: dict[tuple[str, ...], list[float]] = field(default_factory=dict)
    inflight: int = 0

    def wrap(self, application: App) -> App:
        """The application, counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await application(scope, receive, send)
                return
            began, status = time.perf_counter(), 500

            async def seen(message: MutableMapping[str, Any]) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            self.inflight += 1
            try:
                await application(scope, receive, seen)
            finally:
                self.inflight -= 1
                self._count(scope, status, time.perf_counter() - began)

        return counted

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        verb, key = _request(scope)
        place = (*key, verb)
        self.counts[*place, str(status)] = self.counts.get((*place, str(status)), 0) + 1
        if verb == "WATCH":
            return
        row = self.durations.get(place)
        if row is None:
            row = self.durations[place] = [0.0] * (len(_BUCKETS) + 2)
        for index, bound in enumerate(_BUCKETS):
            if seconds <= bound:
                row[index] += 1
        row[-2] += 1
        row[-1] += seconds

    def text(self) -> str:
        lines = [
            f"# HELP apiserver_request_total {_HELP_TOTAL}",
            "# TYPE apiserver_request_total counter",
        ]
        for (*place, code), count in self.counts.items():
            labels = _labels(tuple(place))
            lines.append(
                f'apiserver_request_total{{code="{code}",component="apiserver",dry_run="",{labels}}} {count}'
            )
        name = "apiserver_request_duration_seconds"
        lines += [
            f"# HELP {name} {_HELP_DURATION}",
            f"# TYPE {name} histogram",
        ]
        for where, row in self.durations.items():
            labels = f'component="apiserver",dry_run="",{_labels(where)}'
            for bound, reached in zip((*_BUCKETS, "+Inf"), row[:-1], strict=True):
                lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {reached:g}')
            lines += [f"{name}_sum{{{labels}}} {row[-1]:.9g}", f"{name}_count{{{labels}}} {row[-2]:g}"]
        lines += [
            f"# HELP apiserver_current_inflight_requests {_HELP_INFLIGHT}",
            "# TYPE apiserver_current_inflight_requests gauge",
            f'apiserver_current_inflight_requests{{request_kind="readOnly"}} {self.inflight}',
        ]
        return "\n".join(lines) + "\n"


def _labels(place: tuple[str, ...]) -> str:
    group, version, resource, sub, scope, verb = place
    pairs = {
        "group": group,
        "resource": resource,
        "scope": scope,
        "subresource": sub,
        "verb": verb,
        "version": version,
    }
    return ",".join(f'{key}="{escaped(value)}"' for key, value in pairs.items())


def _request(scope: Scope) -> tuple[str, tuple[str, str, str, str, str]]:
    """Verb and place of a request (endpoints/request/requestinfo.go, cleanVerb); other paths have no place."""
    parts = [part for part in str(scope["path"]).split("/") if part]
    method = str(scope["method"])
    if not parts or parts[0] not in {"api", "apis"} or len(parts) < (3 if parts[0] == "api" else 4):
        return _VERBS.get(method, "GET"), ("", "", "", "/" + (parts[0] if parts else ""), "")
    group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2])
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    is_namespaced = rest[0] == "namespaces" and len(rest) > 2
    if is_namespaced:
        rest = rest[2:]
    sub = rest[2] if len(rest) > 2 else ""
    has_name = len(rest) > 1
    query = bytes(scope.get("query_string") or b"")
    if method in {"GET", "HEAD"}:
        is_watch = b"watch=1" in query or b"watch=true" in query
        verb = "WATCH" if is_watch else "GET" if has_name else "LIST"
    elif method == "DELETE":
        verb = "DELETE" if has_name else "DELETECOLLECTION"
    else:
        verb = _VERBS.get(method, method)
    where = "resource" if has_name else "namespace" if is_namespaced else "cluster"
    return verb, (group, version, rest[0], sub, where)


class TextServer:
    """Serves a few texts by path, on one address: an HTTP server of a page, for Prometheus alone.

    It is an ASGI application too (``server.app``), for those who have a server already.
    """

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self._server: asyncio.Server | None = None
        self.address = ""

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        page = self.pages.get(scope["path"])
        status, text = (200, page()) if page is not None else (404, "not found\n")
        kind = b"text/plain; version=0.0.4; charset=utf-8"
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": text.encode()})

    async def start(self, host: str, port: int = 0) -> str:
        """Listen; the answer is ``address:port``."""
        self._server = await asyncio.start_server(self._serve, host, port)
        where = self._server.sockets[0].getsockname()
        self.address = f"{where[0]}:{where[1]}"
        return self.address

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError
        ):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10.0)
            words = head.split(b"\r\n", 1)[0].split(b" ")
            path = words[1].decode("latin-1").partition("?")[0] if len(words) > 1 else ""
            page = self.pages.get(path)
            body = (page() if page is not None else "not found\n").encode()
            status = b"200 OK" if page is not None else b"404 Not Found"
            writer.write(
                b"HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: %d\r\n"
                b"Connection: close\r\n\r\n" % (status, len(body))
            )
            writer.write(body)
            await writer.drain()
        writer.close()
