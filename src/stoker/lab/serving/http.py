"""A small HTTP/1.1 server on httptools: handlers are plain functions, answers may be streamed piece by piece.

An emulated engine writes a piece for every token of every stream: one write to the socket a step and stream, nothing else.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

import httptools

__all__ = ["Exchange", "Handler", "HttpServer"]

_MOST_BODY: Final = 64 * 2**20
_MOST_HEAD: Final = 64 * 2**10

_MOST_PIPELINED: Final = 32
_HEAD_SECONDS: Final = 30.0

Handler = Callable[["Exchange"], None]
Headers = Sequence[tuple[str, str]]


class Exchange:
    """A request, and the answer to it.

    Attributes:
        method, target: as in the request line; ``path`` without the query.
        headers: in order, names in lower case.
        body: whole.
        on_gone: called when the client leaves before the answer is complete.
        status: of the answer; 0 before it.
        is_over: the answer is complete, or the client is gone.
    """

    __slots__ = ("_is_chunked", "_keep", "_protocol", "body", "client", "headers", "is_over", "method", "on_end", "on_gone", "path",
                 "sent", "status", "target")  # fmt: skip

    def __init__(
        self, protocol: "_Connection", method: str, target: str, headers: Headers, body: bytes, *, keep: bool
    ) -> None:
        self._protocol, self._keep, self._is_chunked = protocol, keep, False
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.path = target.partition("?")[0]
        self.client = protocol.peer
        self.on_gone: Callable[[], None] | None = None
        self.on_end: Callable[[], None] | None = None
        self.status = self.sent = 0
        self.is_over = False

    def header(self, name: str) -> str:
        """The first header of a name in lower case; empty where there is none."""
        return next((value for key, value in self.headers if key == name), "")

    def respond(
        self, status: int, body: bytes = b"", kind: str = "application/json", headers: Headers = ()
    ) -> None:
        """The whole answer."""
        if self.is_over:
            return
        self.status, self.sent = status, len(body)
        head = _head(
            status, (("content-length", str(len(body))), *_kind(kind, body), *headers), keep=self._keep
        )
        self._protocol.write(head if self.method == "HEAD" else head + body)
        self.end()

    def begin(self, status: int, headers: Headers, *, chunked: bool) -> None:
        """Begin an answer with the headers of somebody else's; pieces follow, framed here where it is chunked."""
        self.status, self._is_chunked = status, chunked
        self._protocol.write(_head(status, headers, keep=self._keep, server=""))

    def cut(self) -> None:
        """Break off in the middle, so that the client sees that something is missing."""
        self.is_over = True
        self._protocol.abort()

    def start(self, status: int, kind: str, headers: Headers = ()) -> None:
        """Begin an answer whose pieces follow."""
        self.status, self._is_chunked = status, True
        self._protocol.write(
            _head(
                status, (("transfer-encoding", "chunked"), ("content-type", kind), *headers), keep=self._keep
            )
        )

    def send(self, piece: bytes) -> None:
        """A piece of a started answer."""
        if piece and not self.is_over:
            self._protocol.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def raw(self, data: bytes) -> None:
        """Bytes as they are: of an answer that somebody else framed."""
        if not self.is_over:
            self._protocol.write(data)

    def end(self, *, keep: bool = True) -> None:
        """The answer is complete; the connection takes the next request, or closes."""
        if self.is_over:
            return
        self.is_over = True
        if self._is_chunked:
            self._protocol.write(b"0\r\n\r\n")
        if self.on_end is not None:
            self.on_end()
        self._protocol.answered(keep=keep and self._keep)

    def gone(self) -> None:
        if not self.is_over:
            self.is_over = True
            if self.on_gone is not None:
                self.on_gone()

    def pause(self, of: asyncio.Transport | None) -> None:
        """Read no more from ``of`` while this client is slow; None for no one."""
        self._protocol.source = of


def _kind(kind: str, body: bytes) -> Headers:
    return (("content-type", kind),) if body else ()


