"""Queues of requests, the heap of finishing sequences and the tournament of replicas: small structures on columns."""

from stoker.twin.engine.compiled import Column, compiled
from stoker.twin.engine.layout import (
    AT_REPLICAS,
    AT_TREE,
    LEAVES,
    Q_FOLLOWING,
    Q_ROW,
    R_HEAD,
    R_ROW,
    R_TAIL,
    R_WAITING,
    SLOT_SPAN,
)

__all__ = [
    "earliest",
    "heap_pop",
    "heap_push",
    "heap_remove_slot",
    "set_end",
    "wait_first",
    "wait_last",
    "wait_take",
]


@compiled
def wait_last(s: Column, q: Column, replica: int, request: int) -> None:
    """Put ``request`` at the end of the replica's waiting queue."""
    row = s[AT_REPLICAS] + replica * R_ROW
    q[Q_ROW * request + Q_FOLLOWING] = -1
    tail = s[row + R_TAIL]
    if tail < 0:
        s[row + R_HEAD] = request
    else:
        q[Q_ROW * tail + Q_FOLLOWING] = request
    s[row + R_TAIL] = request
    s[row + R_WAITING] += 1


@compiled
def wait_first(s: Column, q: Column, replica: int, request: int) -> None:
    """Put ``request`` in front of the replica's waiting queue, as vLLM does with a preempted one."""
    row = s[AT_REPLICAS] + replica * R_ROW
    head = s[row + R_HEAD]
    q[Q_ROW * request + Q_FOLLOWING] = head
    s[row + R_HEAD] = request
    if head < 0:
        s[row + R_TAIL] = request
    s[row + R_WAITING] += 1


@compiled
def wait_take(s: Column, q: Column, replica: int, previous: int) -> None:
    """Take the waiting request behind ``previous``, the first one where that is -1; there must be one."""
    row = s[AT_REPLICAS] + replica * R_ROW
    request = s[row + R_HEAD] if previous < 0 else q[Q_ROW * previous + Q_FOLLOWING]
    following = q[Q_ROW * request + Q_FOLLOWING]
    if previous < 0:
        s[row + R_HEAD] = following
    else:
        q[Q_ROW * previous + Q_FOLLOWING] = following
    if following < 0:
        s[row + R_TAIL] = previous
    s[row + R_WAITING] -= 1


@compiled
def _sift_down(heap: Column, base: int, place: int, count: int) -> None:
    key = heap[base + place]
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and heap[base + child + 1] < heap[base + child]:
            child += 1
        if heap[base + child] >= key:
            break
        heap[base + place] = heap[base + child]
        place = child
    heap[base + place] = key


@compiled
def _sift_up(heap: Column, base: int, place: int) -> None:
    key = heap[base + place]
    while place > 0:
        parent = (place - 1) // 2
        if heap[base + parent] <= key:
            break
        heap[base + place] = heap[base + parent]
        place = parent
    heap[base + place] = key


@compiled
def heap_push(heap: Column, base: int, count: int, key: int) -> None:
    """Add ``key`` to the heap of ``count`` keys that starts at ``base``."""
    heap[base + count] = key
    _sift_up(heap, base, count)


@compiled
def heap_pop(heap: Column, base: int, count: int) -> int:
    """Take the least of ``count`` keys."""
    key = heap[base]
    heap[base] = heap[base + count - 1]
    _sift_down(heap, base, 0, count - 1)
    return int(key)


@compiled
def heap_remove_slot(heap: Column, base: int, count: int, slot: int) -> int:
    """Take the key of ``slot`` out of the heap, wherever it is: preemption is rare, so a scan will do."""
    place = 0
    while heap[base + place] % SLOT_SPAN != slot:
        place += 1
    key = heap[base + place]
    last = count - 1
    if place < last:
        heap[base + place] = heap[base + last]
        _sift_down(heap, base, place, last)
        _sift_up(heap, base, place)
    return int(key)


@compiled
def set_end(s: Column, f: Column, replica: int, end: float) -> None:
    """Note when the replica's steps end; the tournament above it is played again."""
    tree = s[AT_TREE]
    place = s[LEAVES] + replica
    f[tree + place] = end
    place //= 2
    while place >= 1:
        left = f[tree + 2 * place]
        right = f[tree + 2 * place + 1]
        f[tree + place] = min(left, right)
        place //= 2


@compiled
def earliest(s: Column, f: Column) -> int:
    """The replica whose steps end first; of several, the first."""
    tree = s[AT_TREE]
    leaves = s[LEAVES]
    place = 1
    while place < leaves:
        place *= 2
        if f[tree + place] > f[tree + place + 1]:
            place += 1
    return int(place - leaves)
