"""A trace as a model of traffic, and that model stretched to any length.

Kept: the mean rate, the burstiness (coefficient of variation of the gaps between arrivals), prompt and answer lengths as
pairs, the mix of models and tenants, and the share of prompt blocks seen before. Not kept: what depends on time within the
trace (lengths that drift, sessions), and the order of prefixes beyond one span of the trace.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stoker.twin.workload.profile import FLAT, RateProfile
from stoker.twin.workload.traffic import Traffic, select

__all__ = ["TrafficModel", "fit", "stretch"]

# Gaps are drawn with at most this variation: beyond, a gamma process is one burst and a silence.
_MOST_CV: Final = 15.0
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class TrafficModel:
    """What a trace says about traffic.

    Attributes:
        rate: mean requests per second.
        cv: coefficient of variation of the gaps.
        trace: its requests, for lengths and prefixes.
    """

    rate: float
    cv: float
    trace: Traffic


def fit(traffic: Traffic) -> TrafficModel:
    """Fit a traffic model. A trace of fewer than three requests is taken to be Poisson."""
    gaps = np.diff(traffic.arrival_s)
    mean = float(gaps.mean()) if len(gaps) > 1 else 0.0
    cv = float(gaps.std() / mean) if mean > 0 else 1.0
    return TrafficModel(len(traffic) / traffic.duration_s, min(_MOST_CV, max(0.05, cv)), traffic)


def stretch(
    model: TrafficModel,
    duration_s: float,
    rng: np.random.Generator,
    *,
    rate_scale: float = 1.0,
    profile: RateProfile = FLAT,
) -> Traffic:
    """Traffic of ``duration_s`` seconds like the trace, ``rate_scale`` times as much, shaped by ``profile``.

    Arrivals are a gamma renewal process (the trace's CV) in a clock that runs as fast as the profile's rate. Requests are
    drawn from the trace; where it has prefixes, whole spans of the trace are strung together instead, so that what a cache
    can find stays as in the trace, with hash ids renewed every span.
    """
    count = max(1, round(model.rate * rate_scale * duration_s))
    arrival = _arrivals(count, model.cv, duration_s, profile, rng)
    trace = model.trace
    if trace.prefix_ids is not None:
        return _strung(trace, arrival, duration_s)
    index = np.empty(count, np.int64)
    for begin in range(0, count, _CHUNK):
        end = min(count, begin + _CHUNK)
        index[begin:end] = rng.integers(0, len(trace), end - begin)
    return replace(select(trace, index), arrival_s=arrival, duration_s=duration_s)


def _arrivals(
    count: int, cv: float, duration_s: float, profile: RateProfile, rng: np.random.Generator
) -> NDArray[np.float64]:
    shape = 1.0 / cv**2
    work = np.empty(count)
    for begin in range(0, count, _CHUNK):
        end = min(count, begin + _CHUNK)
        work[begin:end] = rng.gamma(shape, 1.0 / shape, end - begin)
    np.cumsum(work, out=work)
    # The clock of work runs to the end exactly, so that the mean rate is the one asked for.
    work *= (count / (count + 1.0)) / work[-1]
    rates = profile.over(duration_s)
    edges = np.minimum(np.arange(len(rates) + 1) * profile.span_s, duration_s)
    done = np.concatenate(([0.0], np.cumsum(rates * np.diff(edges))))
    arrival: NDArray[np.float64] = np.interp(work, done / done[-1], edges)
    return arrival


def _strung(trace: Traffic, arrival: NDArray[np.float64], duration_s: float) -> Traffic:
    count, span = len(arrival), len(trace)
    index = np.arange(count) % span
    found = select(trace, index)
    if found.prefix_ids is None or found.prefix_offsets is None or trace.prefix_ids is None:
        return replace(found, arrival_s=arrival, duration_s=duration_s)
    lengths = np.diff(found.prefix_offsets)
    turn = np.repeat(np.arange(count) // span, lengths)
    renewed = found.prefix_ids + turn * (int(trace.prefix_ids.max(initial=0)) + 1)
    return replace(found, arrival_s=arrival, duration_s=duration_s, prefix_ids=renewed)
