"""Where pages arrive: an HTTP server that speaks what Alertmanager sends to PagerDuty, Opsgenie, Slack and webhooks.

It accepts deliveries as the services do, as far as Alertmanager looks at the answers, and remembers each with its time, so
that a rehearsal can tell when somebody would have been woken.

Sources: alertmanager 0.25 notify/{pagerduty,opsgenie,slack,webhook}; PagerDuty Events API v2 ("Send an event": 202 with
``dedup_key``), Opsgenie Alert API (202 with ``requestId``).
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

__all__ = ["Catcher", "Notification"]

_LARGEST: Final = 4_000_000
Kind = Literal["pagerduty", "opsgenie", "slack", "webhook", "email"]


@dataclass(frozen=True, slots=True)
class Notification:
    """One delivery.

    Attributes:
        time: of the lab, in seconds since the epoch.
        wall: the same on the wall's clock.
        kind: which service it was for.
        action: ``firing`` or ``resolved``; ``update`` for changes of an Opsgenie alert.
        key: what the service takes for the same incident: ``dedup_key``, alias, group key.
        summary: the text that a person sees first.
        body: the request, credentials taken out.
    """

    time: float
    wall: float
    kind: Kind
    action: str
    key: str
    summary: str
    body: dict[str, Any]


@dataclass(slots=True)
class Catcher:
    """The server.

    Attributes:
        now: the lab's time, in seconds.
        wall: the wall's.
        notifications: everything that arrived, in order.
        refuse: status to answer with instead, for tests of retries; None accepts.
    """

    now: Callable[[], float]
    wall: Callable[[], float]
    notifications: list[Notification] = field(default_factory=list)
    refuse: int | None = None
    host: str = ""
    port: int = 0
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
        """Addresses for the configuration of Alertmanager (`config.Places.overrides`)."""
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
        seen = 0
        while True:
            self._arrived.clear()
            for one in self.notifications[seen:]:
                if wanted(one):
                    return one
            seen = len(self.notifications)
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
        """What a delivery is answered with; it is remembered where it is one."""
        path = urlsplit(target).path
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            return 400, {"status": "invalid event", "message": "no JSON"}
        if method not in {"POST", "PUT"} or not isinstance(body, dict):
            return 405, {"message": "only deliveries are taken here"}
        if self.refuse is not None:
            return self.refuse, {"message": "refused, as told"}
        if path == "/v2/enqueue":
            return self._pagerduty(body)
        if path.startswith("/v2/alerts"):
            return self._opsgenie(path, body)
        if path.startswith("/slack"):
            first = (body.get("attachments") or [{}])[0]
            is_over = "resolved" in str(first.get("title", "")).lower()
            self._add(
                "slack",
                "resolved" if is_over else "firing",
                body.get("channel", ""),
                first.get("title", ""),
                body,
            )
            return 200, b"ok"
        alerts = body.get("alerts") or [{}]
        summary = (body.get("commonAnnotations") or {}).get("summary") or (alerts[0].get("labels") or {}).get(
            "alertname", ""
        )
        self._add("webhook", body.get("status", ""), body.get("groupKey", ""), summary, body)
        return 200, {}

    def _pagerduty(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        action, key = body.get("event_action"), body.get("dedup_key") or ""
        if not body.get("routing_key") or action not in {"trigger", "acknowledge", "resolve"}:
            message = "Event object is invalid"
            return 400, {
                "status": "invalid event",
                "message": message,
                "errors": ["routing_key or event_action"],
            }
        summary = (body.get("payload") or {}).get("summary", "")
        said = {"trigger": "firing", "resolve": "resolved"}.get(action, action)
        self._add("pagerduty", said, key, summary, {**body, "routing_key": "<secret>"})
        return 202, {"status": "success", "message": "Event processed", "dedup_key": key}

    def _opsgenie(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        parts = [unquote(part) for part in path.split("/") if part]
        alias = body.get("alias") or (parts[2] if len(parts) > 2 else "")
        action = "firing"
        if len(parts) > 3:
            action = "resolved" if parts[3] == "close" else "update"
        self._add("opsgenie", action, alias, body.get("message", ""), body)
        return 202, {
            "result": "Request will be processed",
            "took": 0.01,
            "requestId": f"lab-{len(self.notifications)}",
        }

    def _add(self, kind: Kind, action: str, key: str, summary: str, body: dict[str, Any]) -> None:
        self.notifications.append(Notification(self.now(), self.wall(), kind, action, key, summary, body))
        self._arrived.set()

    async def _mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The few words of SMTP that a client needs to hand over one message after another."""
        sender, receivers = "", list[str]()

        async def say(text: str) -> None:
            writer.write(f"{text}\r\n".encode())
            await writer.drain()

        await say("220 stoker-lab ESMTP")
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
                subject = next(
                    (row[8:].strip() for row in message.split("\r\n") if row.lower().startswith("subject:")),
                    "",
                )
                action = "resolved" if "RESOLVED" in subject.upper() else "firing"
                self._add("email", action, ",".join(receivers), subject, {"from": sender, "message": message})
            await say("250 ok")