def _head(status: int, headers: Headers, *, keep: bool, server: str = "server: uvicorn") -> bytes:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    first = (f"HTTP/1.1 {status} {reason}", server) if server else (f"HTTP/1.1 {status} {reason}",)
    lines = [*first, *(f"{name}: {value}" for name, value in headers)]
    if not keep:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class _Connection(asyncio.Protocol):
    def __init__(self, server: "HttpServer") -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Exchange] = deque()
        self._now: Exchange | None = None
        self._transport: asyncio.Transport | None = None
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._size = self._head_size = 0
        self._timer: asyncio.TimerHandle | None = None
        self.source: asyncio.Transport | None = None
        self.peer = ""
        self._is_slow = False

    # --- of asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else ""
        self._server.connections.add(self)
        self._watch(_HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - of asyncio
        self._server.connections.discard(self)
        self._unwatch()
        self._transport = None
        for exchange in (self._now, *self._waiting):
            if exchange is not None:
                exchange.gone()
        self._now = None
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(501, b"protocol upgrades are not emulated")
        except httptools.HttpParserError:
            self._refuse(400, b"Invalid HTTP request received.")

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._is_slow = True
        if self.source is not None:
            self.source.pause_reading()

    def resume_writing(self) -> None:
        self._is_slow = False
        if self.source is not None:
            self.source.resume_reading()

    # --- of httptools ---

    def on_message_begin(self) -> None:
        self._target, self._headers, self._body, self._size = b"", [], [], 0

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value))
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > _MOST_HEAD:
            self._refuse(431, b"the request's headers are larger than this server takes")

    def on_headers_complete(self) -> None:
        self._head_size = 0
        if any(name == "expect" and value.lower() == "100-continue" for name, value in self._headers):
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > _MOST_BODY:
            self._refuse(413, b"the request is larger than this server takes")
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._unwatch()
        exchange = Exchange(
            self,
            self._parser.get_method().decode("latin-1"),
            self._target.decode("latin-1"),
            self._headers,
            b"".join(self._body),
            keep=self._parser.should_keep_alive(),
        )
        self._body, self._size = [], 0
        self._waiting.append(exchange)
        if self._now is None:
            self._next()
        elif len(self._waiting) >= _MOST_PIPELINED and self._transport is not None:
            self._transport.pause_reading()

    # --- of exchanges ---

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def answered(self, *, keep: bool) -> None:
        self._now = None
        self.source = None
        if self._transport is None:
            return
        if not keep or self._server.is_closing:
            self._transport.close()
            return
        self._watch(self._server.keep_alive)
        if self._waiting:
            # Not at once: a client that pipelines must not deepen the stack.
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        if self._now is None and self._waiting and self._transport is not None:
            self._now = self._waiting.popleft()
            self._transport.resume_reading()
            self._server.handle(self._now)

    def _refuse(self, status: int, message: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if self._now is None:
                head = _head(
                    status,
                    (("content-length", str(len(message))), ("content-type", "text/plain")),
                    keep=False,
                )
                self._transport.write(head + message)
            self._transport.close()

    def _watch(self, seconds: float) -> None:
        self._unwatch()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.close)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_busy(self) -> bool:
        return self._now is not None


class HttpServer:
    """Listens on one address of its own until it is closed."""

    def __init__(self, handler: Handler, *, keep_alive: float = 75.0) -> None:
        self.keep_alive = keep_alive
        self.connections: set[_Connection] = set()
        self.is_closing = False
        self.is_deaf = False  # a process that hangs: connections are taken, and nothing is ever answered
        self._handler = handler
        self._unheard: list[Exchange] = []
        self._server: asyncio.Server | None = None

    async def listen(self, address: str, port: int) -> None:
        """Begin.

        Raises:
            OSError: somebody else has the address.
        """
        loop = asyncio.get_running_loop()
        made: Any = await loop.create_server(
            lambda: _Connection(self), address, port, backlog=1024, reuse_address=True
        )
        self._server = made

    def handle(self, exchange: Exchange) -> None:
        if self.is_deaf:
            self._unheard.append(exchange)
            return
        self._handler(exchange)

    def hear(self, is_deaf: bool) -> None:  # noqa: FBT001 - a switch
        """Hang, or go on with what came meanwhile."""
        self.is_deaf = is_deaf
        if not is_deaf:
            unheard, self._unheard = self._unheard, []
            for exchange in unheard:
                if not exchange.is_over:
                    self._handler(exchange)

    def refuse_new(self) -> None:
        """Take no more connections; those that are open finish what they do."""
        self.is_closing = True
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            if not connection.is_busy:
                connection.close()

    def close(self) -> None:
        """End at once, whatever is under way."""
        self.refuse_new()
        for connection in list(self.connections):
            connection.abort()
