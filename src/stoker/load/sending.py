"""One request over HTTP, with the times of what came back. aiohttp does the work: see docs/decisions.md for what was measured."""

import asyncio
import errno
import os
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from stoker.errors import InputError, Problem
from stoker.load.answers import Reading, error_words
from stoker.load.result import Answer, Outcome
from stoker.load.sse import EndlessEventError, EventReader
from stoker.load.target import Target, headers_of, url_of

__all__ = ["Sender"]

_MOST_ERROR: Final = 64 << 10
_OWN_LIMITS: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM))


class Sender:
    """The connections of a run.

    Args:
        target: where to.
        now: the plan's clock.
        timeout_s: of a whole request, in this machine's seconds.
    """

    def __init__(self, target: Target, now: Callable[[], float], timeout_s: float) -> None:
        self._target, self._now, self._timeout_s = target, now, timeout_s
        self._secret = os.environ.get(target.key_env, "") if target.key_env else ""
        self._session: aiohttp.ClientSession | None = None
        self._options: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        target = self._target
        connector = aiohttp.TCPConnector(limit=0, force_close=not target.keep_alive, ssl=_tls(target))
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=headers_of(target, os.environ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        if target.host and target.url.startswith("https:"):
            self._options["server_hostname"] = target.host.partition(":")[0]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, model: str, body: bytes, answer: Answer) -> None:
        """Send a request and fill ``answer`` in. Returns when it is over, however it ended."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._send(url_of(self._target, model), body, answer)
        except TimeoutError:
            answer.outcome = Outcome.TIMEOUT
            answer.detail = "no answer" if not answer.status else "no end of the answer"
        except (aiohttp.ClientError, OSError) as error:
            answer.outcome, answer.detail = _broken(error, has_begun=answer.status > 0)
        except EndlessEventError as error:
            answer.outcome, answer.detail = Outcome.STRANGE, str(error)
        answer.end_s = self._now()
        if self._secret:
            answer.detail = answer.detail.replace(self._secret, "***")

    async def _send(self, url: str, body: bytes, answer: Answer) -> None:
        assert self._session is not None, "used before it is entered"  # noqa: S101 - a mistake of the caller in this file
        answer.sent_s = self._now()
        async with self._session.post(url, data=body, allow_redirects=False, **self._options) as response:
            answer.status = response.status
            if response.status >= 300:
                await self._refused(response, answer)
                return
            reading = Reading()
            if response.content_type == "text/event-stream":
                await self._events(response, reading, answer)
            else:
                reading.whole(await response.read())
            self._conclude(response, reading, answer)

    async def _refused(self, response: aiohttp.ClientResponse, answer: Answer) -> None:
        answer.outcome = Outcome.HTTP
        answer.answered_by = self._header(response)
        answer.detail = error_words(await response.content.read(_MOST_ERROR))

    async def _events(self, response: aiohttp.ClientResponse, reading: Reading, answer: Answer) -> None:
        events = EventReader()
        async for piece in response.content.iter_any():
            came = self._now()
            for data in events.feed(piece):
                if reading.event(data) and answer.first_s is None:
                    answer.first_s = came
        for data in events.rest():
            reading.event(data)

    def _conclude(self, response: aiohttp.ClientResponse, reading: Reading, answer: Answer) -> None:
        answer.prompt_tokens = reading.prompt_tokens
        answer.output_tokens = reading.output_tokens
        if answer.output_tokens is None and reading.chunks:
            answer.output_tokens = reading.chunks
        answer.answered_by = self._header(response) or reading.fingerprint or reading.model
        if reading.error:
            answer.outcome, answer.detail = Outcome.ERROR, reading.error
        elif reading.is_strange:
            answer.outcome, answer.detail = Outcome.STRANGE, f"content type {response.content_type}"
        elif not (reading.is_done or reading.has_finished):
            answer.outcome, answer.detail = Outcome.CUT, "the stream ended without [DONE] or a reason"
        else:
            answer.outcome = Outcome.OK

    def _header(self, response: aiohttp.ClientResponse) -> str:
        name = self._target.answered_by
        return response.headers.get(name, "")[:200] if name else ""


def _broken(error: aiohttp.ClientError | OSError, *, has_begun: bool) -> tuple[Outcome, str]:
    """What an exception of a connection means."""
    number = error.errno if isinstance(error, OSError) else None
    words = os.strerror(number) if number and number > 0 else str(error) or type(error).__name__
    if number in _OWN_LIMITS:
        return Outcome.UNSENT, f"this machine: {words}"
    if has_begun:
        return Outcome.CUT, words
    if isinstance(error, aiohttp.ClientConnectorError) and number == errno.ECONNREFUSED:
        return Outcome.REFUSED, words
    return Outcome.LOST, words


def _tls(target: Target) -> ssl.SSLContext | bool:
    if target.ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=target.ca)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            [
                Problem(
                    f"no certificate authority: {getattr(error, 'strerror', None) or error}",
                    path="--ca",
                    file=str(target.ca),
                    wanted="a file of certificates in PEM",
                )
            ]
        ) from error
