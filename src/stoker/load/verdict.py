"""Whether promises were kept. Pure.

A request that failed kept no promise: it counts as slower than any bound, so that a server gains nothing by refusing. Times count
from the intended moment. Where a promise is missed by those and kept by the times from the sending, the generator or its bound on
requests in flight took the difference, and nothing is said about the server.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stoker.load.result import LoadResult, Outcome, Result
from stoker.load.summary import NOT_THE_SERVERS, percentile
from stoker.twin.promises import Promise, read_promises

__all__ = ["Verdict", "judge", "parse_promises"]

_SHARES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_TIMES: Final = tuple(f"{figure}_{part}_s" for figure in ("ttft", "tpot", "e2e") for part in _SHARES)
_ERRORS: Final = "errors"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A promise and what was measured.

    Attributes:
        is_kept: None where the run cannot say.
        measured: seconds, or a share; None where there is none, or so many requests failed that there is no such time.
        requests: that it was measured on.
        why: of a promise that was not kept.
    """

    promise: Promise
    is_kept: bool | None
    measured: float | None
    requests: int
    why: str = ""


def parse_promises(texts: Sequence[str]) -> tuple[Promise, ...]:
    """Read promises such as ``ttft_p95<2s``, ``tpot_p99<100ms`` or ``errors<1%``.

    Raises:
        InputError: of all texts that are none.
    """
    return read_promises(texts, _TIMES, (_ERRORS,))


def judge(run: LoadResult, promises: Sequence[Promise]) -> tuple[Verdict, ...]:
    """Judge each promise by the requests that have ended."""
    judged = [result for result in run.results if result.outcome not in NOT_THE_SERVERS]
    return tuple(_judge(judged, promise) for promise in promises)


def _judge(results: Sequence[Result], promise: Promise) -> Verdict:
    if not results:
        return Verdict(promise, None, None, 0, "no request was sent and ended")
    failed = sum(result.outcome is not Outcome.OK for result in results)
    if promise.figure == _ERRORS:
        share = failed / len(results)
        is_kept = share <= promise.most
        return Verdict(
            promise, is_kept, share, len(results), "" if is_kept else f"{failed} of {len(results)} failed"
        )
    name, _, part = promise.figure.removesuffix("_s").partition("_")
    planned = sorted(_figures(results, name, from_send=False))
    sent = sorted(_figures(results, name, from_send=True))
    if len(planned) == failed and failed < len(results):
        return Verdict(promise, None, None, 0, "no answer told: it was not streamed, or had a single token")
    value, value_sent = percentile(planned, _SHARES[part]), percentile(sent, _SHARES[part])
    measured = None if math.isinf(value) else value
    if value <= promise.most:
        return Verdict(promise, True, measured, len(planned))
    if value_sent <= promise.most:
        why = "requests left late: the generator or its bound on requests in flight took the time, not the server"
        return Verdict(promise, None, measured, len(planned), why)
    why = f"{failed} of {len(results)} failed" if measured is None else ""
    return Verdict(promise, False, measured, len(planned), why)


def _figures(results: Sequence[Result], name: str, *, from_send: bool) -> list[float]:
    found = []
    for result in results:
        if result.outcome is not Outcome.OK:
            found.append(math.inf)
            continue
        figure: float | None = getattr(result, f"{name}_s")
        if figure is not None:
            late = (result.lag_s or 0.0) if from_send and name != "tpot" else 0.0
            found.append(figure - late)
    return found
