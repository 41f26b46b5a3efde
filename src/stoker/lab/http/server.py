"""The server on loopback: uvicorn with the lab's certificate, on an address that nobody else can reach."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvicorn

__all__ = ["ApiServer"]


class _Server(uvicorn.Server):
    """Signals belong to the lab's process, not to one of its servers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiServer:
    """Runs an application until it is stopped."""

    def __init__(
        self, application: Callable[..., Awaitable[None]], sock: socket.socket, certificate: Path, key: Path
    ) -> None:
        self._socket = sock
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            lifespan="off",
            http="httptools",
            ws="none",
            ssl_certfile=str(certificate),
            ssl_keyfile=str(key),
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
            server_header=False,
            date_header=True,
            h11_max_incomplete_event_size=65_536,
        )
        self._server = _Server(config)

    @property
    def port(self) -> int:
        found: int = self._socket.getsockname()[1]
        return found

    @property
    def is_ready(self) -> bool:
        return self._server.started

    async def run(self) -> None:
        await self._server.serve(sockets=[self._socket])

    async def ready(self) -> None:
        """Wait until requests are answered."""
        while not self._server.started:  # noqa: ASYNC110  # uvicorn has a flag, not an event
            await asyncio.sleep(0.005)

    def stop(self) -> None:
        self._server.should_exit = True
