"""The prefix cache of a replica: prompt blocks by hash id, held by running requests or kept until their room is needed.

As in vLLM V1 (vllm/v1/core/block_pool.py): a block that no request holds stays findable in a least-recently-used list
and is evicted when a new block needs its room. Blocks here have the size of the trace's hash ids (512 tokens in the
Mooncake traces), not the engine's 16: a hit is counted in whole trace blocks, so the hit ratio is a little below the
engine's own. Answers are not in the cache: traces name the hashes of prompts only.
"""

from stoker.twin.engine.compiled import Column, compiled
from stoker.twin.engine.layout import (
    AT_ENTRIES,
    AT_ENTRY_FREE,
    AT_REPLICAS,
    AT_TABLE,
    BLOCK_TOKENS,
    BLOCKS,
    E_HOLDERS,
    E_KEY,
    E_NEWER,
    E_OLDER,
    E_ROW,
    ENTRIES,
    PREFIX_BLOCK_TOKENS,
    R_HELD,
    R_NEWEST,
    R_OLDEST,
    R_RESIDENT,
    R_ROW,
    R_USED,
    REQUESTS,
    TABLE,
)

__all__ = [
    "evict_to_fit",
    "forget_all",
    "hit_entries",
    "hold_known",
    "hold_new",
    "newly_held",
    "release_entries",
]


@compiled
def _place(s: Column, replica: int, key: int) -> int:
    """Index in the table of ``key``, or of the free place where it would go."""
    size = s[TABLE]
    base = replica * size
    # Fibonacci hashing in 31 bits, so that products stay within 64 (Knuth, volume 3, 6.4).
    place = ((key & 0x7FFFFFFF) * 1640531527 >> 7) & (size - 1)
    while s[s[AT_TABLE] + 2 * (base + place)] != key and s[s[AT_TABLE] + 2 * (base + place)] != -1:
        place = (place + 1) & (size - 1)
    return int(base + place)


@compiled
def _forget(s: Column, replica: int, key: int) -> None:
    """Take ``key`` out of the table, moving up what was pushed past it."""
    size = s[TABLE]
    base = replica * size
    hole = _place(s, replica, key) - base
    s[s[AT_TABLE] + 2 * (base + hole)] = -1
    place = (hole + 1) & (size - 1)
    while s[s[AT_TABLE] + 2 * (base + place)] != -1:
        moved = s[s[AT_TABLE] + 2 * (base + place)]
        entry = s[s[AT_TABLE] + 2 * (base + place) + 1]
        s[s[AT_TABLE] + 2 * (base + place)] = -1
        target = _place(s, replica, moved)
        s[s[AT_TABLE] + 2 * (target)] = moved
        s[s[AT_TABLE] + 2 * (target) + 1] = entry
        place = (place + 1) & (size - 1)


@compiled
def _unlink(s: Column, replica: int, entry: int) -> None:
    row = s[AT_REPLICAS] + replica * R_ROW
    base = replica * s[ENTRIES]
    older = s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_OLDER]
    newer = s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_NEWER]
    if older < 0:
        s[row + R_OLDEST] = newer
    else:
        s[s[AT_ENTRIES] + E_ROW * (base + older) + E_NEWER] = newer
    if newer < 0:
        s[row + R_NEWEST] = older
    else:
        s[s[AT_ENTRIES] + E_ROW * (base + newer) + E_OLDER] = older


@compiled
def _link_newest(s: Column, replica: int, entry: int) -> None:
    row = s[AT_REPLICAS] + replica * R_ROW
    base = replica * s[ENTRIES]
    newest = s[row + R_NEWEST]
    s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_OLDER] = newest
    s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_NEWER] = -1
    if newest < 0:
        s[row + R_OLDEST] = entry
    else:
        s[s[AT_ENTRIES] + E_ROW * (base + newest) + E_NEWER] = entry
    s[row + R_NEWEST] = entry


@compiled
def hit_entries(s: Column, p: Column, replica: int, request: int, limit: int) -> int:
    """How many leading blocks of the prompt, at most ``limit``, are cached."""
    start = p[request]
    hits = 0
    while hits < limit:
        if s[s[AT_TABLE] + 2 * _place(s, replica, p[s[REQUESTS] + 1 + start + hits])] == -1:
            break
        hits += 1
    return hits


@compiled
def newly_held(s: Column, p: Column, replica: int, request: int, hits: int) -> int:
    """How many of the first ``hits`` blocks nobody holds: holding them takes their room from what can be evicted."""
    base = replica * s[ENTRIES]
    start = p[request]
    count = 0
    for index in range(hits):
        entry = s[s[AT_TABLE] + 2 * _place(s, replica, p[s[REQUESTS] + 1 + start + index]) + 1]
        if s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_HOLDERS] == 0:
            count += 1
    return count


