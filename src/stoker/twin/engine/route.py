"""Which replica takes a request.

- RANDOM: a ClusterIP Service in iptables mode picks an endpoint at random for each connection.
- ROUND_ROBIN: IPVS, nginx and most gateways.
- LEAST_REQUESTS: the fewest requests in flight.
- TWO_CHOICES: the better of two at random, Envoy's LEAST_REQUEST.
- PREFIX_AWARE: the endpoint picker of the Gateway API Inference Extension: the sum of its scores for queue length, KV
  usage and cached prefix with the weights 2, 2, 3 of its default profile (config/charts/inferencepool, v1.x).
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from stoker.twin.engine.compiled import Column, compiled
from stoker.twin.engine.layout import (
    AT_LIVE,
    AT_REPLICAS,
    BLOCKS,
    LIVE,
    POLICY,
    PREFIX_BLOCK_TOKENS,
    Q_INPUT,
    Q_ROW,
    R_ROW,
    R_RUNNING,
    R_USED,
    R_WAITING,
    ROBIN,
    SEED,
)
from stoker.twin.engine.prefix import hit_entries

__all__ = ["Policy", "choose", "scatter", "scatter_all"]


class Policy(IntEnum):
    """Routing policy of a service."""

    RANDOM = 0
    ROUND_ROBIN = 1
    LEAST_REQUESTS = 2
    TWO_CHOICES = 3
    PREFIX_AWARE = 4


_RANDOM, _ROUND_ROBIN, _LEAST, _TWO = 0, 1, 2, 3
_QUEUE_WEIGHT, _KV_WEIGHT, _PREFIX_WEIGHT = 2.0, 2.0, 3.0


@compiled
def scatter(index: int, seed: int) -> int:
    """A number in [0, 2**31) that looks random: the same for the same index and seed, in compiled code and out of it.

    Two rounds of the multiply-xorshift of C. Wellons' "lowbias32", kept to 31 bits.
    """
    value = (index ^ (seed * 668265263)) & 0x7FFFFFFF
    value = ((value ^ (value >> 16)) * 569420461) & 0x7FFFFFFF
    value = ((value ^ (value >> 15)) * 1935289751) & 0x7FFFFFFF
    return value ^ (value >> 16)


def scatter_all(index: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """`scatter` of every index."""
    value = (index ^ (seed * 668265263)) & 0x7FFFFFFF
    value = ((value ^ (value >> 16)) * 569420461) & 0x7FFFFFFF
    value = ((value ^ (value >> 15)) * 1935289751) & 0x7FFFFFFF
    scattered: NDArray[np.int64] = value ^ (value >> 16)
    return scattered


@compiled
def _in_flight(s: Column, replica: int) -> int:
    row = s[AT_REPLICAS] + replica * R_ROW
    return int(s[row + R_WAITING] + s[row + R_RUNNING])


@compiled
def _least(s: Column, first: int) -> int:
    """The live replica with the fewest requests in flight; ties go to the next after ``first``, so that no one is favoured."""
    live = s[LIVE]
    best = s[s[AT_LIVE] + first % live]
    fewest = _in_flight(s, best)
    for step in range(1, live):
        replica = s[s[AT_LIVE] + (first + step) % live]
        load = _in_flight(s, replica)
        if load < fewest:
            best = replica
            fewest = load
    return int(best)


@compiled
def _prefix_aware(s: Column, q: Column, p: Column, request: int, first: int) -> int:
    """The live replica with the highest weighted sum of queue, KV usage and prefix scores, each in [0, 1]."""
    live = s[LIVE]
    least = 1 << 60
    most = 0
    for place in range(live):
        waiting = s[s[AT_REPLICAS] + s[s[AT_LIVE] + place] * R_ROW + R_WAITING]
        least = min(least, waiting)
        most = max(most, waiting)
    blocks = 0
    if s[PREFIX_BLOCK_TOKENS] > 0:
        known = p[request + 1] - p[request]
        blocks = min(known, q[Q_ROW * request + Q_INPUT] // s[PREFIX_BLOCK_TOKENS])
    best = s[s[AT_LIVE] + first % live]
    highest = -1.0
    for step in range(live):
        replica = s[s[AT_LIVE] + (first + step) % live]
        row = s[AT_REPLICAS] + replica * R_ROW
        queue = 1.0 if most == least else (most - s[row + R_WAITING]) / (most - least)
        score = _QUEUE_WEIGHT * queue + _KV_WEIGHT * (1.0 - s[row + R_USED] / s[BLOCKS])
        if blocks > 0:
            score += _PREFIX_WEIGHT * hit_entries(s, p, replica, request, blocks) / blocks
        if score > highest:
            highest = score
            best = replica
    return int(best)


@compiled
def choose(s: Column, q: Column, p: Column, request: int) -> int:
    """The live replica that takes ``request``; there must be one."""
    live = s[LIVE]
    policy = s[POLICY]
    if policy == _RANDOM:
        return int(s[s[AT_LIVE] + scatter(request, s[SEED]) % live])
    s[ROBIN] += 1
    turn = s[ROBIN]
    if policy == _ROUND_ROBIN:
        return int(s[s[AT_LIVE] + turn % live])
    if policy == _LEAST:
        return _least(s, turn)
    if policy == _TWO:
        one = s[s[AT_LIVE] + scatter(2 * request, s[SEED]) % live]
        two = s[s[AT_LIVE] + scatter(2 * request + 1, s[SEED]) % live]
        return int(one if _in_flight(s, one) <= _in_flight(s, two) else two)
    return _prefix_aware(s, q, p, request, turn)
