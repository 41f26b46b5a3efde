"""What an engine counts, in the terms of vLLM's metrics (vllm/v1/metrics/stats.py, loggers.py of 0.33.0)."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from stoker.lab.serving.request import Request

__all__ = ["EngineStats", "Histogram", "one_two_five"]

# vllm/v1/metrics/buckets.py of 0.33.0; the same bounds in every release from 0.8.5 on (checked in its loggers.py).
LATENCY: Final = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
FIRST_TOKEN: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
BETWEEN_TOKENS: Final = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0),
)
ITERATION: Final = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
PARAMS_N: Final = (1, 2, 5, 10, 20)
PREEMPTIONS: Final = (1, 2, 3, 4, 5, 10, 20)
REASONS: Final = ("stop", "length", "abort", "error", "repetition")


def one_two_five(most: int) -> tuple[float, ...]:
    """1, 2, 5, 10 … up to ``most``: vLLM's bounds of token counts."""
    found: list[float] = []
    scale = 1
    while True:
        for digit in (1, 2, 5):
            if digit * scale > most:
                return tuple(found)
            found.append(digit * scale)
        scale *= 10


class Histogram:
    """Counts by bucket, the last one without a bound."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(float(bound) for bound in bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    @property
    def count(self) -> int:
        return sum(self.counts)


class EngineStats:
    """Counters and histograms of one engine; gauges are asked of the engine itself."""

    def __init__(self, max_model_len: int) -> None:
        tokens = one_two_five(max_model_len)
        self.running = self.waiting = self.deferred = 0
        self.prompt_tokens = self.cached_tokens = self.generation_tokens = self.preemptions = 0
        self.queries = self.hits = 0
        self.ended_by = dict.fromkeys(REASONS, 0)
        self.ttft = Histogram(FIRST_TOKEN)
        self.itl, self.tpot = Histogram(BETWEEN_TOKENS), Histogram(BETWEEN_TOKENS)
        self.e2e, self.queue, self.inference, self.prefill, self.decode = (
            Histogram(LATENCY) for _ in range(5)
        )
        self.request_prompt, self.request_generation, self.request_max = (Histogram(tokens) for _ in range(3))
        self.params_max, self.computed = Histogram(tokens), Histogram(tokens)
        self.params_n, self.request_preemptions = Histogram(PARAMS_N), Histogram(PREEMPTIONS)
        self.iterations = Histogram(ITERATION)

    def looked_up(self, tokens: int, hits: int) -> None:
        """A prompt was looked for in the prefix cache."""
        self.queries += tokens
        self.hits += hits

    def tokens(self, count: int, since_last: float, now: float) -> None:  # noqa: ARG002 - a listener may want the time
        """``count`` sequences made a token each, so long after their last one."""
        self.generation_tokens += count
        self.itl.observe(since_last, count)

    def first_token(self, request: Request, now: float) -> None:
        self.generation_tokens += 1
        self.prompt_tokens += request.prompt
        self.cached_tokens += request.cached
        self.ttft.observe(now - request.arrived)

    def iteration(self, tokens: int) -> None:
        """A step brought so many tokens: those it made, and prompt tokens of requests that it finished prefilling."""
        self.iterations.observe(tokens)

    def ended(self, request: Request, now: float, made: int) -> None:
        self.ended_by[request.reason] += 1
        self.params_n.observe(1)
        self.request_max.observe(made)
        if not made:
            return  # vLLM observes times of requests that made something
        self.e2e.observe(now - request.arrived)
        self.queue.observe(request.scheduled - request.queued)
        self.prefill.observe(request.first - request.scheduled)
        self.inference.observe(request.last - request.scheduled)
        decode = request.last - request.first
        self.decode.observe(decode)
        self.tpot.observe(decode / (made - 1) if made > 1 else 0.0)
        self.request_preemptions.observe(request.preempted)
        self.request_prompt.observe(request.prompt)
        self.request_generation.observe(made)
        self.computed.observe(request.prompt - request.cached)
        if request.asked:
            self.params_max.observe(request.asked)
