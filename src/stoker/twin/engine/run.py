"""The event loop of a service: requests arrive, replicas finish steps, replicas come and go."""

from stoker.twin.engine.admit import slot_row
from stoker.twin.engine.compiled import Column, compiled
from stoker.twin.engine.layout import (
    ABORTED,
    AT_LIVE,
    AT_PHASES,
    AT_REPLICA_SECONDS,
    AT_REPLICAS,
    AT_SLOT_FREE,
    AT_TREE,
    BLOCK_TOKENS,
    CANDIDATES,
    CLIENT_DELAY_S,
    CLOSED,
    DRAINING,
    EMPTY,
    FILLED,
    FOREVER,
    HELD,
    HELD_HEAD,
    HELD_TAIL,
    HOLD,
    HOLD_TIMEOUT_S,
    IN_FLIGHT_LIMIT,
    LIVE,
    MAX_LORAS,
    MAX_MODEL_LEN,
    MAX_NUM_SEQS,
    NEXT,
    NO_REPLICA,
    PREFIX_BLOCK_TOKENS,
    Q_FOLLOWING,
    Q_INPUT,
    Q_OUTPUT,
    Q_ROW,
    Q_STATUS,
    R_CONTEXT,
    R_DECODING,
    R_FRESH,
    R_HEAD,
    R_LAST,
    R_MIXED,
    R_PARTIAL,
    R_READY,
    R_ROW,
    R_RUNNING,
    R_STEPS,
    R_TAIL,
    R_USED,
    R_WAITING,
    READY,
    REQUESTS,
    RF_BEGUN,
    RF_BUSY,
    RF_PACE,
    RF_PREVIOUS,
    RF_ROW,
    S_REQUEST,
    T_ARRIVAL,
    T_ROW,
    TIMED_OUT,
    TOO_LONG,
)
from stoker.twin.engine.lists import earliest, set_end, wait_last
from stoker.twin.engine.lora import forget_adapters
from stoker.twin.engine.prefix import forget_all
from stoker.twin.engine.route import choose
from stoker.twin.engine.step import cut, finish_steps, plan

__all__ = ["DRAINING", "EMPTY", "READY", "add_replica", "advance", "drain_replica", "stop_replica"]


@compiled
def _list_live(s: Column) -> None:
    live = 0
    for replica in range(s[CANDIDATES]):
        if s[s[AT_REPLICAS] + replica * R_ROW + R_READY] == READY:
            s[s[AT_LIVE] + live] = replica
            live += 1
    s[LIVE] = live


@compiled
def _give(
    s: Column, f: Column, q: Column, t: Column, p: Column, replica: int, request: int, now: float
) -> None:
    """Hand ``request`` to a replica."""
    row = s[AT_REPLICAS] + replica * R_ROW
    # Behind requests that wait for their adapter, a newcomer may be the one that can join.
    joins_queue = s[row + R_WAITING] > 0 and s[MAX_LORAS] == 0
    wait_last(s, q, replica, request)
    if s[row + R_STEPS] == 0:
        plan(s, f, q, t, p, replica, now)
    elif not joins_queue and s[row + R_MIXED] == 0 and s[row + R_RUNNING] < s[MAX_NUM_SEQS]:
        cut(s, f, replica, now)


@compiled
def _hold(s: Column, q: Column, request: int) -> None:
    q[Q_ROW * request + Q_FOLLOWING] = -1
    if s[HELD] == 0:
        s[HELD_HEAD] = request
    else:
        q[Q_ROW * s[HELD_TAIL] + Q_FOLLOWING] = request
    s[HELD_TAIL] = request
    s[HELD] += 1


@compiled
def _sent_again(s: Column, f: Column, t: Column, now: float, ended: int) -> None:
    """In a closed loop each ended request makes its client send the next one."""
    for _ in range(ended):
        if s[FILLED] < s[REQUESTS]:
            t[T_ROW * s[FILLED] + T_ARRIVAL] = now + f[CLIENT_DELAY_S]
            s[FILLED] += 1


@compiled
def _next_held(s: Column, f: Column, q: Column, t: Column, now: float) -> int:
    """Take the first held request whose client still waits; -1 for none. Those who gave up are noted."""
    while s[HELD] > 0:
        request = s[HELD_HEAD]
        s[HELD_HEAD] = q[Q_ROW * request + Q_FOLLOWING]
        s[HELD] -= 1
        if t[T_ROW * request + T_ARRIVAL] + f[HOLD_TIMEOUT_S] >= now:
            return int(request)
        q[Q_ROW * request + Q_STATUS] = TIMED_OUT
    return -1


@compiled
def _fill(s: Column, f: Column, q: Column, t: Column, p: Column, replica: int, now: float) -> None:
    """Give held requests to a replica up to its limit of requests in flight."""
    row = s[AT_REPLICAS] + replica * R_ROW
    while s[HELD] > 0 and s[row + R_WAITING] + s[row + R_RUNNING] < s[IN_FLIGHT_LIMIT]:
        request = _next_held(s, f, q, t, now)
        if request >= 0:
            _give(s, f, q, t, p, replica, request, now)


