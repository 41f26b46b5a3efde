"""Requests as columns."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Traffic", "own_prefixes", "prefix_reuse", "prefix_stride", "select", "sorted_traffic"]


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
        begin += np.arange(offsets[-1])
        ids = traffic.prefix_ids[begin]
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


def prefix_reuse(traffic: Traffic) -> float | None:
    """Share of prompt blocks that a cache which forgets nothing has seen before, 0 to 1; None without hash ids."""
    if traffic.prefix_ids is None or len(traffic.prefix_ids) == 0:
        return None
    return 1.0 - len(np.unique(traffic.prefix_ids)) / len(traffic.prefix_ids)


def prefix_stride(traffic: Traffic) -> int:
    """A distance by which hash ids can be moved so that none meets another."""
    if traffic.prefix_ids is None or len(traffic.prefix_ids) == 0:
        return 0
    return int(traffic.prefix_ids.max()) - int(traffic.prefix_ids.min()) + 1


def own_prefixes(found: Traffic, source: Traffic, owner: NDArray[np.int64]) -> Traffic:
    """``found``, requests selected from ``source``, with hash ids that no two owners share; an owner a request."""
    if found.prefix_ids is None or found.prefix_offsets is None:
        return found
    shift = np.repeat(owner * prefix_stride(source), np.diff(found.prefix_offsets))
    return replace(found, prefix_ids=found.prefix_ids + shift)
