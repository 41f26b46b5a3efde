"""What is done with whole traffics: cut, thinned, multiplied, mixed, spread over models or tenants."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stoker.errors import InputError, Problem
from stoker.twin.workload.traffic import Traffic, own_prefixes, prefix_stride, select, sorted_traffic

__all__ = ["assign", "cut", "mix", "scale_rate", "window"]


def cut(traffic: Traffic, duration_s: float) -> Traffic:
    """The first ``duration_s`` seconds."""
    count = int(np.searchsorted(traffic.arrival_s, duration_s, side="right"))
    return replace(select(traffic, np.arange(count)), duration_s=duration_s)


def window(traffic: Traffic, begin_s: float, end_s: float) -> Traffic:
    """The requests from ``begin_s`` on and before ``end_s``, with arrivals counted from ``begin_s``."""
    first, last = np.searchsorted(traffic.arrival_s, (begin_s, end_s), side="left")
    found = select(traffic, np.arange(first, last))
    return replace(found, arrival_s=found.arrival_s - begin_s, duration_s=end_s - begin_s)


def scale_rate(traffic: Traffic, factor: float, rng: np.random.Generator) -> Traffic:
    """``factor`` times as many requests in the same time: drawn from the trace, each copy moved by up to a mean gap.

    Below 1 requests are left out at random; above 1 come whole copies and a random part of one more. A copy has prefixes
    of its own: more users, not the same ones asking twice.
    """
    count = len(traffic)
    copies = int(factor) + (rng.random(count) < factor % 1).astype(np.int64)
    index = np.repeat(np.arange(count), copies)
    copy = np.arange(len(index)) - np.repeat(np.cumsum(copies) - copies, copies)
    gap = traffic.duration_s / max(1, count)
    shift = np.where(copy == 0, 0.0, rng.uniform(0, gap, len(index)))
    moved = own_prefixes(select(traffic, index), traffic, copy)
    arrival = np.minimum(moved.arrival_s + shift, traffic.duration_s)
    return sorted_traffic(replace(moved, arrival_s=arrival))


def mix(traffics: Sequence[Traffic]) -> Traffic:
    """All requests of ``traffics`` in order of arrival; equal names are one model or tenant, prefixes stay apart.

    The window is the longest of theirs.

    Raises:
        InputError: there are none, or their prefix blocks differ in size.
    """
    blocks = {each.prefix_block_tokens for each in traffics if each.prefix_ids is not None}
    if not traffics or len(blocks) > 1:
        raise InputError(
            [
                Problem(
                    "traffic cannot be mixed",
                    found=f"prefix blocks of {', '.join(map(str, sorted(blocks)))} tokens"
                    if blocks
                    else "none",
                    wanted="one or more, with prefix blocks of one size",
                )
            ]
        )
    models = tuple(dict.fromkeys(name for each in traffics for name in each.models))
    tenants = tuple(dict.fromkeys(name for each in traffics for name in each.tenants))
    ids, offsets = _mixed_prefixes(traffics) if blocks else (None, None)
    return sorted_traffic(
        Traffic(
            arrival_s=np.concatenate([each.arrival_s for each in traffics]),
            input_tokens=np.concatenate([each.input_tokens for each in traffics]),
            output_tokens=np.concatenate([each.output_tokens for each in traffics]),
            model=np.concatenate([_renumbered(each.model, each.models, models) for each in traffics]),
            tenant=np.concatenate([_renumbered(each.tenant, each.tenants, tenants) for each in traffics]),
            models=models,
            tenants=tenants,
            prefix_ids=ids,
            prefix_offsets=offsets,
            prefix_block_tokens=blocks.pop() if blocks else 0,
            duration_s=max(each.duration_s for each in traffics),
        )
    )


def _renumbered(index: NDArray[np.int16], own: Sequence[str], names: Sequence[str]) -> NDArray[np.int16]:
    return np.array([names.index(name) for name in own], np.int16)[index]


def _mixed_prefixes(traffics: Sequence[Traffic]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ids: list[NDArray[np.int64]] = []
    lengths: list[NDArray[np.int64]] = []
    free = 0
    for each in traffics:
        if each.prefix_ids is None or each.prefix_offsets is None:
            lengths.append(np.zeros(len(each), np.int64))
            continue
        lengths.append(np.diff(each.prefix_offsets))
        if len(each.prefix_ids):
            ids.append(each.prefix_ids - (int(each.prefix_ids.min()) - free))
            free += prefix_stride(each)
    flat = np.concatenate(ids) if ids else np.zeros(0, np.int64)
    return flat, np.concatenate(([0], np.cumsum(np.concatenate(lengths))))


def assign(
    traffic: Traffic,
    shares: Mapping[str, float],
    rng: np.random.Generator,
    *,
    by: Literal["model", "tenant"] = "model",
) -> Traffic:
    """Give each request a model, or a tenant, at random, in proportion to ``shares``.

    Raises:
        InputError: a share that is negative or no number, or nothing above zero.
    """
    names = tuple(shares)
    weights = np.array([shares[name] for name in names], np.float64)
    if not np.all(np.isfinite(weights) & (weights >= 0)) or not weights.sum() > 0:
        raise InputError(
            [
                Problem(
                    f"the shares of the {by}s are none",
                    found=", ".join(f"{name}={share:g}" for name, share in shares.items()),
                    wanted="numbers of at least 0, one of them above",
                )
            ]
        )
    edges = np.cumsum(weights / weights.sum())
    found = np.searchsorted(edges[:-1], rng.random(len(traffic)), side="right").astype(np.int16)
    if by == "tenant":
        return replace(traffic, tenant=found, tenants=names)
    return replace(traffic, model=found, models=names)
