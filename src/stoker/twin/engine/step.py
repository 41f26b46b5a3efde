"""One replica: what vLLM's V1 scheduler puts into the next step, how long it takes, and what it brings.

The order of vllm/v1/core/sched/scheduler.py (`Scheduler.schedule`): first the running requests, one token each, then the
rest of a prompt under way, then waiting requests first come first served, while token budget, batch bound and KV blocks
last. A running request that finds no block makes the one admitted last give up its blocks: it goes back to the front of
the queue and is computed again, and nobody is admitted in that step.

Steps that only decode are alike but for the growing context, so a run of them is one event: it lasts until a sequence
ends, a block is missing, or a request arrives that could join.
"""

from stoker.twin.engine.admit import admit_waiting, blocks_of, mark_fresh, slot_row
from stoker.twin.engine.compiled import Column, compiled
from stoker.twin.engine.layout import (
    AT_DECODE,
    AT_FINISH,
    AT_FRESH,
    AT_MIXED,
    AT_PHASES,
    AT_REPLICA_SECONDS,
    AT_REPLICAS,
    AT_SLOT_FREE,
    BLOCK_TOKENS,
    BLOCKS,
    COMPLETED,
    DECODE_SEQ_S,
    FOREVER,
    KV_READ_S,
    LOOKAHEAD,
    LORA_LOAD_S,
    MAX_LORAS,
    MAX_NUM_BATCHED_TOKENS,
    MAX_NUM_SEQS,
    PREFILL_CHUNK_S,
    PREFILL_PAIR_S,
    PREFIX_BLOCK_TOKENS,
    Q_ADAPTER,
    Q_INPUT,
    Q_MADE,
    Q_OUTPUT,
    Q_PREEMPTED,
    Q_ROW,
    Q_STATUS,
    R_CONTEXT,
    R_DECODED,
    R_DECODING,
    R_FRESH,
    R_HELD,
    R_ITERATION,
    R_LAST,
    R_MIXED,
    R_MOVES,
    R_PARTIAL,
    R_PARTIAL_BLOCKS,
    R_PARTIAL_DONE,
    R_PEAK,
    R_PREEMPTIONS,
    R_PREFILLED,
    R_ROW,
    R_RUNNING,
    R_STEPS,
    R_USED,
    RF_BEGUN,
    RF_BUSY,
    RF_FIRST,
    RF_GROWTH,
    RF_PACE,
    RF_PREVIOUS,
    RF_ROW,
    S_NEWER,
    S_OLDER,
    S_ORIGIN,
    S_PHASE,
    S_REQUEST,
    S_SHARED,
    SLOT_SPAN,
    T_ARRIVAL,
    T_E2E,
    T_ROW,
    T_TTFT,
)
from stoker.twin.engine.lists import heap_pop, heap_push, heap_remove_slot, set_end, wait_first
from stoker.twin.engine.lora import give_back_adapter
from stoker.twin.engine.prefix import evict_to_fit, release_entries

__all__ = ["cut", "finish_steps", "plan"]


