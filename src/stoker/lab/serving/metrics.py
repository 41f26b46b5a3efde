"""The page that a vLLM server of a release answers ``/metrics`` with.

Names, types, labels, words and order are those of vllm/v1/metrics/loggers.py in the source distributions of 0.8.5, 0.9.1, 0.9.2,
0.10.2, 0.11.0, 0.12.0, 0.16.0, 0.19.0, 0.23.0, 0.27.0, 0.30.0 and 0.33.0 (PyPI, read 2026-11-27). A series is shown from the
first release read that has it on. Left out: what an option turns on that the lab does not emulate (speculative decoding, KV
connectors, watermarks, NaN counting, KV block residency).
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from stoker.catalog.versions import in_range
from stoker.lab.serving.exposition import Labels, Page
from stoker.lab.serving.http_stats import HttpStats
from stoker.lab.serving.stats import REASONS, EngineStats, Histogram

__all__ = ["ServerFacts", "server_page"]


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the page needs to know of a server.

    Attributes:
        version: of vLLM; empty for an engine that has no such metrics.
        model: served name.
        created: unix time of its start.
        blocks, block_tokens, utilization, cache_dtype, has_prefix_cache: of its KV cache.
        max_loras: 0 without ``--enable-lora``.
        resident_bytes: host memory of its process.
    """

    version: str
    model: str
    created: float
    blocks: int
    block_tokens: int
    utilization: float
    cache_dtype: str
    has_prefix_cache: bool
    max_loras: int
    resident_bytes: float


_Series = tuple[str, str, str | None, str | None, Callable[[EngineStats], float]]
_Times = tuple[str, str, str | None, str | None, Callable[[EngineStats], Histogram]]

_PREFIX_QUERIES: Final = "Prefix cache queries, in terms of number of queried tokens."
_PREFIX_HITS: Final = "Prefix cache hits, in terms of number of cached tokens."
_OLD_QUERIES: Final = "GPU prefix cache queries, in terms of number of queriedtokens. DEPRECATED: Use vllm:prefix_cache_queries instead."
_OLD_HITS: Final = "GPU prefix cache hits, in terms of number of cached tokens. DEPRECATED: Use vllm:prefix_cache_hits instead."
_CACHES: Final[tuple[_Series, ...]] = (
    ("vllm:gpu_prefix_cache_queries", _OLD_QUERIES, None, "0.11.0", lambda stats: stats.queries),
    ("vllm:gpu_prefix_cache_hits", _OLD_HITS, None, "0.11.0", lambda stats: stats.hits),
    ("vllm:prefix_cache_queries", _PREFIX_QUERIES, "0.9.2", None, lambda stats: stats.queries),
    ("vllm:prefix_cache_hits", _PREFIX_HITS, "0.9.2", None, lambda stats: stats.hits),
    ("vllm:external_prefix_cache_queries",
     "External prefix cache queries from KV connector cross-instance cache sharing, in terms of number of queried tokens.",
     "0.12.0", None, lambda _: 0),
    ("vllm:external_prefix_cache_hits",
     "External prefix cache hits from KV connector cross-instance cache sharing, in terms of number of cached tokens.",
     "0.12.0", None, lambda _: 0),
    ("vllm:mm_cache_queries", "Multi-modal cache queries, in terms of number of queried items.", "0.12.0", None, lambda _: 0),
    ("vllm:mm_cache_hits", "Multi-modal cache hits, in terms of number of cached items.", "0.12.0", None, lambda _: 0),
    ("vllm:num_preemptions", "Cumulative number of preemption from the engine.", None, None, lambda stats: stats.preemptions),
    ("vllm:prompt_tokens", "Number of prefill tokens processed.", None, None, lambda stats: stats.prompt_tokens),
)  # fmt: skip
_LENGTHS: Final[tuple[_Times, ...]] = (
    ("vllm:request_prompt_tokens", "Number of prefill tokens processed.", None, None, lambda stats: stats.request_prompt),
    ("vllm:request_generation_tokens", "Number of generation tokens processed.", None, None,
     lambda stats: stats.request_generation),
    ("vllm:iteration_tokens_total", "Histogram of number of tokens per engine_step.", None, None,
     lambda stats: stats.iterations),
    ("vllm:request_max_num_generation_tokens", "Histogram of maximum number of requested generation tokens.", None, None,
     lambda stats: stats.request_max),
    ("vllm:request_params_n", "Histogram of the n request parameter.", None, None, lambda stats: stats.params_n),
    ("vllm:request_params_max_tokens", "Histogram of the max_tokens request parameter.", None, None,
     lambda stats: stats.params_max),
)  # fmt: skip
_LATENCIES: Final[tuple[_Times, ...]] = (
    ("vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds.", None, None, lambda stats: stats.ttft),
    # 0.10.2 and 0.11.0 have both names; 0.12.0 shows the old one only when asked to.
    ("vllm:time_per_output_token_seconds", "Histogram of time per output token in seconds.", None, "0.10.2",
     lambda stats: stats.itl),
    ("vllm:time_per_output_token_seconds",
     "Histogram of time per output token in seconds.DEPRECATED: Use vllm:inter_token_latency_seconds instead.",
     "0.10.2", "0.12.0", lambda stats: stats.itl),
    ("vllm:inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", "0.10.2", None, lambda stats: stats.itl),
    ("vllm:request_time_per_output_token_seconds", "Histogram of time_per_output_token_seconds per request.", "0.11.0", None,
     lambda stats: stats.tpot),
    ("vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", None, None, lambda stats: stats.e2e),
    ("vllm:request_queue_time_seconds", "Histogram of time spent in WAITING phase for request.", None, None,
     lambda stats: stats.queue),
    ("vllm:request_inference_time_seconds", "Histogram of time spent in RUNNING phase for request.", None, None,
     lambda stats: stats.inference),
    ("vllm:request_prefill_time_seconds", "Histogram of time spent in PREFILL phase for request.", None, None,
     lambda stats: stats.prefill),
    ("vllm:request_decode_time_seconds", "Histogram of time spent in DECODE phase for request.", None, None,
     lambda stats: stats.decode),
    ("vllm:request_num_preemptions", "Histogram of the number of times a request was preempted.", "0.30.0", None,
     lambda stats: stats.request_preemptions),
    ("vllm:request_prefill_kv_computed_tokens",
     "Histogram of new KV tokens computed during prefill (excluding cached tokens).", "0.16.0", None,
     lambda stats: stats.computed),
)  # fmt: skip
_WAITING: Final = (
    "Number of waiting requests by reason. Reason labels: 'capacity' = waiting for scheduling capacity; 'deferred' = deferred by "
    "transient constraints (LoRA budget, KV transfer, blocked status). Sum of all reasons equals vllm:num_requests_waiting."
)
_SLEEP: Final = (
    "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; weights_offloaded = 1 means sleep "
    "level 1; discard_all = 1 means sleep level 2."
)
_TIERS: Final = (
    "Prefix-cache hit tokens by the cache tier that supplied them: device (local HBM), host (offloaded to DRAM), disk, p2p "
    "(transferred from another vLLM instance) or external_unspecified. Counted at admission; sums to vllm:prefix_cache_hits + "
    "vllm:external_prefix_cache_hits."
)


