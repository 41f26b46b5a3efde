"""What joins the batch of one replica: waiting requests, first come first served, with the KV blocks they need."""

from stoker.twin.engine.compiled import Column, compiled
from stoker.twin.engine.layout import (
    AT_FRESH,
    AT_REPLICA_SECONDS,
    AT_REPLICAS,
    AT_SLOT_FREE,
    AT_SLOTS,
    BLOCK_TOKENS,
    BLOCKS,
    CHUNKED_PREFILL,
    LOOKAHEAD,
    MAX_LORAS,
    MAX_NUM_SEQS,
    PREFIX_BLOCK_TOKENS,
    Q_ADAPTER,
    Q_FOLLOWING,
    Q_INPUT,
    Q_MADE,
    Q_ROW,
    Q_STATUS,
    R_CACHED,
    R_FRESH,
    R_HEAD,
    R_HELD,
    R_HIT_TOKENS,
    R_LAST,
    R_PARTIAL,
    R_PARTIAL_BLOCKS,
    R_PARTIAL_DONE,
    R_QUERIED_TOKENS,
    R_ROW,
    R_RUNNING,
    R_USED,
    RESERVE_FULL_PROMPT,
    RF_PREVIOUS,
    RF_ROW,
    S_NEWER,
    S_OLDER,
    S_REQUEST,
    S_ROW,
    S_SHARED,
    T_ARRIVAL,
    T_ROW,
    TOO_LONG,
)
from stoker.twin.engine.lists import wait_take
from stoker.twin.engine.lora import place_of_adapter, take_adapter
from stoker.twin.engine.prefix import evict_to_fit, hit_entries, hold_known, hold_new, newly_held

__all__ = ["admit_waiting", "blocks_of", "mark_fresh", "slot_row"]


@compiled
def slot_row(s: Column, replica: int, slot: int) -> int:
    """Where the row of a slot begins in ``s``."""
    return int(s[AT_SLOTS] + S_ROW * (replica * s[MAX_NUM_SEQS] + slot))


@compiled
def blocks_of(tokens: int, block_tokens: int) -> int:
    """KV blocks that hold ``tokens``."""
    return (tokens + block_tokens - 1) // block_tokens


@compiled
def _admit_slot(s: Column, replica: int, request: int) -> int:
    """A free slot for ``request``, linked as the one admitted last."""
    row = s[AT_REPLICAS] + replica * R_ROW
    base = replica * s[MAX_NUM_SEQS]
    running = s[row + R_RUNNING]
    slot = s[s[AT_SLOT_FREE] + base + s[MAX_NUM_SEQS] - 1 - running]
    tail = s[row + R_LAST]
    place = slot_row(s, replica, slot)
    s[place + S_REQUEST] = request
    s[place + S_OLDER] = tail
    s[place + S_NEWER] = -1
    s[place + S_SHARED] = 0
    if tail >= 0:
        s[slot_row(s, replica, tail) + S_NEWER] = slot
    s[row + R_LAST] = slot
    s[row + R_RUNNING] = running + 1
    return int(slot)


@compiled
def mark_fresh(s: Column, replica: int, slot: int) -> None:
    """The slot's prompt is complete with this step: its first token comes at the end of it."""
    row = s[AT_REPLICAS] + replica * R_ROW
    fresh = s[row + R_FRESH]
    s[s[AT_FRESH] + replica * s[MAX_NUM_SEQS] + fresh] = slot
    s[row + R_FRESH] = fresh + 1


