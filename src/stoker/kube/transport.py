"""One request to an API server, tried again as long as that is safe and useful.

429 and 503 are refusals before anything was done: any request is sent again, after what the server asks for. A lost
connection, a timeout, 500, 502 and 504 leave open what was done: only a request that may be done twice is sent again, which
server-side apply, reads, and everything guarded by a resourceVersion or uid are.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from stoker.errors import UnreachableError
from stoker.kube.api_errors import ApiError, InvalidError, api_error

__all__ = ["Sender", "Tries"]

_REFUSED: Final = frozenset({429, 503})
_UNSURE: Final = frozenset({500, 502, 504})


@dataclass(frozen=True, slots=True)
class Tries:
    """How long to go on.

    Attributes:
        within: wall seconds from the first try; later nothing is sent again.
        unseen: the same, for a server that has not answered once: its address is more likely wrong than it is restarting.
        first, most: wall seconds between tries, doubled from first to most, each shortened at random by up to a half so that
            clients which failed together do not come back together.
        unsure: tries at most of a request that met 500, which the server may well answer for ever.
    """

    within: float = 30.0
    unseen: float = 3.0
    first: float = 0.1
    most: float = 5.0
    unsure: int = 4


@dataclass
class Sender:
    """Sends; safe for use by several threads.

    Attributes:
        client: carries the credentials.
        server: for messages.
        told: what is said to the user while it waits, such as "the server is busy: again in 1 s".
        answered: whether the server has answered anything yet.
    """

    client: httpx2.Client
    server: str
    tries: Tries = field(default_factory=Tries)
    told: Callable[[str], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep
    elapsed: Callable[[], float] = time.monotonic
    chance: random.Random = field(default_factory=random.Random)
    answered: bool = False

    def send(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        repeatable: bool,
        timeout: float | None = None,  # of the HTTP client, not of a coroutine
    ) -> httpx2.Response:
        """Send until there is an answer that is final.

        Raises:
            ApiError: the server refused.
            UnreachableError: no answer, no credentials, or refused as busy until the time was up.
        """
        began, tried, pause = self.elapsed(), 0, self.tries.first
        while True:
            tried += 1
            problem: ApiError | httpx2.TransportError
            wait = None
            try:
                extra: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
                response = self.client.request(
                    method, path, params=params, content=content, headers=headers, **extra
                )
            except httpx2.TransportError as error:
                problem = error
                # Where no connection came about, nothing was done.
                again = repeatable or isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            else:
                self.answered = True
                if response.is_success:
                    return response
                problem = self._refusal(method, path, response)
                again = self._may_repeat(problem, repeatable=repeatable, tried=tried)
                wait = problem.retry_after
            within = self.tries.within if self.answered else min(self.tries.unseen, self.tries.within)
            left = within - (self.elapsed() - began)
            delay = max(wait or 0.0, pause * (1.0 - self.chance.random() / 2))
            if not again or delay > left:
                raise self._final(problem, tried) from problem
            self.told(f"{self.server}: {_short(problem)}; again in {delay:.1f} s")
            self.sleep(delay)
            pause = min(pause * 2, self.tries.most)

    def _refusal(self, method: str, path: str, response: httpx2.Response) -> ApiError:
        try:
            body: Any = response.json()
        except ValueError:
            body = response.text[:500]
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            raise UnreachableError(
                f"{self.server} takes no credentials (401)", fix="log in again, or name another --context"
            )
        return api_error(
            response.status_code,
            body,
            what=f"{method} {path}",
            retry_after=response.headers.get("Retry-After"),
        )

    def _may_repeat(self, error: ApiError, *, repeatable: bool, tried: int) -> bool:
        if isinstance(error, InvalidError):
            return False
        if error.code in _REFUSED:
            return True
        return repeatable and error.code in _UNSURE and (error.code != 500 or tried < self.tries.unsure)

    def _final(self, problem: ApiError | httpx2.TransportError, tried: int) -> Exception:
        if isinstance(problem, ApiError) and problem.code not in _REFUSED | _UNSURE:
            return problem
        if isinstance(problem, InvalidError):
            return problem
        times = f" ({tried} tries)" if tried > 1 else ""
        return UnreachableError(
            f"{self.server} does not answer as it should: {_short(problem)}{times}",
            fix="check the server's address, the network and the VPN; run the same command again: it goes on where it stopped",
        )


def _short(problem: ApiError | httpx2.TransportError) -> str:
    if isinstance(problem, ApiError):
        return f"{problem.code} {problem.message[:200]}"
    return str(problem) or type(problem).__name__
