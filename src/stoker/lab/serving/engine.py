"""One engine that runs as requests come: what vLLM's V1 scheduler puts into each step, and when its tokens are there.

The same decisions as the twin's event kernel (`stoker.twin.engine.step`, `admit`), with requests that are not known before
they arrive, that can be aborted, and that want every token when it is made. Steps take the seconds of the spec's `StepCost`.
A step begins when the one before it ends, not when this process got round to it, so that a busy machine delays tokens but
never makes the engine slower; steps that are overdue are worked off together, and listeners hear of them once.
"""

import itertools
from collections import deque
from functools import lru_cache

from stoker.lab.serving.clock import Clock, Timer
from stoker.lab.serving.prefix import PrefixCache
from stoker.lab.serving.request import ABORTED, Request
from stoker.lab.serving.stats import EngineStats
from stoker.twin.engine.spec import EngineSpec
from stoker.twin.engine.state import dense_seconds
from stoker.twin.engine.timing import StepCost

__all__ = ["Engine"]

_FOREVER = float("inf")


@lru_cache(maxsize=64)
def _tables(cost: StepCost, longest: int) -> tuple[list[float], list[float]]:
    """Seconds of steps by token count, of decodes and of steps with prompt tokens: alike for every replica of a model."""
    decode = dense_seconds(cost.knot_tokens, cost.knot_seconds, longest).tolist()
    mixed = cost.mixed_seconds
    return decode, dense_seconds(cost.knot_tokens, mixed, longest).tolist() if mixed else decode