@lru_cache(maxsize=4096)
def _has(version: str, since: str | None, until: str | None) -> bool:
    return in_range(version, since, until)


def server_page(
    facts: ServerFacts,
    stats: EngineStats,
    http: HttpStats,
    *,
    usage: float,
    adapters: tuple[list[str], list[str]],
    now: float,
) -> bytes:
    """The page now. ``usage``: share of the KV cache; ``adapters``: of running and of waiting requests."""
    page = Page(facts.created)
    _python(page)
    _process(page, facts)
    if facts.version:
        base = {"model_name": facts.model, "engine": "0"}
        _gauges(page, base, facts.version, stats, usage)
        _counters(page, base, facts.version, stats)
        for name, about, since, until, histogram in (*_LENGTHS, *_LATENCIES):
            if _has(facts.version, since, until):
                page.histogram(name, about, [(base, histogram(stats))])
        if facts.max_loras:
            page.gauge(
                "vllm:lora_requests_info",
                "Running stats on lora requests.",
                [(_adapters(facts, *adapters), now)],
            )
        page.gauge(
            "vllm:cache_config_info", "Information of the LLMEngine CacheConfig", [(_cache_config(facts), 1)]
        )
    http.write(page)
    return page.encode()


def _gauges(page: Page, base: Labels, version: str, stats: EngineStats, usage: float) -> None:
    page.gauge(
        "vllm:num_requests_running", "Number of requests in model execution batches.", [(base, stats.running)]
    )
    page.gauge(
        "vllm:num_requests_waiting", "Number of requests waiting to be processed.", [(base, stats.waiting)]
    )
    if _has(version, "0.23.0", None):
        reasons = {"capacity": stats.waiting - stats.deferred, "deferred": stats.deferred}
        page.gauge("vllm:num_requests_waiting_by_reason", _WAITING,
                   [({**base, "reason": reason}, value) for reason, value in reasons.items()])  # fmt: skip
    if _has(version, "0.12.0", None):
        states = {"awake": 1, "weights_offloaded": 0, "discard_all": 0}
        page.gauge("vllm:engine_sleep_state", _SLEEP,
                   [({**base, "sleep_state": state}, value) for state, value in states.items()])  # fmt: skip
    if _has(version, None, "0.11.0"):
        deprecated = (
            "DEPRECATED: Use vllm:kv_cache_usage_perc instead." if _has(version, "0.9.2", None) else ""
        )
        page.gauge(
            "vllm:gpu_cache_usage_perc",
            f"GPU KV-cache usage. 1 means 100 percent usage.{deprecated}",
            [(base, usage)],
        )
    if _has(version, "0.9.2", None):
        page.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", [(base, usage)])


