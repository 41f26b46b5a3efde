"""Alerts of one model: what its users feel, and what is about to make them feel it. Thresholds come from its sizing."""

from typing import Final

from stoker.catalog.engines import Metric
from stoker.platform.base import seconds_of
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.observability.recording import error_ratio, slo_bound, slow_ratio
from stoker.upgrades.observability.rules import Alert, Scope

__all__ = ["model_alerts"]

# Share of the slow budget that a p95 objective leaves.
_TTFT_BUDGET: Final = 0.05
# (suffix, severity, burn rate, long window, short window, for): SRE workbook, chapter 5, table 5-8.
_BURNS: Final = (
    ("Fast", "critical", 14.4, "1h", "5m", "2m"),
    ("Slow", "warning", 6.0, "6h", "30m", "15m"),
)
_KV_FULL: Final = 0.95
# Week 4's gate wants the page within three minutes of crossing this: `for` and the waits around it must stay below that
# (scrape 15s, evaluation 30s, group wait 30s).
_KV_SATURATED: Final = 0.9
_KV_PAGE: Final = "1m"
_CANARY_FACTOR: Final = 1.5


def model_alerts(platform: ResolvedPlatform, scope: Scope) -> list[Alert]:
    """Every alert that the engine's release has series for."""
    return [
        *_queue(scope),
        *_kv_cache(scope),
        *_ttft(scope),
        *_burns(scope),
        *_presence(scope),
        *_ceiling(platform, scope),
        *_canary(scope),
        *_start(scope),
    ]


def _queue(scope: Scope) -> list[Alert]:
    waiting, running = scope.series(Metric.REQUESTS_WAITING), scope.series(Metric.REQUESTS_RUNNING)
    if waiting is None or running is None:
        return []
    model = scope.model
    bound = model.scaling.target_queue
    return [
        Alert(
            "LLMHighQueueDepth",
            f"sum({waiting}) > {bound} * count({running})",
            "2m",
            "warning",
            f"Requests queue for {model.name}",
            f"{{{{ $value }}}} requests wait, more than {bound} for each replica that serves: first tokens will come late. "
            "Is the autoscaler adding replicas, and are they loading?",
            scope.labels,
        )
    ]


def _kv_cache(scope: Scope) -> list[Alert]:
    """Saturated is full *and* felt: a cache that is well used is no incident, one that keeps requests out is."""
    usage, preempted = scope.series(Metric.KV_CACHE_USAGE), scope.series(Metric.PREEMPTIONS)
    waiting = scope.series(Metric.REQUESTS_WAITING)
    if usage is None:
        return []
    name, join = scope.model.name, "and on (namespace, pod) sum by (namespace, pod)"
    found: list[Alert] = []
    if waiting is not None:
        found.append(
            Alert(
                "LLMKVCacheSaturation",
                f"max by (namespace, pod) ({usage}) > {_KV_SATURATED} {join} ({waiting}) > 0",
                _KV_PAGE,
                "critical",
                f"The KV cache of {name} is saturated and requests wait",
                "KV cache of {{ $labels.pod }} at {{ $value | humanizePercentage }} and requests wait for room: first tokens "
                "come late. The engine does not crash of it. Add replicas, or lower contextLength or maxNumSeqs.",
                scope.labels,
            )
        )
    if preempted is not None:
        found.append(
            Alert(
                "LLMKVCachePreemptions",
                f"max by (namespace, pod) ({usage}) > {_KV_FULL} {join} (rate({preempted}[5m])) > 0",
                "5m",
                "warning",
                f"The KV cache of {name} is full and requests are preempted",
                "KV cache of {{ $labels.pod }} at {{ $value | humanizePercentage }}: the engine preempts requests and computes "
                "them again, which costs latency and no crash. Add replicas, or lower contextLength or maxNumSeqs.",
                scope.labels,
            )
        )
    return found


def _ttft(scope: Scope) -> list[Alert]:
    quantile = scope.quantile(Metric.TTFT_BUCKET, 0.95)
    if quantile is None:
        return []
    model = scope.model
    objective = seconds_of(model.spec.slo.ttft_p95)
    return [
        Alert(
            "LLMHighTTFT",
            f"{quantile} > {objective:g}",
            "5m",
            "warning",
            f"First tokens of {model.name} come late",
            f"P95 of the time to first token is {{{{ $value | humanizeDuration }}}}, the objective is {objective:g}s.",
            scope.labels,
        )
    ]


