"""Where pages arrive: an HTTP server, and a little SMTP, that accepts deliveries as the services do and remembers each.

``GET /pages`` tells what has come, so that a gate on another machine can see when somebody would have been woken.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from stoker.pages.formats import Page, read_delivery, read_mail

__all__ = ["Catcher", "Notification"]

_LARGEST: Final = 4_000_000
_KEPT: Final = 10_000  # pages; a pager that storms for days must not take the memory


@dataclass(frozen=True, slots=True)
class Notification:
    """A page and when it came.

    Attributes:
        time: the catcher's clock (in a lab the lab's), in seconds since the epoch.
        wall: the same on the wall's clock.
        number: how many came before it.
        page: what it said.
    """

    time: float
    wall: float
    number: int
    page: Page

    @property
    def kind(self) -> str:
        return self.page.kind

    @property
    def action(self) -> str:
        return self.page.action

    @property
    def key(self) -> str:
        return self.page.key

    @property
    def summary(self) -> str:
        return self.page.summary

    @property
    def body(self) -> dict[str, Any]:
        return dict(self.page.body)

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "time": self.time,
            "wall": self.wall,
            "kind": self.kind,
            "action": self.action,
            "key": self.key,
            "summary": self.summary,
            "body": self.body,
        }


@dataclass(slots=True)
class Catcher:
    """The server.

    Attributes:
        now: the time to remember, in seconds.
        wall: the wall's.
        notifications: everything that arrived, in order; the newest ten thousand.
        refuse: status to answer with instead, for tests of retries; None accepts.
        told: called with each page as it comes.
    """

    now: Callable[[], float]
    wall: Callable[[], float]
    notifications: list[Notification] = field(default_factory=list)
    refuse: int | None = None
    told: Callable[[Notification], None] | None = None
    host: str = ""
    port: int = 0
    _count: int = 0
    _server: asyncio.Server | None = None
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, host: str, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, host, port, limit=_LARGEST)
        self.host, self.port = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def overrides(self) -> dict[str, str]:
        """Addresses for the configuration of Alertmanager, by kind of receiver."""
        root = f"http://{self.host}:{self.port}"
        return {
            "pagerduty": f"{root}/v2/enqueue",
            "opsgenie": f"{root}/",
            "slack": f"{root}/slack",
            "webhook": f"{root}/webhook",
            "email": f"{self.host}:{self.port}",
        }

    async def wait_for(self, wanted: Callable[[Notification], bool], timeout_s: float) -> Notification | None:
        """The first delivery that is wanted, past ones included; None after so many seconds of the wall."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        seen = -1
        while True:
            self._arrived.clear()
            for one in self.notifications:
                if one.number > seen and wanted(one):
                    return one
            seen = self._count - 1
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), left)

    # --- the wire ---------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(
                ConnectionError,
                asyncio.IncompleteReadError,
                asyncio.LimitOverrunError,
                ValueError,
                TimeoutError,
            ):
                await self._connection(reader, writer)
        finally:
            writer.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client of SMTP waits to be greeted, one of HTTP speaks first.
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 0.5)
        except TimeoutError:
            await self._mail(reader, writer)
            return
        while head:
            await self._request(head, reader, writer)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 120.0)

    async def _request(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = head.decode("latin-1").split("\r\n")
        method, target = (*lines[0].split(" "), "", "")[:2]
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        length = int(headers.get("content-length") or 0)
        if not 0 <= length <= _LARGEST:
            raise ValueError("a delivery of that size is none")
        raw = await asyncio.wait_for(reader.readexactly(length), 10.0)
        status, answer = self.receive(method, target, raw)
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        writer.write(
            b"HTTP/1.1 %d .\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (status, len(text))
        )
        writer.write(text)
        await writer.drain()

    def receive(self, method: str, target: str, raw: bytes) -> tuple[int, dict[str, Any] | bytes]:
        """What a request is answered with; it is remembered where it is a delivery."""
        if method == "GET" and urlsplit(target).path == "/pages":
            return 200, self._told_since(target)
        if self.refuse is not None and method in {"POST", "PUT"}:
            return self.refuse, {"message": "refused, as told"}
        status, answer, page = read_delivery(method, target, raw, self._count + 1)
        if page is not None:
            self._add(page)
        return status, answer

    def _told_since(self, target: str) -> dict[str, Any]:
        """Pages from a number on (``?from=``), and the catcher's time now."""
        asked = parse_qs(urlsplit(target).query).get("from", ["0"])[0]
        first = int(asked) if asked.isascii() and asked.isdigit() else 0
        found = [one.as_json() for one in self.notifications if one.number >= first]
        return {"now": self.now(), "next": self._count, "pages": found}

    def _add(self, page: Page) -> None:
        found = Notification(self.now(), self.wall(), self._count, page)
        self._count += 1
        self.notifications.append(found)
        del self.notifications[:-_KEPT]
        self._arrived.set()
        if self.told is not None:
            self.told(found)

    async def _mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The few words of SMTP that a client needs to hand over one message after another."""
        sender, receivers = "", list[str]()

        async def say(text: str) -> None:
            writer.write(f"{text}\r\n".encode())
            await writer.drain()

        await say("220 stoker-catcher ESMTP")
        while line := (await asyncio.wait_for(reader.readline(), 60.0)).decode("utf-8", "replace").strip():
            word = line.upper().partition(" ")[0]
            if word == "QUIT":
                await say("221 bye")
                return
            if word == "MAIL":
                sender, receivers = line.partition(":")[2], []
            elif word == "RCPT":
                receivers.append(line.partition(":")[2])
            elif word == "DATA":
                await say("354 go on")
                message = (await reader.readuntil(b"\r\n.\r\n")).decode("utf-8", "replace")
                self._add(read_mail(sender, receivers, message))
            await say("250 ok")
