"""Services: connections that go on to one endpoint or the other, byte by byte."""

import asyncio
from typing import Any, Final, cast

from stoker.lab.serving.contract import Backend
from stoker.lab.serving.routing import pick

__all__ = ["Forwarder"]

_CONNECT_S: Final = 3.0


class _Pipe(asyncio.Protocol):
    """One side of a forwarded connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Pipe | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self.early.append(data)

    def eof_received(self) -> bool:
        """An end ends both sides, and what was written before is still sent."""
        return False

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        other = self.other
        self.transport = None
        if other is not None and other.transport is not None:
            if exc is not None:
                other.transport.abort()
            else:
                other.transport.close()


class _Incoming(_Pipe):
    def __init__(self, forwarder: "Forwarder") -> None:
        super().__init__()
        self._forwarder = forwarder

    def eof_received(self) -> bool:
        """A client may say that it has sent everything and wait for the answer."""
        other = self.other
        if other is None or other.transport is None or other.transport.is_closing():
            return False
        other.transport.write_eof()
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._forwarder.connect(self)


class Forwarder:
    """A Service: connections go to its endpoints in turn."""

    def __init__(self) -> None:
        self.choose = pick(())
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, address: str, port: int) -> None:
        made: Any = await asyncio.get_running_loop().create_server(
            lambda: _Incoming(self), address, port, backlog=1024, reuse_address=True
        )
        self._server = made

    def connect(self, incoming: _Incoming) -> None:
        task = asyncio.ensure_future(self._reach(incoming))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reach(self, incoming: _Incoming) -> None:
        if not self.choose:
            if incoming.transport is not None:
                incoming.transport.abort()
            return
        backend = self.choose()
        assert isinstance(backend, Backend)  # noqa: S101 - a Service has endpoints only
        try:
            async with asyncio.timeout(_CONNECT_S):
                made: Any = await asyncio.get_running_loop().create_connection(
                    _Pipe, backend.address, backend.port
                )
        except (OSError, TimeoutError):
            if incoming.transport is not None:
                incoming.transport.abort()
            return
        outgoing: _Pipe = made[1]
        incoming.other, outgoing.other = outgoing, incoming
        if incoming.transport is None and outgoing.transport is not None:
            outgoing.transport.close()
        for data in incoming.early:
            if outgoing.transport is not None:
                outgoing.transport.write(data)
        incoming.early.clear()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