def _burns(scope: Scope) -> list[Alert]:
    found: list[Alert] = []
    name, slo = scope.model.name, scope.model.spec.slo
    bound = slo_bound(scope)
    error_budget = round(1 - slo.availability / 100, 6)
    for suffix, severity, burn, long, short, wait in _BURNS:
        slow = [slow_ratio(scope, window) for window in (long, short)]
        limit = round(min(burn * _TTFT_BUDGET, 0.95), 4)
        if all(slow):
            found.append(
                Alert(
                    f"LLMTTFTBudgetBurn{suffix}",
                    f"({slow[0]}) > {limit} and ({slow[1]}) > {limit}",
                    wait,
                    severity,
                    f"{name} breaks its TTFT objective",
                    f"{{{{ $value | humanizePercentage }}}} of requests over {long} waited longer than {bound:g}s (the bucket "
                    f"nearest to the objective of {slo.ttft_p95}); 5% may.",
                    scope.labels,
                )
            )
        failed = [error_ratio(scope, window) for window in (long, short)]
        limit = round(min(burn * error_budget, 0.95), 6)
        if all(failed):
            found.append(
                Alert(
                    f"LLMErrorBudgetBurn{suffix}",
                    f"({failed[0]}) > {limit} and ({failed[1]}) > {limit}",
                    wait,
                    severity,
                    f"Requests to {name} fail",
                    f"{{{{ $value | humanizePercentage }}}} of requests over {long} failed; the objective of "
                    f"{slo.availability:g}% leaves {error_budget * 100:g}%.",
                    scope.labels,
                )
            )
    return found


def _presence(scope: Scope) -> list[Alert]:
    """A warm tier is always there; a tier at zero has no targets and nothing to say."""
    model = scope.model
    if model.min_replicas < 1:
        return []
    up = f"up{{{scope.selector}}} == 1"
    found = [
        Alert(
            "LLMTargetAbsent",
            f"absent({up})",
            "5m",
            "critical",
            f"No replica of {model.name} answers Prometheus",
            "Either no replica serves, or Prometheus does not see them: autoscaling and every other alert are blind until it "
            "does. Compare the pods with the PodMonitor's selector.",
            scope.labels,
        )
    ]
    if model.min_replicas > 1:
        wait = max(10, round(2 * model.startup_seconds / 60))
        found.append(
            Alert(
                "LLMReplicasShort",
                f"count({up}) < {model.min_replicas}",
                f"{wait}m",
                "warning",
                f"{model.name} runs below its minimum",
                f"{{{{ $value }}}} of at least {model.min_replicas} replicas serve: the next drain or failure is an outage.",
                scope.labels,
            )
        )
    return found


def _ceiling(platform: ResolvedPlatform, scope: Scope) -> list[Alert]:
    model = scope.model
    waiting = scope.series(Metric.REQUESTS_WAITING)
    found: list[Alert] = []
    if model.scaling.enabled and waiting is not None:
        limit = model.scaling.target_queue * model.max_replicas
        found.append(
            Alert(
                "LLMAtMaxReplicas",
                f"sum({waiting}) > {limit} and count(up{{{scope.selector}}} == 1) >= {model.max_replicas}",
                "15m",
                "warning",
                f"{model.name} is at its maximum and requests still queue",
                f"{{{{ $value }}}} requests wait with all {model.max_replicas} replicas serving: raise replicas.max (and the "
                "quota), or shed load.",
                scope.labels,
            )
        )
    if model.scaling.enabled and platform.spec.autoscaling.enabled:
        # keda v2.20.2 pkg/metricscollector/prommetrics.go
        errors = f'keda_scaler_detail_errors_total{{scaledObject="{model.name}"}}'
        found.append(
            Alert(
                "LLMScalerErrors",
                f"sum(increase({errors}[10m])) > 0",
                "10m",
                "warning",
                f"KEDA cannot read the metrics of {model.name}",
                "Its triggers fail: the replica count follows the fallback, not the load. Look at the ScaledObject's events.",
                scope.labels,
            )
        )
    return found


def _canary(scope: Scope) -> list[Alert]:
    model = scope.model
    if model.canary is None:
        return []
    canary = scope.quantile(Metric.TTFT_BUCKET, 0.95, "15m", f',version="{model.canary.name}"')
    stable = scope.quantile(Metric.TTFT_BUCKET, 0.95, "15m", ',version="stable"')
    if canary is None or stable is None:
        return []
    return [
        Alert(
            "LLMCanaryWorse",
            f"({canary}) / ({stable}) > {_CANARY_FACTOR}",
            "10m",
            "warning",
            f"The canary of {model.name} is slower than the stable version",
            f"P95 of the time to first token of {model.canary.name} is {{{{ $value | humanize }}}} times the stable one's.",
            scope.labels,
        )
    ]


def _start(scope: Scope) -> list[Alert]:
    """A pod that is still not ready after twice the estimated load time (kube-state-metrics docs, pod metrics)."""
    model = scope.model
    budget = max(600, 2 * model.startup_seconds)
    pods = f'namespace="{model.namespace}",pod=~"{model.name}-.*"'
    return [
        Alert(
            "LLMSlowStart",
            f"(time() - kube_pod_start_time{{{pods}}}) > {budget} and on (namespace, pod) "
            f'kube_pod_status_ready{{{pods},condition="true"}} == 0 and on (namespace, pod) '
            f'kube_pod_status_phase{{{pods},phase="Running"}} == 1',
            "5m",
            "warning",
            f"A replica of {model.name} does not become ready",
            f"{{{{ $labels.pod }}}} has been starting for {{{{ $value | humanizeDuration }}}}; about {model.startup_seconds}s was "
            "expected. Slow storage, a crash loop, or too little GPU memory: read its log.",
            scope.labels,
        )
    ]
