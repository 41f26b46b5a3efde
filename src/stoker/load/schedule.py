"""Plans: from a rate, from a trace, from a list.

The requests are the twin's own, drawn by `stoker.twin.workload` with its seeds: the twin and the cluster that it stands for are
driven by the same traffic.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from stoker.errors import InputError, Problem
from stoker.load.plan import LoadPlan, Planned, check_plan
from stoker.load.rates import Phase, check_phases, expected, moments, rate_words
from stoker.twin.workload import (
    LognormalLengths,
    RateProfile,
    Trace,
    Traffic,
    is_stretched,
    replay,
    synthesise,
)

__all__ = ["listed_plan", "poisson_plan", "trace_plan", "traffic_plan"]


def poisson_plan(
    rate: float | Sequence[Phase],
    duration_s: float | None = None,
    *,
    model: str,
    prompt_tokens: int = 256,
    output_tokens: int = 64,
    sigma: float = 0.0,
    cv: float = 1.0,
    tenant: str = "",
    seed: int = 0,
) -> LoadPlan:
    """Independent users: arrivals at random, as many as the rate says, to the request.

    Args:
        rate: requests per second, or phases of it.
        duration_s: how long; with phases None, they say it.
        model: that all requests ask for.
        prompt_tokens: length of all prompts, or their median.
        output_tokens: length of all answers, or their median.
        sigma: of the lengths' logarithms: 0 for equal lengths; about 1 is what conversations have.
        cv: coefficient of variation of the gaps: 1 is Poisson, above are bursts.
        tenant: whose they are.
        seed: same arguments and seed, same plan.

    Raises:
        InputError: no rate, no time, no length, or more requests than one run may have.
    """
    phases = [Phase(duration_s or 0.0, rate)] if isinstance(rate, int | float) else list(rate)
    check_phases(phases)
    lasts = sum(phase.duration_s for phase in phases)
    amount = expected(phases)
    check_plan(amount, lasts)
    _check_lengths(prompt_tokens, output_tokens)
    lengths = LognormalLengths(prompt_tokens, sigma, output_tokens, sigma)
    # Drawn at one request a second and moved to where the rate has brought as many: bursts keep their form in ramps.
    drawn = synthesise(1.0, amount, lengths, np.random.default_rng([seed, 1]), cv=cv, model=model)
    traffic = replace(drawn, arrival_s=moments(drawn.arrival_s, phases), duration_s=lasts, tenants=(tenant,))
    kind = "Poisson" if cv == 1.0 else f"gamma gaps of CV {cv:g}"
    return traffic_plan(traffic, source=f"{kind}, {rate_words(phases)}", seed=seed)


def trace_plan(
    trace: Trace,
    *,
    model: str | None = None,
    duration_s: float | None = None,
    scale: float = 1.0,
    pace: float = 1.0,
    profile: RateProfile | None = None,
    seed: int = 0,
) -> LoadPlan:
    """A trace again: the same requests that `stoker simulate` makes of it.

    Args:
        trace: as read by `stoker.twin.workload.read_trace`.
        model: that all requests ask for; None keeps the trace's own names.
        duration_s: in the trace's time; a longer one stretches it, None takes all of it.
        scale: times its requests, drawn from it.
        pace: how many times faster it is sent: the same requests in less time.
        profile: shape of a stretched trace.
        seed: of what is drawn.

    Raises:
        InputError: the trace names no models and none is given, or there would be too many requests.
    """
    if not (0 < pace < float("inf") and 0 < scale < float("inf")):
        raise InputError(
            [
                Problem(
                    "no multiple",
                    path="scale, pace",
                    found=f"{scale:g}, {pace:g}",
                    wanted="numbers above 0",
                )
            ]
        )
    rng = np.random.default_rng([seed, 1])
    _check_amount(trace.traffic, duration_s, scale)
    traffic, how = replay(trace.traffic, rng, duration_s=duration_s, rate_scale=scale, profile=profile)
    if model is not None:
        traffic = replace(traffic, models=(model,), model=np.zeros(len(traffic), np.int16))
    elif "" in traffic.models:
        raise InputError(
            [Problem("the trace names no models", file=trace.name, wanted="a model", fix="--model NAME")]
        )
    if pace != 1.0:
        traffic = replace(traffic, arrival_s=traffic.arrival_s / pace, duration_s=traffic.duration_s / pace)
        how += f", {pace:g} times as fast"
    return traffic_plan(traffic, source=f"{trace.name}, {how}", seed=seed)


def traffic_plan(traffic: Traffic, *, source: str, seed: int = 0) -> LoadPlan:
    """Requests in columns as a plan.

    Raises:
        InputError: there are none, or too many.
    """
    check_plan(len(traffic), traffic.duration_s)
    prefixes: Iterable[tuple[int, ...]] = ((),) * len(traffic)
    if traffic.prefix_ids is not None and traffic.prefix_offsets is not None:
        ids = traffic.prefix_ids.tolist()
        prefixes = (tuple(ids[begin:end]) for begin, end in pairwise(traffic.prefix_offsets.tolist()))
    columns = zip(
        traffic.arrival_s.tolist(),
        traffic.input_tokens.tolist(),
        traffic.output_tokens.tolist(),
        traffic.model.tolist(),
        traffic.tenant.tolist(),
        prefixes,
        strict=True,
    )
    requests = tuple(
        Planned(index, at, prompt, answer, traffic.models[model], traffic.tenants[tenant], prefix)
        for index, (at, prompt, answer, model, tenant, prefix) in enumerate(columns)
    )
    return LoadPlan(requests, traffic.duration_s, source, seed, traffic.prefix_block_tokens)


def listed_plan(
    requests: Iterable[Planned], *, duration_s: float | None = None, source: str = "a list", seed: int = 0
) -> LoadPlan:
    """Requests one by one, sorted by time and numbered anew.

    Args:
        requests: at any times of at least 0.
        duration_s: the window; None ends it with the last request, at least one second.
        source: in words.
        seed: of the prompts.

    Raises:
        InputError: there are none or too many, or one with a time or length that is none.
    """
    given = sorted(requests, key=lambda request: request.at_s)
    for request in given:
        _check_lengths(request.prompt_tokens, request.output_tokens)
        if not 0 <= request.at_s < float("inf"):
            raise InputError(
                [Problem("no time of a request", found=f"{request.at_s:g} s", wanted="0 or later")]
            )
    lasts = duration_s or max(1.0, given[-1].at_s if given else 0.0)
    check_plan(len(given), lasts)
    numbered = tuple(replace(request, index=index) for index, request in enumerate(given))
    return LoadPlan(numbered, lasts, source, seed)


def _check_lengths(prompt_tokens: int, output_tokens: int) -> None:
    if min(prompt_tokens, output_tokens) < 1:
        raise InputError(
            [
                Problem(
                    "no length",
                    path="prompt_tokens, output_tokens",
                    found=f"{prompt_tokens}, {output_tokens}",
                    wanted="at least 1 token each",
                )
            ]
        )


def _check_amount(traffic: Traffic, duration_s: float | None, scale: float) -> None:
    """Before anything is drawn: a slip of the pen must not fill the memory."""
    duration = duration_s or traffic.duration_s
    if is_stretched(traffic, duration_s):
        amount = len(traffic) / traffic.duration_s * duration
    else:
        amount = float(np.searchsorted(traffic.arrival_s, duration, side="right"))
    check_plan(amount * scale, duration)