def _counters(page: Page, base: Labels, version: str, stats: EngineStats) -> None:
    for name, about, since, until, value in _CACHES:
        if _has(version, since, until):
            page.counter(name, about, [(base, value(stats))])
    _sources(page, base, version, stats)
    page.counter(
        "vllm:generation_tokens", "Number of generation tokens processed.", [(base, stats.generation_tokens)]
    )
    known = REASONS[: 3 if _has(version, None, "0.16.0") else 4 if _has(version, None, "0.19.0") else 5]
    page.counter("vllm:request_success", "Count of successfully processed requests.",
                 [({**base, "finished_reason": reason}, stats.ended_by[reason]) for reason in known])  # fmt: skip
    if _has(version, "0.33.0", None):
        page.counter("vllm:admission_rejections", "Number of admission attempts rejected by a queue limit, by reason.",
                     [({"model_name": base["model_name"], "reason": reason}, 0)
                      for reason in ("max_num_queued_reqs", "max_num_queued_tokens")])  # fmt: skip


def _adapters(facts: ServerFacts, running: list[str], waiting: list[str]) -> Labels:
    return {
        "max_lora": str(facts.max_loras),
        "running_lora_adapters": ",".join(running),
        "waiting_lora_adapters": ",".join(waiting),
    }


def _sources(page: Page, base: Labels, version: str, stats: EngineStats) -> None:
    if not _has(version, "0.16.0", None):
        return
    sources = {
        "local_compute": stats.prompt_tokens - stats.cached_tokens,
        "local_cache_hit": stats.cached_tokens,
        "external_kv_transfer": 0,
    }
    page.counter("vllm:prompt_tokens_by_source", "Number of prompt tokens by source.",
                 [({**base, "source": source}, value) for source, value in sources.items()])  # fmt: skip
    page.counter("vllm:prompt_tokens_cached", "Number of cached prompt tokens (local + external).",
                 [(base, stats.cached_tokens)])  # fmt: skip
    if _has(version, "0.33.0", None):
        tiers = {"device": stats.hits, "host": 0, "p2p": 0, "disk": 0, "external_unspecified": 0}
        page.counter("vllm:prompt_tokens_cached_by_source", _TIERS,
                     [({**base, "source": tier}, value) for tier, value in tiers.items()])  # fmt: skip


def _cache_config(facts: ServerFacts) -> Labels:
    """Fields of vLLM's CacheConfig that have a meaning here."""
    return {
        "engine": "0",
        "block_size": str(facts.block_tokens),
        "cache_dtype": facts.cache_dtype,
        "enable_prefix_caching": str(facts.has_prefix_cache),
        "gpu_memory_utilization": f"{facts.utilization:g}",
        "num_gpu_blocks": str(facts.blocks),
        "num_gpu_blocks_override": "None",
        "num_cpu_blocks": "None",
        "prefix_caching_hash_algo": "sha256",
        "sliding_window": "None",
    }


def _python(page: Page) -> None:
    version = sys.version_info
    labels = {
        "implementation": "CPython",
        "major": str(version.major),
        "minor": str(version.minor),
        "patchlevel": str(version.micro),
        "version": f"{version.major}.{version.minor}.{version.micro}",
    }
    page.gauge("python_info", "Python platform information", [(labels, 1)])


def _process(page: Page, facts: ServerFacts) -> None:
    """The container's process: only its start and its memory mean something here."""
    page.gauge(
        "process_resident_memory_bytes", "Resident memory size in bytes.", [({}, facts.resident_bytes)]
    )
    page.gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        [({}, facts.created)],
    )
