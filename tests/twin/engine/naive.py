"""vLLM V1's scheduler step by step, one token at a time, in the plainest Python: what the event kernel must equal.

Written from vllm/v1/core/sched/scheduler.py and kv_cache_manager.py, without prefix caching. Every step loops over all
running requests and every block is counted by itself, so it is slow and has nothing to get wrong.
"""

from dataclasses import dataclass

from stoker.twin.engine import EngineSpec


@dataclass
class Sequence:
    number: int
    arrival: float
    prompt: int
    answer: int
    made: int = 0
    computed: int = 0
    blocks: int = 0
    ttft: float = -1.0
    e2e: float = -1.0
    preempted: int = 0
    decoding: bool = False
    adapter: int = -1

    @property
    def tokens(self) -> int:
        return self.prompt + self.made


def _seconds(spec: EngineSpec, tokens: int, *, mixed: bool) -> float:
    cost = spec.cost
    knots = cost.knot_tokens
    values = cost.mixed_seconds if mixed and cost.mixed_seconds else cost.knot_seconds
    if tokens >= knots[-1]:
        slope = (values[-1] - values[-2]) / (knots[-1] - knots[-2])
        return values[-1] + slope * (tokens - knots[-1])
    for low, high, begin, end in zip(knots, knots[1:], values, values[1:], strict=False):
        if low <= tokens <= high:
            return begin + (end - begin) * (tokens - low) / (high - low)
    raise AssertionError(tokens)


def run_naively(
    spec: EngineSpec, requests: list[tuple[float, int, int]], adapters: list[int] | None = None
) -> list[Sequence]:
    """All requests on one replica, to the last token. ``spec.lookahead`` must be 0."""
    every = [Sequence(i, *request) for i, request in enumerate(requests)]
    for sequence, adapter in zip(every, adapters or [], strict=False):
        sequence.adapter = adapter
    resident: list[int] = []  # adapters in the GPU, the one used last at the end
    coming = list(every)
    waiting: list[Sequence] = []
    running: list[Sequence] = []
    free = spec.blocks
    now = 0.0
    while coming or waiting or running:
        if not waiting and not running:
            now = max(now, coming[0].arrival)
        # An arrival at the very time of a step's end is seen by the next step but one: the step is planned first.
        while coming and (coming[0].arrival < now or (not waiting and not running)):
            waiting.append(coming.pop(0))
        budget = spec.max_num_batched_tokens
        scheduled: list[tuple[Sequence, int]] = []
        loads = 0
        any_preempted = False
        index = 0
        while index < len(running) and budget > 0:
            sequence = running[index]
            count = min(sequence.tokens - sequence.computed, budget)
            alive = True
            while True:
                need = -(-(sequence.computed + count) // spec.block_tokens) - sequence.blocks
                if need <= free:
                    break
                victim = running.pop()
                free += victim.blocks
                victim.blocks = victim.computed = 0
                victim.preempted += 1
                victim.decoding = False
                waiting.insert(0, victim)
                any_preempted = True
                if victim is sequence:
                    alive = False
                    break
            if not alive:
                break
            need = max(need, 0)
            sequence.blocks += need
            free -= need
            scheduled.append((sequence, count))
            budget -= count
            index += 1
        if not any_preempted:
            index = 0
            while index < len(waiting) and budget > 0 and len(running) < spec.max_num_seqs:
                sequence = waiting[index]
                needed = {s.adapter for s in running if s.adapter >= 0}
                wanted = sequence.adapter
                if wanted >= 0 and wanted not in needed and len(needed) == spec.max_loras:
                    index += 1
                    continue
                count = min(sequence.tokens, budget)
                whole = sequence.tokens if spec.reserve_full_prompt else count
                need = -(-whole // spec.block_tokens)
                if need > free:
                    break
                waiting.pop(index)
                if wanted in resident:
                    resident.remove(wanted)
                elif wanted >= 0:
                    loads += 1
                    if len(resident) == spec.max_loras:
                        resident.remove(next(each for each in resident if each not in needed))
                if wanted >= 0:
                    resident.append(wanted)
                sequence.blocks = need
                free -= need
                running.append(sequence)
                scheduled.append((sequence, count))
                budget -= count
        if not scheduled:
            raise AssertionError("stuck")
        cost = spec.cost
        tokens = sum(count for _, count in scheduled)
        decodes = [s for s, _ in scheduled if s.decoding]
        prompts = [(s, c) for s, c in scheduled if s not in decodes]
        seconds = _seconds(spec, tokens, mixed=bool(prompts))
        seconds += cost.kv_read_s * sum(s.tokens for s in decodes) + cost.decode_seq_s * len(decodes)
        seconds += cost.prefill_pair_s * sum(c * (s.computed + 0.5 * c) for s, c in prompts)
        seconds += cost.prefill_chunk_s * len(prompts)
        seconds += spec.lora_load_s * loads
        now += seconds
        for sequence, count in scheduled:
            sequence.computed += count
            if sequence.computed < sequence.tokens:
                continue
            sequence.made += 1
            sequence.decoding = True
            if sequence.made == 1:
                sequence.ttft = now - sequence.arrival
            if sequence.made == sequence.answer:
                sequence.e2e = now - sequence.arrival
                running.remove(sequence)
                free += sequence.blocks
                sequence.blocks = 0
    assert free == spec.blocks
    return every
