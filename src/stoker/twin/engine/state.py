"""Build the columns of a service (see `layout`), and read them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stoker.twin.engine import layout as at
from stoker.twin.engine.compiled import Column, column
from stoker.twin.engine.route import Policy
from stoker.twin.engine.run import add_replica, advance, drain_replica, stop_replica
from stoker.twin.engine.spec import EngineSpec

__all__ = ["Load", "Service", "dense_seconds", "make_service"]


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """The requests of a service, in order of arrival.

    Attributes:
        arrival_s: seconds, non-decreasing, length n. In a closed loop only the first ones matter.
        input_tokens, output_tokens: length n, at least 1.
        prefix_ids: hash ids of leading prompt blocks of all requests, flat; None where the trace has none.
        prefix_offsets: n + 1 offsets into ``prefix_ids``.
        prefix_block_tokens: tokens of one such block; a multiple of the engine's block size.
        adapter: LoRA adapter of each request, from 0, -1 for the model itself; None where all are.
    """

    arrival_s: NDArray[np.float64]
    input_tokens: NDArray[np.int32]
    output_tokens: NDArray[np.int32]
    prefix_ids: NDArray[np.int64] | None = None
    prefix_offsets: NDArray[np.int64] | None = None
    prefix_block_tokens: int = 0
    adapter: NDArray[np.int32] | None = None


class Service:
    """The replicas that one route leads to, and the requests that arrive: the event kernel with its columns.

    Time only goes forward: `advance` before anything that happens at a later time.
    """

    __slots__ = ("_columns", "f", "q", "s", "t")

    def __init__(self, s: Column, f: Column, q: Column, t: Column, p: Column) -> None:
        self.s, self.f, self.q, self.t = s, f, q, t
        self._columns = (s, f, q, t, p)

    def advance(self, until: float) -> None:
        """Run up to and including ``until``."""
        advance(*self._columns, until)

    def add_replica(self, replica: int, now: float) -> None:
        """The replica in slot ``replica`` is ready, and takes what is held. Advance to ``now`` first."""
        add_replica(*self._columns, replica, now)

    def drain_replica(self, replica: int) -> None:
        """The replica takes no more requests and finishes those it has."""
        drain_replica(self.s, replica)

    def stop_replica(self, replica: int, now: float) -> int:
        """The replica is gone: its requests are aborted. Returns how many. Advance to ``now`` first."""
        return int(stop_replica(self.s, self.f, self.q, self.t, replica, now))

    def replica(self, replica: int, figure: int) -> int:
        """A figure (an ``R_`` of `layout`) of one replica."""
        return int(self.s[self.s[at.AT_REPLICAS] + replica * at.R_ROW + figure])

    def seconds(self, replica: int, figure: int) -> float:
        """A figure (an ``RF_`` of `layout`) of one replica."""
        return float(self.f[self.s[at.AT_REPLICA_SECONDS] + replica * at.RF_ROW + figure])

    def set_pace(self, replica: int, pace: float) -> None:
        """From its next step on, steps of the replica take ``pace`` times the seconds of the model."""
        self.f[self.s[at.AT_REPLICA_SECONDS] + replica * at.RF_ROW + at.RF_PACE] = pace

    def figures(self, figure: int) -> list[int]:
        """A figure (an ``R_`` of `layout`) of every replica slot."""
        start = self.s[at.AT_REPLICAS] + figure
        return [int(self.s[start + replica * at.R_ROW]) for replica in range(self.s[at.CANDIDATES])]

    def requests(self, figure: int) -> NDArray[np.int32]:
        """A ``Q_`` of `layout` of every request."""
        return np.asarray(self.q, np.int32).reshape(-1, at.Q_ROW)[:, figure]

    def times(self, figure: int) -> NDArray[np.float64]:
        """A ``T_`` of `layout` of every request, in seconds."""
        return np.asarray(self.t, np.float64).reshape(-1, at.T_ROW)[:, figure]


def make_service(
    spec: EngineSpec,
    load: Load,
    *,
    candidates: int,
    policy: Policy = Policy.LEAST_REQUESTS,
    seed: int = 0,
    hold_timeout_s: float | None = None,
    in_flight_limit: int | None = None,
    concurrency: int | None = None,
    client_delay_s: float = 0.0,
) -> Service:
    """A service with ``candidates`` empty replica slots.

    Args:
        spec: the engine of each replica.
        load: all requests; in a closed loop their arrival times are filled in as they are sent.
        candidates: most replicas that exist at one time.
        policy: routing.
        seed: of random routing.
        hold_timeout_s: something in front (activator, interceptor, broker) holds requests this long while no replica
            takes them; None: they are refused.
        in_flight_limit: requests that one replica is given at once while others are held.
        concurrency: a closed loop of this many clients.
        client_delay_s: closed loop: from the end of one request to the arrival of the next.

    Raises:
        ValueError: prefix blocks that are no multiple of the engine's, more sequences than the kernel has room for, or
            adapters that the engine does not take.
    """
    if load.prefix_block_tokens % spec.block_tokens:
        raise ValueError(
            f"prefix blocks of {load.prefix_block_tokens} tokens are no multiple of {spec.block_tokens}"
        )
    if spec.max_num_seqs >= at.SLOT_SPAN:
        raise ValueError(f"max_num_seqs {spec.max_num_seqs} is above {at.SLOT_SPAN - 1}")
    if load.adapter is not None and not spec.max_loras:
        raise ValueError("requests name adapters, and the engine takes none (max_loras)")
    s = _integers(spec, load, candidates)
    s[at.POLICY], s[at.SEED] = policy, seed & 0x7FFFFFFF
    s[at.HOLD] = hold_timeout_s is not None
    s[at.IN_FLIGHT_LIMIT] = 1 << 60 if in_flight_limit is None else in_flight_limit
    s[at.CLOSED] = concurrency is not None
    s[at.FILLED] = len(load.arrival_s) if concurrency is None else min(concurrency, len(load.arrival_s))
    f = _floats(spec, s, candidates)
    f[at.HOLD_TIMEOUT_S] = at.FOREVER if hold_timeout_s is None else hold_timeout_s
    f[at.CLIENT_DELAY_S] = client_delay_s
    f[at.LORA_LOAD_S] = spec.lora_load_s
    q = np.zeros((len(load.arrival_s), at.Q_ROW), np.int32)
    q[:, at.Q_INPUT], q[:, at.Q_OUTPUT], q[:, at.Q_FOLLOWING] = load.input_tokens, load.output_tokens, -1
    q[:, at.Q_ADAPTER] = -1 if load.adapter is None else load.adapter
    t = np.full((len(load.arrival_s), at.T_ROW), -1.0)
    t[:, at.T_ARRIVAL] = load.arrival_s
    p = np.zeros(1, np.int64)
    if load.prefix_ids is not None and load.prefix_offsets is not None:
        p = np.concatenate((load.prefix_offsets, load.prefix_ids)).astype(np.int64)
    return Service(column(s), column(f), column(q.ravel()), column(t.ravel()), column(p))


def _power_of_two(least: int) -> int:
    return 1 << max(0, least - 1).bit_length()


def _integers(spec: EngineSpec, load: Load, candidates: int) -> NDArray[np.int64]:
    slots = candidates * spec.max_num_seqs
    each = load.prefix_block_tokens
    entries = spec.blocks * spec.block_tokens // each if each else 0
    adapters = 0 if load.adapter is None else spec.max_loras
    table = _power_of_two(2 * entries + 2) if entries else 0
    parts: Sequence[tuple[int, int]] = (
        (at.AT_REPLICAS, candidates * at.R_ROW),
        (at.AT_LIVE, candidates),
        (at.AT_SLOTS, slots * at.S_ROW),
        (at.AT_SLOT_FREE, slots),
        (at.AT_FRESH, slots),
        (at.AT_FINISH, slots),
        (at.AT_PHASES, candidates * spec.block_tokens),
        (at.AT_TABLE, candidates * table * 2),
        (at.AT_ENTRIES, candidates * entries * at.E_ROW),
        (at.AT_ENTRY_FREE, candidates * entries),
        (at.AT_LORA, candidates * adapters * at.L_ROW),
    )
    s = np.zeros(at.HEADER + sum(length for _, length in parts), np.int64)
    begin = at.HEADER
    where: dict[int, slice] = {}
    for name, length in parts:
        s[name] = begin
        where[name] = slice(begin, begin + length)
        begin += length
    for place, value in (
        (at.MAX_NUM_SEQS, spec.max_num_seqs),
        (at.MAX_NUM_BATCHED_TOKENS, spec.max_num_batched_tokens),
        (at.MAX_MODEL_LEN, spec.max_model_len),
        (at.BLOCKS, spec.blocks),
        (at.BLOCK_TOKENS, spec.block_tokens),
        (at.CHUNKED_PREFILL, spec.chunked_prefill),
        (at.RESERVE_FULL_PROMPT, spec.reserve_full_prompt),
        (at.LOOKAHEAD, spec.lookahead),
        (at.PREFIX_BLOCK_TOKENS, each),
        (at.MAX_LORAS, adapters),
        (at.REQUESTS, len(load.arrival_s)),
        (at.HELD_HEAD, -1),
        (at.HELD_TAIL, -1),
        (at.CANDIDATES, candidates),
        (at.TABLE, table),
        (at.ENTRIES, entries),
        (at.LEAVES, _power_of_two(candidates)),
    ):
        s[place] = value
    rows = s[where[at.AT_REPLICAS]].reshape(candidates, at.R_ROW)
    rows[:, [at.R_HEAD, at.R_TAIL, at.R_PARTIAL, at.R_LAST, at.R_OLDEST, at.R_NEWEST]] = -1
    s[where[at.AT_SLOTS]].reshape(-1, at.S_ROW)[:, at.S_REQUEST] = -1
    s[where[at.AT_SLOT_FREE]] = np.tile(np.arange(spec.max_num_seqs - 1, -1, -1), candidates)
    s[where[at.AT_LORA]].reshape(-1, at.L_ROW)[:, at.L_ADAPTER] = -1
    s[where[at.AT_TABLE]] = -1
    s[where[at.AT_ENTRIES]].reshape(-1, at.E_ROW)[:, at.E_KEY] = -1
    s[where[at.AT_ENTRY_FREE]] = np.tile(np.arange(entries - 1, -1, -1), candidates)
    return s


def _floats(spec: EngineSpec, s: NDArray[np.int64], candidates: int) -> NDArray[np.float64]:
    """The float columns; their offsets go into the header of ``s``."""
    cost = spec.cost
    decode = dense_seconds(cost.knot_tokens, cost.knot_seconds, spec.max_num_seqs)
    longest = spec.max_num_batched_tokens + spec.max_num_seqs
    mixed = dense_seconds(cost.knot_tokens, cost.mixed_seconds or cost.knot_seconds, longest)
    header = np.zeros(at.F_HEADER)
    header[at.KV_READ_S], header[at.DECODE_SEQ_S] = cost.kv_read_s, cost.decode_seq_s
    header[at.PREFILL_PAIR_S], header[at.PREFILL_CHUNK_S] = cost.prefill_pair_s, cost.prefill_chunk_s
    replicas = np.zeros((candidates, at.RF_ROW))
    replicas[:, at.RF_PREVIOUS], replicas[:, at.RF_PACE] = at.FOREVER, 1.0
    tree = np.full(2 * int(s[at.LEAVES]), at.FOREVER)
    s[at.AT_REPLICA_SECONDS] = len(header)
    s[at.AT_DECODE] = s[at.AT_REPLICA_SECONDS] + replicas.size
    s[at.AT_MIXED] = s[at.AT_DECODE] + len(decode)
    s[at.AT_TREE] = s[at.AT_MIXED] + len(mixed)
    return np.concatenate((header, replicas.ravel(), decode, mixed, tree))


def dense_seconds(knots: tuple[int, ...], seconds: tuple[float, ...], longest: int) -> NDArray[np.float64]:
    """Seconds by token count 0..longest: linear between knots, the last slope beyond them."""
    tokens = np.arange(longest + 1, dtype=np.float64)
    dense = np.interp(tokens, knots, seconds)
    if len(knots) > 1 and longest > knots[-1]:
        slope = (seconds[-1] - seconds[-2]) / (knots[-1] - knots[-2])
        dense[knots[-1] :] = seconds[-1] + slope * (tokens[knots[-1] :] - knots[-1])
    return dense
