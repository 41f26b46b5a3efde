"""A run in figures. Pure: counted from the results, nothing is estimated, and where nothing was measured there is None.

A percentile is the nearest-rank one: a latency that some request really had. Latencies of answers count from the moment at which
the plan wanted them sent; the figures from the moment of sending stand beside them and differ by what the generator itself lost.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from stoker.load.result import LoadResult, Outcome, Result

__all__ = ["LATE_S", "NOT_THE_SERVERS", "Part", "Spread", "Summary", "percentile", "spread", "summarise"]

LATE_S: Final = 0.1
"""Seconds of this machine: with one request in a hundred sent later than this, the generator did not keep its schedule."""

NOT_THE_SERVERS: Final = frozenset((Outcome.UNSENT, Outcome.CANCELLED))
"""Ends that say nothing about the server."""

_MOST_DETAILS: Final = 3


@dataclass(frozen=True, slots=True)
class Spread:
    """How figures are spread: seconds, and how many there were; None of everything where there were none."""

    count: int = 0
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    most: float | None = None


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of figures in order, of which there is at least one."""
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def spread(figures: Iterable[float | None]) -> Spread:
    """Of the figures that are there."""
    ordered = sorted(figure for figure in figures if figure is not None)
    if not ordered:
        return Spread()
    p50, p90, p95, p99 = (percentile(ordered, share) for share in (0.5, 0.9, 0.95, 0.99))
    return Spread(len(ordered), math.fsum(ordered) / len(ordered), p50, p90, p95, p99, ordered[-1])


@dataclass(frozen=True, slots=True)
class Part:
    """Requests of one kind: all, a model's, a tenant's.

    Attributes:
        requests: that have ended. ``ok``: that were answered in full.
        outcomes: how many ended how, ``http 429`` and the like told apart.
        error_rate: share of the ended ones that the server failed, 0 to 1; what this machine could not send, and what was
            cancelled, does not count.
        ttft, tpot, e2e: of the answered ones, from the intended moment.
        ttft_from_send, e2e_from_send: from the moment of sending.
    """

    requests: int
    ok: int
    outcomes: dict[str, int]
    error_rate: float | None
    ttft: Spread
    tpot: Spread
    e2e: Spread
    ttft_from_send: Spread
    e2e_from_send: Spread


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to; times are seconds of the plan.

    Attributes:
        total: all requests. ``models``, ``tenants``: by name.
        planned: requests of the plan. ``in_flight``: under way now.
        answered: requests that got any answer of HTTP.
        offered_rate: requests per second that the plan wanted, up to now. ``sent_rate``: that left. ``completed_rate``: that were
            answered in full, until the last of them.
        prompt_tokens, output_tokens: of full answers, where the server or its stream tells; ``*_per_s`` by the same time as
            `completed_rate`.
        answered_by: full answers by who gave them, as far as they tell.
        lag: how late requests were sent that nothing held. ``is_late``: too late for the server to be blamed for it.
        held: requests that waited for one in flight to end.
        details: words of the first failures, by outcome.
    """

    total: Part
    models: dict[str, Part]
    tenants: dict[str, Part]
    planned: int
    in_flight: int
    answered: int
    offered_rate: float | None
    sent_rate: float | None
    completed_rate: float | None
    prompt_tokens: int | None
    output_tokens: int | None
    prompt_tokens_per_s: float | None
    output_tokens_per_s: float | None
    answered_by: dict[str, int]
    lag: Spread
    is_late: bool
    held: int
    max_in_flight: int
    peak_in_flight: int
    details: dict[str, tuple[str, ...]]
    elapsed_s: float
    speed: float
    is_cancelled: bool
    target: str
    source: str
    seed: int


def summarise(run: LoadResult) -> Summary:
    """The figures of a run, over or under way."""
    results = run.results
    full = [result for result in results if result.outcome is Outcome.OK]
    lag = spread(result.lag_s for result in results if not result.is_held)
    until = (
        min(run.elapsed_s, run.plan.duration_s) if run.is_cancelled or run.in_flight else run.plan.duration_s
    )
    sent = [result.sent_s for result in results if result.sent_s is not None]
    completed = max([until, *(result.end_s for result in full)])
    prompt, output = _total(full, "prompt_tokens"), _total(full, "output_tokens")
    return Summary(
        total=_part(results),
        models=_parts(results, "model"),
        tenants=_parts(results, "tenant"),
        planned=len(run.plan.requests),
        in_flight=run.in_flight,
        answered=sum(result.status > 0 for result in results),
        offered_rate=_rate(sum(request.at_s <= until for request in run.plan.requests), until),
        sent_rate=_rate(len(sent) + run.in_flight, max([until, *sent])),
        completed_rate=_rate(len(full), completed),
        prompt_tokens=prompt,
        output_tokens=output,
        prompt_tokens_per_s=None if prompt is None else _rate(prompt, completed),
        output_tokens_per_s=None if output is None else _rate(output, completed),
        answered_by=dict(Counter(result.answered_by for result in full if result.answered_by).most_common()),
        lag=lag,
        is_late=lag.p99 is not None and lag.p99 > LATE_S * run.speed,
        held=sum(result.is_held for result in results),
        max_in_flight=run.max_in_flight,
        peak_in_flight=run.peak_in_flight,
        details=_details(results),
        elapsed_s=run.elapsed_s,
        speed=run.speed,
        is_cancelled=run.is_cancelled,
        target=run.target,
        source=run.plan.source,
        seed=run.plan.seed,
    )


def _part(results: Sequence[Result]) -> Part:
    full = [result for result in results if result.outcome is Outcome.OK]
    judged = sum(result.outcome not in NOT_THE_SERVERS for result in results)
    return Part(
        requests=len(results),
        ok=len(full),
        outcomes=dict(
            sorted(Counter(result.kind for result in results).items(), key=lambda one: (-one[1], one[0]))
        ),
        error_rate=(judged - len(full)) / judged if judged else None,
        ttft=spread(result.ttft_s for result in full),
        tpot=spread(result.tpot_s for result in full),
        e2e=spread(result.e2e_s for result in full),
        ttft_from_send=spread(_less(result.ttft_s, result.lag_s) for result in full),
        e2e_from_send=spread(_less(result.e2e_s, result.lag_s) for result in full),
    )


def _parts(results: Sequence[Result], field: str) -> dict[str, Part]:
    names = dict.fromkeys(getattr(result.planned, field) for result in results)
    return {
        name: _part([result for result in results if getattr(result.planned, field) == name])
        for name in names
    }


def _less(figure: float | None, lag: float | None) -> float | None:
    return None if figure is None or lag is None else figure - lag


def _total(results: Sequence[Result], field: str) -> int | None:
    """Tokens of all; None where no answer tells."""
    known = [tokens for result in results if (tokens := getattr(result, field)) is not None]
    return sum(known) if known else None


def _rate(amount: float, seconds: float) -> float | None:
    return amount / seconds if seconds > 0 else None


def _details(results: Iterable[Result]) -> dict[str, tuple[str, ...]]:
    """The first different words of each kind of failure."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        if result.detail:
            words = found.setdefault(result.kind, {})
            if len(words) < _MOST_DETAILS:
                words[result.detail] = None
    return {kind: tuple(words) for kind, words in found.items()}
