"""Prometheus' HTTP API in the lab's time: what `prometheus_url` names, for people, dashboards and gates.

Expressions, times and steps are translated on the way in, timestamps of samples on the way out (`speed`); everything else is
handed through. At speed 1 that changes nothing. Query strings of ``/graph`` and the times in ``/api/v1/alerts`` and
``/api/v1/rules`` stay the wall's.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import httpx2

from stoker.errors import StokerError
from stoker.lab.monitoring.query import loopback_client
from stoker.lab.monitoring.speed import LabTime, scaled_query, seconds_of_duration
from stoker.lab.sockets import listen

__all__ = ["PrometheusProxy", "translated_answer", "translated_parameters"]

Message = MutableMapping[str, Any]
Pairs = list[tuple[str, str]]

_TIMES: Final = frozenset(("time", "start", "end"))
_QUERIES: Final = frozenset(("/api/v1/query", "/api/v1/query_range", "/api/v1/query_exemplars"))
_DATA: Final = frozenset(("/api/v1/query", "/api/v1/query_range"))
_LARGEST: Final = 1_000_000
_DROPPED: Final = frozenset(("content-length", "content-encoding", "transfer-encoding", "connection", "date"))


def translated_parameters(path: str, pairs: Pairs, time: LabTime) -> Pairs:
    """Parameters of a request as the wall's Prometheus needs them; what cannot be read is left for it to refuse.

    Raises:
        StokerError: the expression is no PromQL.
    """
    if time.is_wall:
        return pairs
    found: Pairs = []
    for key, value in pairs:
        new = value
        if key == "query" and path in _QUERIES:
            new = scaled_query(value, time)
        elif key in _TIMES:
            new = _moment(value, time)
        elif key == "step":
            new = _step(value, time)
        found.append((key, new))
    return found


def _moment(value: str, time: LabTime) -> str:
    try:
        lab = float(value)
    except ValueError:
        try:
            lab = datetime.fromisoformat(value).timestamp()
        except ValueError:
            return value
    return f"{time.to_wall(lab):.3f}"


def _step(value: str, time: LabTime) -> str:
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = seconds_of_duration(value)
        except StokerError:
            return value
    return f"{max(0.001, seconds / time.speed):.3f}"


def translated_answer(path: str, body: bytes, time: LabTime) -> bytes:
    """An answer with the lab's timestamps."""
    if time.is_wall or path not in _DATA:
        return body
    try:
        document = json.loads(body)
    except ValueError:
        return body
    data = document.get("data") or {}
    result = data.get("result")
    if data.get("resultType") in {"scalar", "string"} and result:
        result[0] = round(time.to_lab(result[0]), 3)
    elif isinstance(result, list):
        for series in result:
            for point in (series.get("value"), *(series.get("values") or ())):
                if point:
                    point[0] = round(time.to_lab(point[0]), 3)
    return json.dumps(document, separators=(",", ":")).encode()


class PrometheusProxy:
    """The server. ``url`` is the real Prometheus' root."""

    def __init__(self, url: str, time: LabTime) -> None:
        self.upstream = url
        self.time = time
        self.url = ""
        self._client = loopback_client(url, 130.0)
        self._server: Any = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int = 0) -> None:
        import uvicorn

        sock = listen(host, port, "another port")
        config = uvicorn.Config(
            self.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        # Signals belong to the lab's process.
        self._server.capture_signals = contextlib.nullcontext
        self._task = asyncio.ensure_future(self._server.serve(sockets=[sock]))
        self.url = f"http://{host}:{sock.getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await asyncio.gather(self._task, return_exceptions=True)
        await self._client.aclose()

    async def app(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while len(body) <= _LARGEST:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, headers, text = await self._answer(scope, body)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    async def _answer(self, scope: Message, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        path, method = str(scope["path"]), str(scope["method"])
        kind = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
        query = parse_qsl(bytes(scope["query_string"]).decode("latin-1"), keep_blank_values=True)
        try:
            query = translated_parameters(path, query, self.time)
            if kind.startswith("application/x-www-form-urlencoded"):
                pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
                body = urlencode(translated_parameters(path, pairs, self.time)).encode()
        except StokerError as error:
            refusal = {"status": "error", "errorType": "bad_data", "error": error.message}
            return 400, [(b"content-type", b"application/json")], json.dumps(refusal).encode()
        headers = {"content-type": kind} if kind else {}
        url = f"{path}?{urlencode(query)}" if query else path
        try:
            response = await self._client.request(method, url, content=body, headers=headers)
        except httpx2.HTTPError as error:
            text = f"{self.upstream} does not answer: {str(error) or type(error).__name__}\n"
            return 502, [(b"content-type", b"text/plain")], text.encode()
        found = [
            (name.lower().encode(), value.encode())
            for name, value in response.headers.items()
            if name.lower() not in _DROPPED
        ]
        return response.status_code, found, translated_answer(path, response.content, self.time)