class Engine:
    """A replica that is ready, from its first request to its stop."""

    def __init__(self, spec: EngineSpec, clock: Clock, stats: EngineStats) -> None:
        self.spec, self.stats = spec, stats
        self.iteration = 0
        self.used = 0
        self.filled = 0  # blocks that a fault keeps
        self.pace = 1.0
        self.busy = 0.0
        self.waiting: deque[Request] = deque()
        self.running: dict[Request, None] = {}
        self._clock = clock
        self._cost = spec.cost
        self._decode, self._mixed = _tables(spec.cost, spec.max_num_batched_tokens + spec.max_num_seqs)
        self._decoding = 0
        self._context = 0
        self._phases = [0] * spec.block_tokens
        self._finish: dict[int, list[Request]] = {}
        self._fresh: list[Request] = []
        self._partial: Request | None = None
        self._prefix = PrefixCache()
        self._adapters: dict[str, None] = {}
        self._streams: dict[Request, None] = {}
        self._over: list[Request] = []
        self._timer: Timer | None = None
        self._begun = 0.0
        self._end = _FOREVER
        self._previous = _FOREVER
        self._last_tokens = 0.0  # end of the last step that every decoding sequence took part in
        self._is_frozen = False

    # --- from outside ---

    @property
    def usage(self) -> float:
        """Share of the KV blocks in use."""
        return min(1.0, (self.used + self.filled) / self.spec.blocks)

    @property
    def is_idle(self) -> bool:
        return not self.running and not self.waiting

    def busy_seconds(self) -> float:
        """Seconds spent in steps, the one under way included."""
        if self._end == _FOREVER:
            return self.busy
        return self.busy + max(0.0, min(self._clock.now(), self._end) - self._begun)

    def submit(self, request: Request) -> None:
        """A request enters the queue now."""
        now = self._clock.now()
        request.queued = now
        request.state = "waiting"
        self.waiting.append(request)
        if request.listener.streams:
            self._streams[request] = None
        if self._end == _FOREVER and not self._is_frozen:
            self._plan(now)
            self._arm()
            self._tell()

    def abort(self, request: Request) -> None:
        """The client is gone, or the engine is."""
        if request.state in {"over", "new"}:
            request.state = "over"
            request.reason = request.reason or ABORTED
            return
        request.kept = request.made(self.iteration)
        if request.state == "decoding":
            request.last = self._last_tokens
        if request.state == "waiting":
            self.waiting.remove(request)
        else:
            self._remove(request, in_step=True)
        self._close(request, ABORTED, self._clock.now())
        self._over.pop()  # nobody listens any more
        self._refresh()

    def stop(self) -> list[Request]:
        """Everything ends here: the requests that are cut off."""
        if self._timer is not None:
            self._timer.cancel()
        lost = [*self.running, *self.waiting]
        for request in lost:
            self.abort(request)
        self._end = _FOREVER
        return lost

    def freeze(self, is_frozen: bool) -> None:  # noqa: FBT001 - a switch
        """Make no more progress, or go on: the step under way ends later by as long as it was frozen."""
        if is_frozen == self._is_frozen:
            return
        self._is_frozen = is_frozen
        if is_frozen and self._timer is not None:
            self._timer.cancel()
        if not is_frozen:
            now = self._clock.now()
            if self._end != _FOREVER:
                self._end = max(self._end, now)
                self._arm()
            elif self.waiting:
                self._plan(now)
                self._arm()

    # --- steps ---

    def _arm(self) -> None:
        if self._end != _FOREVER:
            self._timer = self._clock.at(self._end, self._wake)

    def _wake(self) -> None:
        now = self._clock.now()
        while self._end <= now:
            end = self._end
            self._finish_step(end)
            self._plan(end)
        self._arm()
        self._tell()

    def _tell(self) -> None:
        """Listeners hear once of all that happened since they last did."""
        over, self._over = self._over, []
        for request in list(self._streams):
            if request.first:
                request.listener.progress(request.made(self.iteration))
        for request in over:
            request.listener.ended(request)
        self._refresh()

    def _refresh(self) -> None:
        self.stats.running, self.stats.waiting = len(self.running), len(self.waiting)

    def _plan(self, now: float) -> None:
        """Schedule the next step and start it; idle where there is nothing to do."""
        free = self.spec.blocks - self.filled - self.used
        size = self.spec.block_tokens
        has_preempted = False
        while self._phases[self.iteration % size] > free and self.running:
            self._preempt_last(now)
            has_preempted = True
            free = self.spec.blocks - self.filled - self.used
        reserved = self._phases[self.iteration % size]
        budget = self.spec.max_num_batched_tokens - self._decoding
        tokens, pairs, chunks, loads = 0, 0.0, 0, 0
        if self._partial is not None and budget > 0:
            before = self._partial.computed
            chunk = self._continue_prompt(budget, reserved, now)
            has_preempted = has_preempted or chunk == 0
            tokens, pairs, chunks = chunk, chunk * (before + 0.5 * chunk), int(chunk > 0)
            budget -= chunk
        if not has_preempted and self._partial is None and self.waiting:
            given, seen, joined, loads = self._admit_waiting(budget, reserved, now)
            tokens, pairs, chunks = tokens + given, pairs + seen, chunks + joined
        self._start(now, (tokens, pairs, chunks, loads), reserved)

    def _start(self, now: float, prompts: tuple[int, float, int, int], reserved: int) -> None:
        """Start a step: its prompt tokens, pairs of query and key among them, chunks, and adapters to load first."""
        tokens, pairs, chunks, loads = prompts
        decoding, cost = self._decoding, self._cost
        if not tokens and not decoding:
            self._rest(now)
            return
        seconds = (self._mixed[decoding + tokens] if tokens else self._decode[decoding]) + (
            cost.kv_read_s * self._context + cost.decode_seq_s * decoding
        )
        if tokens:
            seconds += cost.prefill_pair_s * pairs + cost.prefill_chunk_s * chunks
        self.used += reserved
        self._prefix.evict_to_fit(self.spec.blocks - self.filled - self.used)
        self._begun = now
        self._end = now + seconds * self.pace + self.spec.lora_load_s * loads

    def _rest(self, now: float) -> None:
        """Nothing was scheduled. Who waits nevertheless is looked at again: at once, or when something may have changed."""
        previous, self._previous, self._end = self._previous, _FOREVER, _FOREVER
        if not self.waiting:
            return
        came = self.waiting[0].queued
        if came <= now and previous != _FOREVER:
            self._plan(now)  # it came too late for a step that there was not
            return
        # It comes later than the step that this process is late with; or something else has the cache.
        self._end = came if came > now else now + self._decode[1]
        self._begun = self._end

    def _finish_step(self, now: float) -> None:
        decoding, fresh = self._decoding, self._fresh
        is_step = bool(decoding or fresh or self._partial)
        if is_step:
            self.busy += now - self._begun
        self._previous = self._begun
        self.iteration += 1
        self._context += decoding
        prompt_tokens = 0
        if decoding:
            self.stats.tokens(decoding, now - self._last_tokens, now)
            for request in self._finish.pop(self.iteration, ()):
                # Who was preempted since is computed again, and ends later.
                if request.state == "decoding" and request.made(self.iteration) >= request.answer:
                    request.kept = request.answer
                    self._remove(request, in_step=False)
                    self._close(request, request.ends_as, now)
        self._fresh = []
        for request in fresh:
            prompt_tokens += self._first_token(request, now)
        if decoding or fresh:
            self.stats.iteration(prompt_tokens + decoding + len(fresh))
        self._last_tokens = now

    def _first_token(self, request: Request, now: float) -> int:
        """A prompt is computed in full: its next token is there. Returns prompt tokens that were computed for it."""
        computed = request.prompt + request.kept
        prompt_tokens = 0
        if request.first:
            self.stats.tokens(1, now - request.last, now)
        else:
            request.first = now
            prompt_tokens = request.prompt - request.cached
            self.stats.first_token(request, now)
        request.last = now
        request.kept += 1
        if request.kept >= request.answer:
            self._remove(request, in_step=False)
            self._close(request, request.ends_as, now)
            return prompt_tokens
        request.state = "decoding"
        request.fresh_at = self.iteration
        request.origin = computed - self.iteration
        self._phases[(self.iteration - computed) % self.spec.block_tokens] += 1
        self._decoding += 1
        self._context += computed + 1
        last = self.iteration + request.answer - request.kept
        self._finish.setdefault(last, []).append(request)
        return prompt_tokens

    # --- blocks ---

    def _admit_waiting(self, budget: int, reserved: int, now: float) -> tuple[int, float, int, int]:
        """Admit waiting requests, first come first served, while budget, batch bound and blocks last."""
        tokens, pairs, chunks, loads = 0, 0.0, 0, 0
        skipped: list[Request] = []
        lookahead = self.spec.lookahead > 0
        while self.waiting and len(self.running) < self.spec.max_num_seqs and tokens < budget:
            request = self.waiting[0]
            # What came while the step before was being scheduled already was not seen: it waits for the next one.
            if request.queued > now or (lookahead and request.queued > self._previous):
                break
            if request.adapter and not self._adapter_fits(request.adapter):
                skipped.append(self.waiting.popleft())
                continue
            chunk = self._admit(request, budget - tokens, reserved)
            if not chunk:
                break
            self.waiting.popleft()
            if not request.scheduled:
                request.scheduled = now
            loads += self._take_adapter(request.adapter)
            computed = request.computed - chunk
            tokens, pairs, chunks = tokens + chunk, pairs + chunk * (computed + 0.5 * chunk), chunks + 1
            if self._partial is not None:
                break
        self.waiting.extendleft(reversed(skipped))
        self.stats.deferred = len(skipped)
        return tokens, pairs, chunks, loads

    def _admit(self, request: Request, budget: int, reserved: int) -> int:
        """Try to admit a request with at most ``budget`` tokens: the tokens it gets, 0 where it must wait."""
        size, hashes = self.spec.block_tokens, request.hashes or ()
        target = request.prompt + request.kept
        hits = self._prefix.hits(hashes, len(hashes)) if hashes else 0
        if hits * size >= target:
            hits -= 1  # the last token is always computed: something must produce the logits
        rest = target - hits * size
        if rest > budget and not self.spec.chunked_prefill:
            return 0
        chunk = min(rest, budget)
        whole = self.spec.reserve_full_prompt or bool(hashes)
        blocks = -(-(target if whole else chunk) // size)
        room = self._prefix.newly_held(hashes, hits) if hits else 0
        if self.used + self.filled + reserved + room + blocks - hits > self.spec.blocks:
            return 0
        self.used += room + blocks - hits
        request.shared = self._prefix.hold(hashes, hits, min(len(hashes), target // size)) if hashes else 0
        self._prefix.evict_to_fit(self.spec.blocks - self.filled - self.used)
        request.blocks, request.computed = blocks, hits * size + chunk
        if request.hashes is not None and not request.scheduled:
            self.stats.looked_up(request.prompt, hits * size)
            request.cached = hits * size
        self.running[request] = None
        self._prefill(request, target)
        return chunk

    def _prefill(self, request: Request, target: int) -> None:
        if request.computed == target:
            request.state = "fresh"
            self._fresh.append(request)
        else:
            request.state = "partial"
            self._partial = request

    def _continue_prompt(self, budget: int, reserved: int, now: float) -> int:
        """Give the prompt under way its next chunk: its tokens, 0 if it had to be preempted for want of blocks."""
        request = self._partial
        assert request is not None  # noqa: S101 - the caller looked
        target = request.prompt + request.kept
        chunk = min(target - request.computed, budget)
        blocks = max(request.blocks, -(-(request.computed + chunk) // self.spec.block_tokens))
        if self.used + self.filled + reserved + blocks - request.blocks > self.spec.blocks:
            self._preempt_last(now)
            return 0
        self.used += blocks - request.blocks
        request.blocks, request.computed = blocks, request.computed + chunk
        self._partial = None
        self._prefill(request, target)
        return chunk

    def _preempt_last(self, now: float) -> None:
        """The request admitted last loses its blocks and waits in front, to be computed again."""
        request = next(reversed(self.running))
        before = request.made(self.iteration)
        if request.state == "decoding":
            request.last = self._last_tokens or now
        self._remove(request, in_step=False)
        request.kept = before
        request.state = "waiting"
        request.preempted += 1
        self.stats.preemptions += 1
        self.waiting.appendleft(request)

    def _remove(self, request: Request, *, in_step: bool) -> None:
        """Take a request out of the batch and give back its blocks. ``in_step``: a step is under way that counts it."""
        size = self.spec.block_tokens
        blocks = request.blocks
        if request.state == "decoding":
            tokens = request.origin + self.iteration
            self._phases[(-request.origin) % size] -= 1
            self._decoding -= 1
            self._context -= tokens + 1
            blocks = -(-(tokens + in_step) // size)
        elif request.state == "partial":
            self._partial = None
        elif request in self._fresh:
            self._fresh.remove(request)
        freed = self._prefix.release(request.hashes or (), request.shared) if request.shared else 0
        self.used -= blocks - (request.shared - freed)
        request.shared = 0
        del self.running[request]

    def _close(self, request: Request, reason: str, now: float) -> None:
        request.state = "over"
        request.reason = reason
        request.last = request.last if reason == ABORTED else now
        self._streams.pop(request, None)
        self._over.append(request)
        self.stats.ended(request, now, request.kept)

    # --- adapters ---

    def _adapter_fits(self, adapter: str) -> bool:
        active = {request.adapter for request in self.running if request.adapter}
        return adapter in active or len(active) < max(1, self.spec.max_loras)

    def _take_adapter(self, adapter: str) -> int:
        """Note an adapter's use; 1 where it has to be loaded first."""
        if not adapter:
            return 0
        is_new = adapter not in self._adapters
        self._adapters.pop(adapter, None)
        self._adapters[adapter] = None
        if len(self._adapters) > self.spec.max_loras:
            active = {request.adapter for request in self.running}
            idle = (name for name in self._adapters if name not in active and name != adapter)
            for name in itertools.islice(idle, 1):
                del self._adapters[name]
        return int(is_new)

    def adapters(self) -> tuple[list[str], list[str]]:
        """Adapters of running and of waiting requests."""
        running = dict.fromkeys(request.adapter for request in self.running if request.adapter)
        waiting = dict.fromkeys(request.adapter for request in self.waiting if request.adapter)
        return list(running), list(waiting)
