"""Recording rules of one model: what dashboards, alerts and canaries read, computed once."""

import math
from typing import Final

from stoker.catalog.engines import Metric
from stoker.platform.base import seconds_of
from stoker.upgrades.observability.rules import Recording, Scope

__all__ = ["BURN_WINDOWS", "error_ratio", "model_recordings", "slo_bound", "slow_ratio"]

# Long and short window of each burn rate (Google SRE workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts").
BURN_WINDOWS: Final = ("5m", "30m", "1h", "6h")
_QUANTILES: Final = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
_LATENCIES: Final = (
    ("itl_seconds", Metric.ITL_BUCKET),
    ("tpot_seconds", Metric.TPOT_BUCKET),
    ("e2e_seconds", Metric.E2E_BUCKET),
    ("queue_seconds", Metric.QUEUE_TIME_BUCKET),
)


def model_recordings(scope: Scope) -> list[Recording]:
    """Every rule that the engine's release has series for; a missing series leaves its rule out."""
    found: list[tuple[str, str | None]] = [
        (f"stoker:ttft_seconds:{name}", scope.quantile(Metric.TTFT_BUCKET, share))
        for name, share in _QUANTILES
    ]
    found += [(f"stoker:{name}:p95", scope.quantile(role, 0.95)) for name, role in _LATENCIES]
    found += [
        ("stoker:output_tokens:rate5m", scope.rate(Metric.GENERATION_TOKENS)),
        ("stoker:prompt_tokens:rate5m", scope.rate(Metric.PROMPT_TOKENS)),
        ("stoker:requests:rate5m", scope.rate(Metric.REQUEST_SUCCESS)),
        ("stoker:preemptions:rate5m", scope.rate(Metric.PREEMPTIONS)),
        ("stoker:requests_running:sum", _over_pods("sum", scope.series(Metric.REQUESTS_RUNNING))),
        ("stoker:requests_waiting:sum", _over_pods("sum", scope.series(Metric.REQUESTS_WAITING))),
        ("stoker:kv_cache_usage:max", _over_pods("max", scope.series(Metric.KV_CACHE_USAGE))),
        ("stoker:prefix_cache_hit:ratio5m", _hit_ratio(scope)),
        ("stoker:gpu_seconds_per_request:mean5m", _gpu_seconds(scope)),
        *((f"stoker:ttft_slow:ratio{window}", slow_ratio(scope, window)) for window in BURN_WINDOWS),
        *((f"stoker:errors:ratio{window}", error_ratio(scope, window)) for window in BURN_WINDOWS),
    ]
    return [Recording(record, expr, scope.labels) for record, expr in found if expr is not None]


def slo_bound(scope: Scope) -> float | None:
    """The bucket bound nearest to the TTFT objective, as a ratio: histograms know nothing between their bounds."""
    fact = scope.fact(Metric.TTFT_BUCKET)
    if fact is None or not fact.buckets:
        return None
    wanted = seconds_of(scope.model.spec.slo.ttft_p95)
    return min(fact.buckets, key=lambda bound: abs(math.log(bound / wanted)))


def slow_ratio(scope: Scope, window: str) -> str | None:
    """Share of requests whose first token came later than the objective's bucket."""
    bound, fact = slo_bound(scope), scope.fact(Metric.TTFT_BUCKET)
    if bound is None or fact is None:
        return None
    # Clients print 1 or 1.0 for the same bound.
    within = f'{fact.name}{{{scope.selector},le=~"{_spellings(bound)}"}}'
    return f"1 - sum(rate({within}[{window}])) / sum(rate({fact.base}_count{{{scope.selector}}}[{window}]))"


def error_ratio(scope: Scope, window: str) -> str | None:
    """Share of finished requests that ended in an error; aborts are clients that went away."""
    fact = scope.fact(Metric.REQUEST_SUCCESS)
    if fact is None or "finished_reason" not in fact.labels:
        return None
    failed = scope.rate(Metric.REQUEST_SUCCESS, window, ',finished_reason="error"')
    # A server without errors has no such series; that is a ratio of zero, not an unknown one.
    return f"({failed} or vector(0)) / {scope.rate(Metric.REQUEST_SUCCESS, window)}"


def _spellings(bound: float) -> str:
    text = f"{bound:g}"
    exact = text.replace(".", "\\\\.")
    return exact if "." in text else f"{exact}|{exact}\\\\.0"


def _over_pods(operation: str, series: str | None) -> str | None:
    return f"{operation}({series})" if series else None


def _hit_ratio(scope: Scope) -> str | None:
    hits, queries = scope.rate(Metric.PREFIX_CACHE_HITS), scope.rate(Metric.PREFIX_CACHE_QUERIES)
    return f"{hits} / {queries}" if hits and queries else None


def _gpu_seconds(scope: Scope) -> str | None:
    """GPU-seconds of one request, approximated: time in prefill and decode, times the GPUs of a replica.

    No engine reports GPU time by request; requests of one batch share it, so the figure compares models and routes, it
    does not add up to the bill.
    """
    parts = [scope.fact(role) for role in (Metric.PREFILL_TIME_BUCKET, Metric.DECODE_TIME_BUCKET)]
    facts = [fact for fact in parts if fact is not None]
    if len(facts) < len(parts):
        return None
    spent = " + ".join(f"sum(rate({fact.base}_sum{{{scope.selector}}}[{WINDOW_5M}]))" for fact in facts)
    finished = f"sum(rate({facts[0].base}_count{{{scope.selector}}}[{WINDOW_5M}]))"
    return f"{scope.model.gpus_per_replica} * ({spent}) / {finished}"


WINDOW_5M: Final = "5m"
