"""Paths to the pods: Services forward connections, gateways forward requests by host, path, header and weight."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final, cast

import httptools

from stoker.lab.serving.clock import Clock, Timer
from stoker.lab.serving.contract import Absent, Backend, Listener, Rule
from stoker.lab.serving.forwarder import Forwarder
from stoker.lab.serving.http import Exchange, HttpServer
from stoker.lab.serving.routing import matches, pick

__all__ = ["Listeners"]

log = logging.getLogger(__name__)

_HOLD_S: Final = (
    300.0  # Knative's revision-timeout-seconds, KServe's default as well: how long a client is kept waiting
)
_CONNECT_S: Final = 3.0
_RETRY_S: Final = 0.5
_RESET: Final = b"upstream connect error or disconnect/reset before headers"
_HOPS: Final = frozenset(("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
                          "transfer-encoding", "upgrade", "expect", "content-length"))  # fmt: skip


class _Path:
    """A rule with its memory: whose turn it is, and who waits."""

    def __init__(self, rule: Rule, rng: Random) -> None:
        self.rule = rule
        self.choose = pick(rule.backends, rule.absent, rng)
        self.held: dict[_Forward, None] = {}


class Listeners:
    """Every listener there is.

    Args:
        clock: the lab's.
        changed: called when the number of open requests under holding rules changes.
        rng: decides which group of a rule gets a request.
    """

    def __init__(self, clock: Clock, changed: Callable[[], None], rng: Random) -> None:
        self.clock, self.changed, self.rng = clock, changed, rng
        # Open requests by the rule's name, and by its name and group.
        self.open: Counter[str] = Counter()
        self._http: dict[tuple[str, int], _Gateway] = {}
        self._tcp: dict[tuple[str, int], Forwarder] = {}

    def counts(self) -> dict[str, int]:
        """Requests that are held or being answered now, see `Held`; holding rules without any have 0."""
        found = {
            path.rule.name: 0
            for gateway in self._http.values()
            for path in gateway.paths
            if path.rule.holds and path.rule.name
        }
        return found | {name: count for name, count in self.open.items() if count}

    async def set(self, listeners: tuple[Listener, ...]) -> None:
        """There are these now, and no others. Connections that are open go on."""
        wanted_http = {(each.address, each.port): each for each in listeners if each.kind == "http"}
        # A Service without endpoints refuses connections: nobody listens.
        wanted_tcp = {(each.address, each.port): each for each in listeners
                      if each.kind == "tcp" and any(rule.backends for rule in each.rules)}  # fmt: skip
        for key in [key for key in self._http if key not in wanted_http]:
            self._http.pop(key).close()
        for key in [key for key in self._tcp if key not in wanted_tcp]:
            self._tcp.pop(key).close()
        for key, listener in wanted_http.items():
            gateway = self._http.get(key)
            if gateway is None:
                gateway = self._http[key] = _Gateway(self)
                gateway.set(listener.rules)
                if not await _begins(gateway.server.listen(*key), key):
                    del self._http[key]  # the next wish tries again
            else:
                gateway.set(listener.rules)
        for key, listener in wanted_tcp.items():
            forwarder = self._tcp.get(key)
            backends = tuple(backend for rule in listener.rules for backend in rule.backends)
            if forwarder is None:
                forwarder = self._tcp[key] = Forwarder()
                forwarder.choose = pick(backends)
                if not await _begins(forwarder.listen(*key), key):
                    del self._tcp[key]
            else:
                forwarder.choose = pick(backends)
        self.changed()

    def close(self) -> None:
        for gateway in self._http.values():
            gateway.server.close()
        for forwarder in self._tcp.values():
            forwarder.close()


async def _begins(work: Coroutine[Any, Any, None], key: tuple[str, int]) -> bool:
    try:
        await work
    except OSError as error:
        log.warning("%s:%s cannot be listened on: %s", *key, error)
        return False
    return True


# --- HTTP ---


class _Gateway:
    def __init__(self, listeners: Listeners) -> None:
        self.listeners = listeners
        self.server = HttpServer(self._handle)
        self.paths: list[_Path] = []

    def set(self, rules: tuple[Rule, ...]) -> None:
        """New rules; who is held under a rule of the same name goes on waiting there, or goes to its backends now."""
        old = self.paths
        self.paths = [_Path(rule, self.listeners.rng) for rule in rules]
        for path in self.paths:
            before = next((each for each in old if each.rule == path.rule), None)
            if before is not None:
                path.choose = before.choose  # a split goes on where it was
        for before in old:
            for forward in list(before.held):
                forward.leave()
                forward.route()

    def _handle(self, exchange: Exchange) -> None:
        _Forward(self, exchange).route()

    def path_of(self, exchange: Exchange) -> _Path | None:
        headers = dict(exchange.headers)
        host = headers.get("host", "")
        return next((path for path in self.paths if matches(path.rule, host, exchange.path, headers)), None)

    def close(self) -> None:
        """No new connections; what is held is answered now."""
        self.server.refuse_new()
        for path in self.paths:
            for forward in list(path.held):
                forward.leave()
                forward.refuse(503, b"no healthy upstream")


class _Forward(asyncio.Protocol):
    """One request on its way to a backend, and the answer on its way back."""

    def __init__(self, gateway: _Gateway, exchange: Exchange) -> None:
        self.exchange = exchange
        self._gateway = gateway
        self._path: _Path | None = None
        self._group: str | None = None
        self._counted: tuple[str, ...] = ()
        self._since = gateway.listeners.clock.now()
        self._timer: Timer | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._has_begun = self._is_chunked = self._is_done = False
        self._headers: list[tuple[str, str]] = []
        self._tried = 0
        self._work: asyncio.Task[None] | None = None
        exchange.on_gone = self._gone

    # --- to the backend ---

    def route(self) -> None:
        """Go to a backend, or wait for one."""
        if self.exchange.is_over:
            return
        path = self._path = self._gateway.path_of(self.exchange)
        if path is None:
            self.refuse(404, b"")
            return
        if not path.choose:
            self._wait_or_refuse(path, path.rule.empty_status)
            return
        # Who waits for a group waits for that one, however its backends come and go.
        chosen = path.choose(self._group)
        self._group = chosen.group
        if isinstance(chosen, Absent):
            self._wait_or_refuse(path, chosen.status)
            return
        self._tried = 0
        self._count(path)
        self._try(path, chosen)

    def _wait_or_refuse(self, path: _Path, status: int) -> None:
        if path.rule.holds:
            self._count(path)
            self._hold(path)
        else:
            self.refuse(status, b"no healthy upstream")

    def refuse(self, status: int, body: bytes) -> None:
        """Answer without a backend."""
        self._uncount()
        self.exchange.respond(status, body, "text/plain")

    def _count(self, path: _Path) -> None:
        """Be one of the open requests of a rule that holds, and of its group."""
        name = path.rule.name if path.rule.holds else ""
        wanted = (name, *((f"{name}/{self._group}",) if self._group else ())) if name else ()
        if wanted != self._counted:
            self._uncount()
            self._counted = wanted
            self._gateway.listeners.open.update(wanted)
            self._gateway.listeners.changed()

    def _uncount(self) -> None:
        if self._counted:
            self._gateway.listeners.open.subtract(self._counted)
            self._counted = ()
            self._gateway.listeners.changed()

    def _hold(self, path: _Path) -> None:
        path.held[self] = None
        clock = self._gateway.listeners.clock
        self._timer = clock.at(self._since + _HOLD_S, self._give_up)

    def _give_up(self) -> None:
        self.leave()
        self.refuse(504, b"activator request timeout")

    def leave(self) -> None:
        """Be held no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._path is not None:
            self._path.held.pop(self, None)

    def _gone(self) -> None:
        self.leave()
        self._uncount()
        self._is_done = True
        if self._work is not None:
            self._work.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _try(self, path: _Path, backend: Backend) -> None:
        self._work = asyncio.ensure_future(self._connect(path, backend))

    async def _connect(self, path: _Path, backend: Backend) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await loop.create_connection(lambda: self, backend.address, backend.port)
        except (OSError, TimeoutError):
            self._refused(path)

    def _refused(self, path: _Path) -> None:
        """The backend is not there (yet, or any more): the next one of its group, or wait and look again."""
        self._tried += 1
        if self.exchange.is_over:
            return
        group = self._group or ""
        if self._tried < path.choose.size(group) and isinstance(following := path.choose(group), Backend):
            self._try(path, following)
        elif path.rule.holds:
            self._hold(path)
            self._retry = asyncio.get_running_loop().call_later(_RETRY_S, self._again)
        else:
            self.refuse(503, _RESET)

    def _again(self) -> None:
        self.leave()
        self.route()

    def _request(self) -> bytes:
        exchange, rule = self.exchange, self._path.rule if self._path else None
        target = exchange.target
        if rule is not None and rule.rewrite_path is not None:
            rest = target[len(rule.path.rstrip("/")) :]
            target = rule.rewrite_path.rstrip("/") + (
                rest if rest.startswith(("/", "?")) else f"/{rest}" if rest else ""
            )
            target = target or "/"
        lines = [f"{exchange.method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in exchange.headers if name not in _HOPS]
        lines += [f"x-forwarded-for: {exchange.client}", "connection: close"]
        if exchange.body or exchange.method in {"POST", "PUT", "PATCH"}:
            lines.append(f"content-length: {len(exchange.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + exchange.body

    # --- from the backend: asyncio, then httptools ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.exchange.is_over:
            transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self.exchange.pause(self._transport)
        self._transport.write(self._request())

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._broken()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - of asyncio
        self._transport = None
        if self._is_done:
            return
        if self._has_begun and not self._is_chunked:
            self._finish(keep=False)  # an answer without a length ends with its connection
        else:
            self._broken()

    def _broken(self) -> None:
        """The backend went away in the middle: the client must see that the answer is not whole."""
        if self._is_done:
            return
        self._is_done = True
        if self._transport is not None:
            self._transport.abort()
        if self._has_begun:
            self._uncount()
            self.exchange.cut()
        else:
            self.refuse(503, _RESET)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._headers = []
            return
        self._has_begun = True
        given = dict(self._headers)
        kept = [(name, value) for name, value in self._headers if name not in _HOPS]
        self._is_chunked = (
            "content-length" not in given and self.exchange.method != "HEAD" and status not in {204, 304}
        )
        framing = (
            ("transfer-encoding", "chunked")
            if self._is_chunked
            else ("content-length", given.get("content-length", "0"))
        )
        self.exchange.begin(status, [framing, *kept], chunked=self._is_chunked)

    def on_body(self, body: bytes) -> None:
        if self._is_chunked:
            self.exchange.send(body)
        else:
            self.exchange.raw(body)

    def on_message_complete(self) -> None:
        if self._has_begun:
            self._finish(keep=True)

    def _finish(self, *, keep: bool) -> None:
        if not self._is_done:
            self._is_done = True
            self._uncount()
            self.exchange.end(keep=keep)
            if self._transport is not None:
                self._transport.close()