@compiled
def _arrive(s: Column, f: Column, q: Column, t: Column, p: Column, request: int, now: float) -> None:
    room = s[MAX_MODEL_LEN] - q[Q_ROW * request + Q_INPUT]
    if room <= 0:
        q[Q_ROW * request + Q_STATUS] = TOO_LONG
        if s[CLOSED] == 1:
            _sent_again(s, f, t, now, 1)
        return
    # vLLM ends an answer where the context is full (finish reason "length").
    q[Q_ROW * request + Q_OUTPUT] = min(q[Q_ROW * request + Q_OUTPUT], room)
    if s[LIVE] == 0:
        if s[HOLD] == 1:
            _hold(s, q, request)
        else:
            q[Q_ROW * request + Q_STATUS] = NO_REPLICA
        return
    if s[HELD] > 0:
        _hold(s, q, request)
        return
    replica = choose(s, q, p, request)
    row = s[AT_REPLICAS] + replica * R_ROW
    in_flight = s[row + R_WAITING] + s[row + R_RUNNING]
    if s[HOLD] == 1 and in_flight >= s[IN_FLIGHT_LIMIT]:
        _hold(s, q, request)
    else:
        _give(s, f, q, t, p, replica, request, now)


@compiled
def advance(s: Column, f: Column, q: Column, t: Column, p: Column, until: float) -> None:
    """Run the service up to and including ``until``."""
    while True:
        following = s[NEXT]
        arrival = t[T_ROW * following + T_ARRIVAL] if following < s[FILLED] else FOREVER
        end = f[s[AT_TREE] + 1]
        if end <= arrival:
            if end > until or end == FOREVER:
                break
            replica = earliest(s, f)
            row = s[AT_REPLICAS] + replica * R_ROW
            ended = finish_steps(s, f, q, t, p, replica, end)
            if s[CLOSED] == 1:
                _sent_again(s, f, t, end, ended)
            if s[HELD] > 0 and s[row + R_READY] == READY:
                # At a boundary there is no run of steps to cut: what comes joins the step that is planned below.
                s[row + R_MIXED] = 1
                _fill(s, f, q, t, p, replica, end)
            plan(s, f, q, t, p, replica, end)
        else:
            if arrival > until:
                break
            s[NEXT] = following + 1
            _arrive(s, f, q, t, p, following, arrival)


@compiled
def add_replica(s: Column, f: Column, q: Column, t: Column, p: Column, replica: int, now: float) -> None:
    """The replica in slot ``replica`` is ready; held requests go to it. Advance the service to ``now`` first."""
    row = s[AT_REPLICAS] + replica * R_ROW
    s[row + R_READY] = READY
    _list_live(s)
    if s[HELD] > 0:
        _fill(s, f, q, t, p, replica, now)


@compiled
def drain_replica(s: Column, replica: int) -> None:
    """The replica takes no more requests and finishes those it has."""
    row = s[AT_REPLICAS] + replica * R_ROW
    s[row + R_READY] = DRAINING
    _list_live(s)


@compiled
def stop_replica(s: Column, f: Column, q: Column, t: Column, replica: int, now: float) -> int:
    """The replica dies: its requests are aborted, its slot is empty. Returns how many were lost."""
    row = s[AT_REPLICAS] + replica * R_ROW
    clock = s[AT_REPLICA_SECONDS] + replica * RF_ROW
    base = replica * s[MAX_NUM_SEQS]
    if s[row + R_STEPS] > 0:
        f[clock + RF_BUSY] += now - f[clock + RF_BEGUN]
    lost = 0
    for slot in range(s[MAX_NUM_SEQS]):
        request = s[slot_row(s, replica, slot) + S_REQUEST]
        if request >= 0:
            q[Q_ROW * request + Q_STATUS] = ABORTED
            s[slot_row(s, replica, slot) + S_REQUEST] = -1
            lost += 1
        s[s[AT_SLOT_FREE] + base + slot] = s[MAX_NUM_SEQS] - 1 - slot
    request = s[row + R_HEAD]
    while request >= 0:
        q[Q_ROW * request + Q_STATUS] = ABORTED
        lost += 1
        request = q[Q_ROW * request + Q_FOLLOWING]
    for phase in range(s[BLOCK_TOKENS]):
        s[s[AT_PHASES] + replica * s[BLOCK_TOKENS] + phase] = 0
    _reset(s, f, replica)
    if s[CLOSED] == 1:
        _sent_again(s, f, t, now, lost)
    return lost


@compiled
def _reset(s: Column, f: Column, replica: int) -> None:
    row = s[AT_REPLICAS] + replica * R_ROW
    clock = s[AT_REPLICA_SECONDS] + replica * RF_ROW
    s[row + R_READY] = EMPTY
    s[row + R_STEPS] = 0
    s[row + R_MIXED] = 0
    f[clock + RF_PREVIOUS] = FOREVER
    s[row + R_DECODING] = 0
    s[row + R_CONTEXT] = 0
    s[row + R_USED] = 0
    s[row + R_HEAD] = -1
    s[row + R_TAIL] = -1
    s[row + R_WAITING] = 0
    s[row + R_PARTIAL] = -1
    s[row + R_FRESH] = 0
    s[row + R_RUNNING] = 0
    s[row + R_LAST] = -1
    f[clock + RF_PACE] = 1.0
    if s[PREFIX_BLOCK_TOKENS] > 0:
        forget_all(s, replica)
    forget_adapters(s, replica)
    set_end(s, f, replica, FOREVER)
    _list_live(s)
