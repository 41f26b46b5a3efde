"""A trace as a model of traffic, and that model stretched to any length.

Kept: the mean rate, the gaps between arrivals with their order inside pieces of some minutes (so bursts last as long as in
the trace), prompt and answer lengths as pairs, the mix of models and tenants, and the share of prompt blocks seen before.
Not kept: what depends on more than a few minutes (drift, sessions that come back later), and prefixes beyond one turn of
the trace.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stoker.errors import InputError, Problem
from stoker.twin.workload.arrivals import CHUNK, in_time, renewal_gaps
from stoker.twin.workload.profile import FLAT, RateProfile, measured_profile
from stoker.twin.workload.traffic import Traffic, own_prefixes, prefix_reuse, select

__all__ = ["TrafficModel", "fit", "stretch"]

_BLOCK_S: Final = 300.0  # a burst of Azure's coding trace and its silence last up to four minutes
_LEAST_BLOCKS: Final = 8
_LEAST_ROWS: Final = 3
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, eq=False)
class TrafficModel:
    """What a trace says about traffic.

    Attributes:
        rate: mean requests per second.
        cv: coefficient of variation of the gaps; where `profile` is not flat, of a clock that runs as fast as the rate.
        profile: the trace's own rate by hour, of a trace of a day or more; else flat.
        block: requests of a piece that is kept in order, on average.
        reuse: share of prompt blocks seen before in the trace, 0 to 1; None where it has no hash ids.
        gaps: before each request, their mean 1.
        trace: its requests, for lengths and prefixes.
    """

    rate: float
    cv: float
    profile: RateProfile
    block: float
    reuse: float | None
    gaps: NDArray[np.float64]
    trace: Traffic


def fit(traffic: Traffic) -> TrafficModel:
    """Fit a traffic model. A trace of fewer than three requests is taken to be Poisson.

    Raises:
        InputError: there are no requests.
    """
    count = len(traffic)
    if count == 0:
        raise InputError([Problem("no requests to make traffic of", fix="use a longer part of the trace")])
    profile = measured_profile(traffic) if traffic.duration_s >= _DAY_S else FLAT
    edges, done = profile.work(traffic.duration_s)
    work = np.interp(traffic.arrival_s, edges, done) * count
    # Before the first request stands what is left of the window after the last: the trace closes to a ring.
    gaps = np.diff(work, prepend=work[-1] - count)
    inner = gaps[1:]
    mean = float(inner.mean()) if count >= _LEAST_ROWS else 0.0
    rate = count / traffic.duration_s
    return TrafficModel(
        rate=rate,
        cv=float(inner.std() / mean) if mean > 0 else 1.0,
        profile=profile,
        block=max(1.0, min(rate * _BLOCK_S, count / _LEAST_BLOCKS)),
        reuse=prefix_reuse(traffic),
        gaps=gaps,
        trace=traffic,
    )


def stretch(
    model: TrafficModel,
    duration_s: float,
    rng: np.random.Generator,
    *,
    rate_scale: float = 1.0,
    profile: RateProfile = FLAT,
) -> Traffic:
    """Traffic of ``duration_s`` seconds like the trace, ``rate_scale`` times as much, shaped by ``profile``.

    The trace is resampled in pieces of random place and length (the stationary bootstrap: Politis and Romano, "The
    Stationary Bootstrap", JASA 89, 1994), gaps and lengths together, in a clock that runs as fast as the profile's rate.
    Where it has prefixes, whole turns of the trace from a random request on are strung together instead, with hash ids
    renewed every turn: what a cache can find, and how long after, stays as in the trace.
    """
    count = max(1, round(model.rate * rate_scale * duration_s))
    trace = model.trace
    if trace.prefix_ids is not None:
        index = _turns(len(trace), count, rng)
        gaps = model.gaps[index]
        found = own_prefixes(select(trace, index), trace, np.arange(count) // len(trace))
        return replace(found, arrival_s=in_time(gaps, duration_s, profile), duration_s=duration_s)
    gaps, inputs, outputs = np.empty(count), np.empty(count, np.int32), np.empty(count, np.int32)
    models = np.zeros(count, np.int16)
    tenants = np.zeros(count, np.int16)
    begin = 0
    for index in _pieces(len(trace), count, model.block, rng):
        part = slice(begin, begin + len(index))
        gaps[part] = model.gaps[index] if len(trace) >= _LEAST_ROWS else renewal_gaps(len(index), 1.0, rng)
        inputs[part], outputs[part] = trace.input_tokens[index], trace.output_tokens[index]
        # Columns of one name stay zero, and untouched pages of them cost no memory.
        if len(trace.models) > 1:
            models[part] = trace.model[index]
        if len(trace.tenants) > 1:
            tenants[part] = trace.tenant[index]
        begin += len(index)
    return replace(
        trace,
        arrival_s=in_time(gaps, duration_s, profile),
        input_tokens=inputs,
        output_tokens=outputs,
        model=models,
        tenant=tenants,
        duration_s=duration_s,
    )


def _pieces(rows: int, count: int, block: float, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Indices of ``count`` rows in pieces from random places, of geometric length; the trace is a ring."""
    while count > 0:
        number = int(min(count, CHUNK) / block) + 1
        lengths = rng.geometric(1.0 / block, number)
        starts = rng.integers(0, rows, number)
        ends = np.cumsum(lengths)
        index = np.repeat(starts - (ends - lengths), lengths)[:count]
        index += np.arange(len(index))
        index %= rows
        yield index
        count -= len(index)


def _turns(rows: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of ``count`` rows: turn after turn of the whole ring, each from a random row on."""
    turns = -(-count // rows)
    index = np.arange(rows) + rng.integers(0, rows, turns)[:, np.newaxis]
    index %= rows
    return index.ravel()[:count]