@compiled
def hold_known(s: Column, p: Column, replica: int, request: int, hits: int) -> None:
    """Hold the first ``hits`` blocks of the prompt, all cached."""
    base = replica * s[ENTRIES]
    start = p[request]
    for index in range(hits):
        entry = s[s[AT_TABLE] + 2 * _place(s, replica, p[s[REQUESTS] + 1 + start + index]) + 1]
        if s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_HOLDERS] == 0:
            _unlink(s, replica, entry)
        s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_HOLDERS] += 1


@compiled
def hold_new(s: Column, p: Column, replica: int, request: int, hits: int, count: int) -> int:
    """Put blocks ``hits`` to ``count`` of the prompt into the cache, held; returns how many the request now shares.

    A block that is cached though one before it is not (its chain was evicted from the front) ends the sharing: what
    follows stays the request's own.
    """
    row = s[AT_REPLICAS] + replica * R_ROW
    base = replica * s[ENTRIES]
    start = p[request]
    shared = hits
    while shared < count:
        key = p[s[REQUESTS] + 1 + start + shared]
        place = _place(s, replica, key)
        if s[s[AT_TABLE] + 2 * (place)] != -1:
            break
        resident = s[row + R_RESIDENT]
        if resident == s[ENTRIES]:
            oldest = s[row + R_OLDEST]
            if oldest < 0:
                break
            _evict(s, replica, oldest)
            place = _place(s, replica, key)
            resident -= 1
        entry = s[s[AT_ENTRY_FREE] + base + resident]
        s[row + R_RESIDENT] = resident + 1
        s[s[AT_TABLE] + 2 * (place)] = key
        s[s[AT_TABLE] + 2 * (place) + 1] = entry
        s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_KEY] = key
        s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_HOLDERS] = 1
        shared += 1
    return int(shared)


@compiled
def _evict(s: Column, replica: int, entry: int) -> None:
    row = s[AT_REPLICAS] + replica * R_ROW
    base = replica * s[ENTRIES]
    _unlink(s, replica, entry)
    _forget(s, replica, s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_KEY])
    resident = s[row + R_RESIDENT] - 1
    s[row + R_RESIDENT] = resident
    s[s[AT_ENTRY_FREE] + base + resident] = entry
    s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_KEY] = -1


@compiled
def release_entries(s: Column, p: Column, replica: int, request: int, shared: int) -> int:
    """Let go of the first ``shared`` blocks; returns how many nobody holds any more.

    The last block is let go first, as vLLM frees a request's blocks in reverse: the tail of a prompt is evicted before
    its beginning.
    """
    base = replica * s[ENTRIES]
    start = p[request]
    freed = 0
    for index in range(shared - 1, -1, -1):
        entry = s[s[AT_TABLE] + 2 * _place(s, replica, p[s[REQUESTS] + 1 + start + index]) + 1]
        s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_HOLDERS] -= 1
        if s[s[AT_ENTRIES] + E_ROW * (base + entry) + E_HOLDERS] == 0:
            _link_newest(s, replica, entry)
            freed += 1
    return freed


@compiled
def evict_to_fit(s: Column, replica: int) -> None:
    """Evict the least recently used blocks until held blocks and kept ones fit the replica's memory."""
    row = s[AT_REPLICAS] + replica * R_ROW
    each = s[PREFIX_BLOCK_TOKENS] // s[BLOCK_TOKENS]
    room = (s[BLOCKS] - s[row + R_USED]) // each
    while s[row + R_RESIDENT] - s[row + R_HELD] > room:
        _evict(s, replica, s[row + R_OLDEST])


@compiled
def forget_all(s: Column, replica: int) -> None:
    """Empty the cache of a replica that stopped."""
    row = s[AT_REPLICAS] + replica * R_ROW
    size = s[TABLE]
    entries = s[ENTRIES]
    for place in range(replica * size, (replica + 1) * size):
        s[s[AT_TABLE] + 2 * (place)] = -1
    for entry in range(entries):
        s[s[AT_ENTRIES] + E_ROW * (replica * entries + entry) + E_KEY] = -1
        s[s[AT_ENTRIES] + E_ROW * (replica * entries + entry) + E_HOLDERS] = 0
        s[s[AT_ENTRY_FREE] + replica * entries + entry] = entries - 1 - entry
    s[row + R_OLDEST] = -1
    s[row + R_NEWEST] = -1
    s[row + R_RESIDENT] = 0
    s[row + R_HELD] = 0