@compiled
def _crossings(s: Column, replica: int, steps: int) -> int:
    """Blocks that the decoding sequences need in the next ``steps`` steps."""
    row = s[AT_REPLICAS] + replica * R_ROW
    size = s[BLOCK_TOKENS]
    base = replica * size
    iteration = s[row + R_ITERATION]
    total = (steps // size) * s[row + R_DECODING]
    for step in range(steps % size):
        total += s[s[AT_PHASES] + base + (iteration + step) % size]
    return int(total)


@compiled
def _steps_that_fit(s: Column, replica: int, free: int, most: int) -> int:
    """How many of the next ``most`` decode steps find their blocks among ``free``."""
    row = s[AT_REPLICAS] + replica * R_ROW
    size = s[BLOCK_TOKENS]
    base = replica * size
    decoding = s[row + R_DECODING]
    iteration = s[row + R_ITERATION]
    steps = (free // decoding) * size
    left = free - (free // decoding) * decoding
    while steps < most:
        need = s[s[AT_PHASES] + base + (iteration + steps) % size]
        if need > left:
            break
        left -= need
        steps += 1
    return int(min(steps, most))


@compiled
def _free_slot(s: Column, replica: int, slot: int) -> None:
    row = s[AT_REPLICAS] + replica * R_ROW
    base = replica * s[MAX_NUM_SEQS]
    place = slot_row(s, replica, slot)
    older = s[place + S_OLDER]
    newer = s[place + S_NEWER]
    if older >= 0:
        s[slot_row(s, replica, older) + S_NEWER] = newer
    if newer >= 0:
        s[slot_row(s, replica, newer) + S_OLDER] = older
    else:
        s[row + R_LAST] = older
    running = s[row + R_RUNNING] - 1
    s[row + R_RUNNING] = running
    s[s[AT_SLOT_FREE] + base + s[MAX_NUM_SEQS] - 1 - running] = slot
    s[place + S_REQUEST] = -1


@compiled
def _drop_adapter(s: Column, q: Column, replica: int, request: int) -> None:
    if s[MAX_LORAS] > 0 and q[Q_ROW * request + Q_ADAPTER] >= 0:
        give_back_adapter(s, replica, q[Q_ROW * request + Q_ADAPTER])


@compiled
def _free_blocks(s: Column, p: Column, replica: int, slot: int, blocks: int) -> None:
    """Give back the ``blocks`` of a slot; those it shares stay held by others, or findable until evicted."""
    row = s[AT_REPLICAS] + replica * R_ROW
    shared = s[slot_row(s, replica, slot) + S_SHARED]
    if shared > 0:
        each = s[PREFIX_BLOCK_TOKENS] // s[BLOCK_TOKENS]
        request = s[slot_row(s, replica, slot) + S_REQUEST]
        freed = release_entries(s, p, replica, request, shared)
        s[row + R_HELD] -= freed
        s[row + R_USED] -= blocks - (shared - freed) * each
    else:
        s[row + R_USED] -= blocks


@compiled
def _leave_batch(s: Column, p: Column, replica: int, slot: int) -> None:
    """Take a decoding sequence out of the batch and give back its blocks."""
    row = s[AT_REPLICAS] + replica * R_ROW
    place = slot_row(s, replica, slot)
    tokens = s[place + S_ORIGIN] + s[row + R_ITERATION]
    s[s[AT_PHASES] + replica * s[BLOCK_TOKENS] + s[place + S_PHASE]] -= 1
    s[row + R_DECODING] -= 1
    s[row + R_CONTEXT] -= tokens + 1
    _free_blocks(s, p, replica, slot, blocks_of(tokens, s[BLOCK_TOKENS]))


@compiled
def _preempt_last(s: Column, q: Column, p: Column, replica: int) -> None:
    """VLLM's preemption: the request admitted last loses its blocks and waits in front, to be computed again."""
    row = s[AT_REPLICAS] + replica * R_ROW
    base = replica * s[MAX_NUM_SEQS]
    slot = s[row + R_LAST]
    request = s[slot_row(s, replica, slot) + S_REQUEST]
    if slot == s[row + R_PARTIAL]:
        _free_blocks(s, p, replica, slot, s[row + R_PARTIAL_BLOCKS])
        s[row + R_PARTIAL] = -1
    else:
        key = heap_remove_slot(s, s[AT_FINISH] + base, s[row + R_DECODING], slot)
        left = key // SLOT_SPAN - s[row + R_ITERATION]
        q[Q_ROW * request + Q_MADE] = q[Q_ROW * request + Q_OUTPUT] - left
        _leave_batch(s, p, replica, slot)
    _drop_adapter(s, q, replica, request)
    _free_slot(s, replica, slot)
    q[Q_ROW * request + Q_PREEMPTED] += 1
    s[row + R_PREEMPTIONS] += 1
    wait_first(s, q, replica, request)


@compiled
def _continue_prompt(s: Column, q: Column, p: Column, replica: int, budget: int, reserved: int) -> int:
    """Give the prompt under way its next chunk: the tokens it gets, 0 if it had to be preempted for want of blocks."""
    row = s[AT_REPLICAS] + replica * R_ROW
    slot = s[row + R_PARTIAL]
    request = s[slot_row(s, replica, slot) + S_REQUEST]
    done = s[row + R_PARTIAL_DONE]
    target = q[Q_ROW * request + Q_INPUT] + q[Q_ROW * request + Q_MADE]
    chunk = min(target - done, budget)
    blocks = max(s[row + R_PARTIAL_BLOCKS], blocks_of(done + chunk, s[BLOCK_TOKENS]))
    more = blocks - s[row + R_PARTIAL_BLOCKS]
    if s[row + R_USED] + reserved + more > s[BLOCKS]:
        _preempt_last(s, q, p, replica)
        return 0
    s[row + R_USED] += more
    if done + chunk == target:
        s[row + R_PARTIAL] = -1
        mark_fresh(s, replica, slot)
    else:
        s[row + R_PARTIAL_DONE] = done + chunk
        s[row + R_PARTIAL_BLOCKS] = blocks
    return int(chunk)


@compiled
def plan(s: Column, f: Column, q: Column, t: Column, p: Column, replica: int, now: float) -> None:
    """At a step boundary: schedule the next step, or a run of alike steps, and start it. Idle where there is nothing."""
    row = s[AT_REPLICAS] + replica * R_ROW
    free = s[BLOCKS] - s[row + R_USED]
    base = replica * s[BLOCK_TOKENS]
    reserved = s[s[AT_PHASES] + base + s[row + R_ITERATION] % s[BLOCK_TOKENS]]
    preempted = False
    while reserved > free:
        _preempt_last(s, q, p, replica)
        preempted = True
        free = s[BLOCKS] - s[row + R_USED]
        reserved = s[s[AT_PHASES] + base + s[row + R_ITERATION] % s[BLOCK_TOKENS]]

    decoding = s[row + R_DECODING]
    budget = s[MAX_NUM_BATCHED_TOKENS] - decoding
    tokens = 0
    pairs = 0.0
    chunks = 0
    s[row + R_FRESH] = 0
    if s[row + R_PARTIAL] >= 0 and budget > 0:
        before = s[row + R_PARTIAL_DONE]
        chunk = _continue_prompt(s, q, p, replica, budget, reserved)
        if chunk == 0:
            preempted = True
        else:
            tokens += chunk
            budget -= chunk
            pairs += chunk * (before + 0.5 * chunk)
            chunks += 1
    loads = 0
    unseen = False
    if not preempted and s[row + R_PARTIAL] < 0:
        given, seen, joined, loads, unseen = admit_waiting(s, f, q, t, p, replica, budget, reserved)
        if unseen and decoding + tokens + given == 0:
            # The batch is empty: there is no step under way for which the request came too late.
            f[s[AT_REPLICA_SECONDS] + replica * RF_ROW + RF_PREVIOUS] = FOREVER
            given, seen, joined, loads, unseen = admit_waiting(s, f, q, t, p, replica, budget, reserved)
        tokens += given
        pairs += seen
        chunks += joined

    # After a preemption nobody was admitted: the queue is looked at again at the next step.
    _start(s, f, replica, now, tokens, pairs, chunks, loads, reserved, unseen or preempted)


@compiled
def _start(
    s: Column,
    f: Column,
    replica: int,
    now: float,
    tokens: int,
    pairs: float,
    chunks: int,
    loads: int,
    reserved: int,
    look_again: bool,  # noqa: FBT001 - keyword arguments cost time in compiled code
) -> None:
    """Start the step of ``tokens`` prompt tokens and all decodes, or a run of decode steps, or nothing.

    ``look_again``: something waits that this step could not consider, so a run of decodes is one step long.
    """
    row = s[AT_REPLICAS] + replica * R_ROW
    clock = s[AT_REPLICA_SECONDS] + replica * RF_ROW
    decoding = s[row + R_DECODING]
    pace = f[clock + RF_PACE]
    f[clock + RF_BEGUN] = now
    read = f[KV_READ_S] * s[row + R_CONTEXT] + f[DECODE_SEQ_S] * decoding
    if tokens > 0:
        seconds = f[s[AT_MIXED] + decoding + tokens] + read
        seconds = (seconds + f[PREFILL_PAIR_S] * pairs + f[PREFILL_CHUNK_S] * chunks) * pace + f[
            LORA_LOAD_S
        ] * loads
        s[row + R_USED] += reserved
        if s[PREFIX_BLOCK_TOKENS] > 0:
            evict_to_fit(s, replica)
        s[row + R_PEAK] = max(s[row + R_PEAK], s[row + R_USED])
        s[row + R_PREFILLED] += tokens
        s[row + R_MIXED] = 1
        s[row + R_STEPS] = 1
        f[clock + RF_FIRST] = seconds
        f[clock + RF_GROWTH] = 0.0
        set_end(s, f, replica, now + seconds)
    elif decoding > 0:
        most = s[s[AT_FINISH] + replica * s[MAX_NUM_SEQS]] // SLOT_SPAN - s[row + R_ITERATION]
        steps = _steps_that_fit(s, replica, s[BLOCKS] - s[row + R_USED], most)
        if look_again or s[row + R_PARTIAL] >= 0:
            steps = 1
        first = (f[s[AT_DECODE] + decoding] + read) * pace
        growth = f[KV_READ_S] * decoding * pace
        s[row + R_MIXED] = 0
        s[row + R_STEPS] = steps
        f[clock + RF_FIRST] = first
        f[clock + RF_GROWTH] = growth
        set_end(s, f, replica, now + _seconds_of(first, growth, steps))
    else:
        s[row + R_MIXED] = 0
        s[row + R_STEPS] = 0
        f[clock + RF_PREVIOUS] = FOREVER
        set_end(s, f, replica, FOREVER)


@compiled
def _seconds_of(first: float, growth: float, steps: int) -> float:
    """Seconds of ``steps`` steps, each ``growth`` longer than the one before."""
    return steps * first + growth * (0.5 * steps * (steps - 1))


@compiled
def cut(s: Column, f: Column, replica: int, now: float) -> None:
    """End a run of decode steps at the first boundary where a request that arrives ``now`` can be scheduled."""
    row = s[AT_REPLICAS] + replica * R_ROW
    clock = s[AT_REPLICA_SECONDS] + replica * RF_ROW
    steps = s[row + R_STEPS]
    first = f[clock + RF_FIRST]
    growth = f[clock + RF_GROWTH]
    elapsed = now - f[clock + RF_BEGUN]
    half = first - 0.5 * growth
    # The number of steps j with j*first + growth*j*(j-1)/2 = elapsed, then put right for rounding.
    guess = (
        elapsed / first if growth <= 0.0 else ((half * half + 2.0 * growth * elapsed) ** 0.5 - half) / growth
    )
    reached = max(1, min(steps, int(guess)))
    while reached < steps and _seconds_of(first, growth, reached) < elapsed:
        reached += 1
    while reached > 1 and _seconds_of(first, growth, reached - 1) >= elapsed:
        reached -= 1
    reached += s[LOOKAHEAD]
    if reached < steps:
        s[row + R_STEPS] = reached
        set_end(s, f, replica, f[clock + RF_BEGUN] + _seconds_of(first, growth, reached))


@compiled
def finish_steps(s: Column, f: Column, q: Column, t: Column, p: Column, replica: int, now: float) -> int:
    """The steps under way end ``now``: tokens, first tokens, ended requests. Returns how many requests ended."""
    row = s[AT_REPLICAS] + replica * R_ROW
    clock = s[AT_REPLICA_SECONDS] + replica * RF_ROW
    base = replica * s[MAX_NUM_SEQS]
    steps = s[row + R_STEPS]
    decoding = s[row + R_DECODING]
    f[clock + RF_BUSY] += now - f[clock + RF_BEGUN]
    if s[row + R_MIXED] == 0:
        s[row + R_USED] += _crossings(s, replica, steps)
        if s[PREFIX_BLOCK_TOKENS] > 0:
            evict_to_fit(s, replica)
        s[row + R_PEAK] = max(s[row + R_PEAK], s[row + R_USED])
        last = f[clock + RF_FIRST] + f[clock + RF_GROWTH] * (steps - 1)
        f[clock + RF_PREVIOUS] = now - last
    else:
        f[clock + RF_PREVIOUS] = f[clock + RF_BEGUN]
    s[row + R_ITERATION] += steps
    s[row + R_CONTEXT] += steps * decoding
    s[row + R_DECODED] += steps * decoding
    iteration = s[row + R_ITERATION]
    ended = 0
    while s[row + R_DECODING] > 0 and s[s[AT_FINISH] + base] // SLOT_SPAN <= iteration:
        slot = heap_pop(s, s[AT_FINISH] + base, s[row + R_DECODING]) % SLOT_SPAN
        request = s[slot_row(s, replica, slot) + S_REQUEST]
        q[Q_ROW * request + Q_MADE] = q[Q_ROW * request + Q_OUTPUT]
        _leave_batch(s, p, replica, slot)
        _drop_adapter(s, q, replica, request)
        _free_slot(s, replica, slot)
        _complete(q, t, request, now)
        ended += 1
    for index in range(s[row + R_FRESH]):
        ended += _first_token(s, q, t, p, replica, s[s[AT_FRESH] + base + index], now)
    s[row + R_FRESH] = 0
    s[row + R_MOVES] += 1
    return ended


@compiled
def _complete(q: Column, t: Column, request: int, now: float) -> None:
    q[Q_ROW * request + Q_STATUS] = COMPLETED
    t[T_ROW * request + T_E2E] = now - t[T_ROW * request + T_ARRIVAL]


@compiled
def _first_token(s: Column, q: Column, t: Column, p: Column, replica: int, slot: int, now: float) -> int:
    """A prompt is computed in full: its first token is there, and it decodes from the next step. 1 if that was all."""
    row = s[AT_REPLICAS] + replica * R_ROW
    place = slot_row(s, replica, slot)
    request = s[place + S_REQUEST]
    tokens = q[Q_ROW * request + Q_INPUT] + q[Q_ROW * request + Q_MADE]
    if q[Q_ROW * request + Q_MADE] == 0:
        t[T_ROW * request + T_TTFT] = now - t[T_ROW * request + T_ARRIVAL]
    q[Q_ROW * request + Q_MADE] += 1
    s[row + R_DECODED] += 1
    left = q[Q_ROW * request + Q_OUTPUT] - q[Q_ROW * request + Q_MADE]
    if left <= 0:
        _free_blocks(s, p, replica, slot, blocks_of(tokens, s[BLOCK_TOKENS]))
        _drop_adapter(s, q, replica, request)
        _free_slot(s, replica, slot)
        _complete(q, t, request, now)
        return 1
    iteration = s[row + R_ITERATION]
    decoding = s[row + R_DECODING]
    phase = (iteration - tokens) % s[BLOCK_TOKENS]
    s[place + S_ORIGIN] = tokens - iteration
    s[place + S_PHASE] = phase
    s[s[AT_PHASES] + replica * s[BLOCK_TOKENS] + phase] += 1
    heap_push(
        s,
        s[AT_FINISH] + replica * s[MAX_NUM_SEQS],
        decoding,
        (iteration + left) * SLOT_SPAN + slot,
    )
    s[row + R_DECODING] = decoding + 1
    s[row + R_CONTEXT] += tokens + 1
    return 0
