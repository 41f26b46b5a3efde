"""Requests as columns, and what is done with whole traffics: cut, thinned, spread over models."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Traffic", "assign", "cut", "scale_rate", "select", "sorted_traffic"]


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """Requests sorted by arrival.

    Attributes:
        arrival_s: seconds from the start, non-decreasing.
        input_tokens, output_tokens: at least 1.
        model, tenant: index into ``models`` and ``tenants``.
        models, tenants: names; ("",) where the trace has none.
        prefix_ids: hash ids of leading prompt blocks of all requests, flat; None where the trace has none.
        prefix_offsets: n + 1 offsets into ``prefix_ids``.
        prefix_block_tokens: tokens of one such block.
        duration_s: length of the window that the requests are from.
    """

    arrival_s: NDArray[np.float64]
    input_tokens: NDArray[np.int32]
    output_tokens: NDArray[np.int32]
    model: NDArray[np.int16]
    tenant: NDArray[np.int16]
    models: tuple[str, ...]
    tenants: tuple[str, ...]
    prefix_ids: NDArray[np.int64] | None
    prefix_offsets: NDArray[np.int64] | None
    prefix_block_tokens: int
    duration_s: float

    def __len__(self) -> int:
        return len(self.arrival_s)


def select(traffic: Traffic, index: NDArray[np.int64]) -> Traffic:
    """The requests at ``index``, in that order."""
    ids = offsets = None
    if traffic.prefix_ids is not None and traffic.prefix_offsets is not None:
        lengths = np.diff(traffic.prefix_offsets)[index]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        begin = np.repeat(traffic.prefix_offsets[:-1][index] - offsets[:-1], lengths)
        ids = traffic.prefix_ids[begin + np.arange(offsets[-1])]
    return replace(
        traffic,
        arrival_s=traffic.arrival_s[index],
        input_tokens=traffic.input_tokens[index],
        output_tokens=traffic.output_tokens[index],
        model=traffic.model[index],
        tenant=traffic.tenant[index],
        prefix_ids=ids,
        prefix_offsets=offsets,
    )


def sorted_traffic(traffic: Traffic) -> Traffic:
    """The same requests in order of arrival; equal times keep their order."""
    if np.all(traffic.arrival_s[1:] >= traffic.arrival_s[:-1]):
        return traffic
    return select(traffic, np.argsort(traffic.arrival_s, kind="stable"))


def cut(traffic: Traffic, duration_s: float) -> Traffic:
    """The first ``duration_s`` seconds."""
    count = int(np.searchsorted(traffic.arrival_s, duration_s, side="right"))
    return replace(select(traffic, np.arange(count)), duration_s=duration_s)


def scale_rate(traffic: Traffic, factor: float, rng: np.random.Generator) -> Traffic:
    """``factor`` times as many requests in the same time: drawn from the trace, each copy moved by up to a mean gap.

    Below 1 requests are left out at random; above 1 whole copies and a random part of one more.
    """
    count = len(traffic)
    copies = rng.poisson(factor, count) if factor % 1 else np.full(count, int(factor))
    if factor < 1:
        copies = (rng.random(count) < factor).astype(np.int64)
    index = np.repeat(np.arange(count), copies)
    gap = traffic.duration_s / max(1, count)
    first = np.concatenate(([True], index[1:] != index[:-1])) if len(index) else np.zeros(0, bool)
    shift = np.where(first, 0.0, rng.uniform(0, gap, len(index)))
    moved = select(traffic, index)
    arrival = np.minimum(moved.arrival_s + shift, traffic.duration_s)
    return sorted_traffic(replace(moved, arrival_s=arrival))


def assign(traffic: Traffic, shares: Mapping[str, float], rng: np.random.Generator) -> Traffic:
    """Give each request a model at random, in proportion to ``shares``."""
    names = tuple(shares)
    weights = np.array([shares[name] for name in names], np.float64)
    edges = np.cumsum(weights / weights.sum())
    edges[-1] = 1.0
    model = np.searchsorted(edges, rng.random(len(traffic)), side="right").astype(np.int16)
    return replace(traffic, model=np.minimum(model, len(names) - 1).astype(np.int16), models=names)