@compiled
def _admit(
    s: Column,
    q: Column,
    p: Column,
    replica: int,
    request: int,
    previous: int,
    budget: int,
    reserved: int,
) -> int:
    """Try to admit a waiting request with at most ``budget`` tokens: the tokens it gets, 0 if it must wait.

    ``previous`` waits before it, -1 for none; ``reserved`` blocks are spoken for by this step's decodes.
    """
    row = s[AT_REPLICAS] + replica * R_ROW
    target = q[Q_ROW * request + Q_INPUT] + q[Q_ROW * request + Q_MADE]
    size = s[BLOCK_TOKENS]
    hits = 0
    whole = 0
    hit_tokens = 0
    room_of_hits = 0
    hashed = s[PREFIX_BLOCK_TOKENS] > 0
    if hashed:
        known = p[request + 1] - p[request]
        whole = min(known, q[Q_ROW * request + Q_INPUT] // s[PREFIX_BLOCK_TOKENS])
        hits = hit_entries(s, p, replica, request, whole)
        # The last token is always computed: something must produce the logits (kv_cache_manager.py).
        if hits * s[PREFIX_BLOCK_TOKENS] >= target:
            hits -= 1
        hit_tokens = hits * s[PREFIX_BLOCK_TOKENS]
        room_of_hits = newly_held(s, p, replica, request, hits) * (s[PREFIX_BLOCK_TOKENS] // size)
    rest = target - hit_tokens
    if rest > budget and not s[CHUNKED_PREFILL]:
        return 0
    chunk = min(rest, budget)
    # Prompts with shared blocks are given all their blocks at once, so that each block has one owner from the start.
    if s[RESERVE_FULL_PROMPT] or hashed:
        blocks = blocks_of(target, size)
    else:
        blocks = blocks_of(hit_tokens + chunk, size)
    more = blocks - hit_tokens // size
    if s[row + R_USED] + reserved + room_of_hits + more > s[BLOCKS]:
        return 0
    wait_take(s, q, replica, previous)
    slot = _admit_slot(s, replica, request)
    if hashed:
        each = s[PREFIX_BLOCK_TOKENS] // size
        hold_known(s, p, replica, request, hits)
        s[row + R_USED] += room_of_hits + more
        s[row + R_HELD] += room_of_hits // each
        evict_to_fit(s, replica)
        shared = hold_new(s, p, replica, request, hits, whole)
        s[row + R_HELD] += shared - hits
        s[slot_row(s, replica, slot) + S_SHARED] = shared
        s[row + R_QUERIED_TOKENS] += target
        s[row + R_HIT_TOKENS] += hit_tokens
    else:
        s[row + R_USED] += more
    s[row + R_CACHED] = hit_tokens
    if chunk == rest:
        mark_fresh(s, replica, slot)
    else:
        s[row + R_PARTIAL] = slot
        s[row + R_PARTIAL_DONE] = hit_tokens + chunk
        s[row + R_PARTIAL_BLOCKS] = blocks
    return int(chunk)


@compiled
def admit_waiting(
    s: Column, f: Column, q: Column, t: Column, p: Column, replica: int, budget: int, reserved: int
) -> tuple[int, float, int, int, bool]:
    """Admit waiting requests, first come first served, while budget, batch bound and blocks last.

    Returns prompt tokens, (query, key) pairs and prompt chunks of the step, adapters that it must load, and whether
    something waits that was not looked at because it came after the step was scheduled.
    """
    row = s[AT_REPLICAS] + replica * R_ROW
    clock = s[AT_REPLICA_SECONDS] + replica * RF_ROW
    tokens = 0
    pairs = 0.0
    chunks = 0
    loads = 0
    unseen = False
    previous = -1
    request = s[row + R_HEAD]
    while request >= 0 and s[row + R_RUNNING] < s[MAX_NUM_SEQS] and tokens < budget:
        if s[LOOKAHEAD] > 0 and t[T_ROW * request + T_ARRIVAL] > f[clock + RF_PREVIOUS]:
            unseen = True
            break
        following = q[Q_ROW * request + Q_FOLLOWING]
        adapter = q[Q_ROW * request + Q_ADAPTER] if s[MAX_LORAS] > 0 else -1
        place = place_of_adapter(s, replica, adapter) if adapter >= 0 else -1
        if adapter >= 0 and place < 0:
            previous = request
            request = following
            continue
        chunk = _admit(s, q, p, replica, request, previous, budget - tokens, reserved)
        if chunk > 0:
            if adapter >= 0:
                loads += take_adapter(s, replica, adapter, place)
            tokens += chunk
            pairs += chunk * (s[row + R_CACHED] + 0.5 * chunk)
            chunks += 1
        elif s[row + R_RUNNING] == 0:
            # An empty replica cannot hold it: the engine would have refused a context this long at start.
            wait_take(s, q, replica, previous)
            q[Q_ROW * request + Q_STATUS] = TOO_LONG
        else:
            break
        if s[row + R_PARTIAL] >= 0:
            break
        request = following
    return tokens, pairs, chunks, loads, unseen
