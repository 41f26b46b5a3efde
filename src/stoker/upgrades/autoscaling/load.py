"""The trigger that follows the engine's own load, as one PromQL query that returns one element.

Which combination of ``running`` and ``waiting``, and why:

* ``waiting`` alone cannot move an AverageValue target: desired = ceil(waiting / target) is an absolute count that knows
  nothing of the replicas that are busy, so two waiting requests at four saturated replicas ask for one replica. A second
  trigger on ``running`` would hold the count (the HPA takes the largest proposal), yet a burst of a hundred short prompts
  would still ask for ``100 / target`` replicas, which load for minutes and then find the queue drained.
* ``running + waiting`` against the requests that one replica should hold is the demand itself (Little's law): desired is
  what would run all of it at the target utilisation, whatever the present count. That is signal ``concurrency``.
* Sized concurrency may be too high for the prompts that really come: the KV pool fills, requests wait with reason
  "capacity", and running stays under the target. Signal ``queue`` (the default) therefore counts a waiting request as
  ``target_concurrency / target_queue`` running ones, so that a queue at its target is worth one more replica for each one
  that serves, and bounds the term there: a longer queue asks for no more. Replicas that are still loading emit nothing and
  do not raise the bound, so they are not asked for a second time.
* Signal ``kv-cache`` sums the share of KV blocks in use over pods against the target utilisation (0 to 1, not percent).

"Deferred" waiting requests (KV transfer, grammar compilation) are not short of capacity; where the release splits the
series by reason only ``capacity`` is counted.

Sources: kedacore/keda v2.20.2 pkg/scalers/prometheus_scaler.go (one element or an error; ``> activationThreshold``),
kubernetes pkg/controller/podautoscaler/replica_calculator.go (GetExternalPerPodMetricReplicas: ceil(total / target), 10 %
tolerance), vllm 0.33 v1/metrics/loggers.py (num_requests_waiting_by_reason, kv_cache_usage_perc).
"""

import math
from typing import Final

from stoker.catalog.engines import Metric
from stoker.platform.autoscaling import Signal
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Object

__all__ = ["load_trigger"]

_LEAST_BOUND: Final = 2  # replicas that a queue may ask for at least, beside those that serve
_TARGET_UTILIZATION: Final = 0.7  # see the `why` of autoscaling.targetUtilization


def load_trigger(platform: ResolvedPlatform, model: ResolvedModel) -> Object | None:
    """Prometheus trigger over the engine's metrics; None where the release has no metric for the signal.

    ``ignoreNullValues`` is "false" for a tier that is never at zero: an empty result then is an error, the fallback
    applies, and nobody is scaled in for a lost scrape target. At zero replicas an empty result is the truth, so a tier at
    zero says "true"; a Prometheus that does not answer is an error in both cases (ExecutePromQuery), and an error beside
    an active trigger does not keep KEDA from activating (pkg/scaling/executor/scale_scaledobjects.go RequestScale).
    """
    found = _query(platform, model)
    if found is None:
        return None
    query, threshold = found
    tuning = platform.spec.autoscaling
    trigger: Object = {
        "type": "prometheus",
        "name": "engine-load",
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": tuning.prometheus_address,
            "query": query,
            "threshold": threshold,
            "activationThreshold": "0",
            "ignoreNullValues": "true" if model.min_replicas == 0 else "false",
        },
    }
    if tuning.prometheus_auth is not None:
        trigger["authenticationRef"] = {
            "name": tuning.prometheus_auth,
            "kind": "ClusterTriggerAuthentication",
        }
    return trigger


def _query(platform: ResolvedPlatform, model: ResolvedModel) -> tuple[str, str] | None:
    """PromQL and threshold for the model's signal, or for the nearest one that its release has metrics for."""
    release, target = model.release, model.scaling.target_concurrency
    running, waiting = release.metric(Metric.REQUESTS_RUNNING), _waiting(model)
    usage = release.metric(Metric.KV_CACHE_USAGE)
    selector = _selector(model)
    if model.scaling.signal is Signal.KV_CACHE and usage is not None:
        return f"sum(avg by (pod) ({usage}{{{selector}}}))", f"{_utilization(platform, model):g}"
    if running is None:
        return (f"sum({waiting})", str(model.scaling.target_queue)) if waiting is not None else None
    busy = f"{running}{{{selector}}}"
    if waiting is None:
        return f"sum({busy})", str(target)
    if model.scaling.signal is Signal.CONCURRENCY:
        return f"sum({busy}) + sum({waiting})", str(target)
    weight = max(1, math.ceil(target / model.scaling.target_queue))
    bound = f"{target} * scalar(clamp_min(count({busy}), {_LEAST_BOUND}))"
    return f"sum({busy}) + clamp_max({weight} * sum({waiting}), {bound})", str(target)


def _waiting(model: ResolvedModel) -> str | None:
    by_reason = model.release.metric(Metric.WAITING_BY_REASON)
    if by_reason is not None:
        return f'{by_reason}{{{_selector(model)},reason="capacity"}}'
    plain = model.release.metric(Metric.REQUESTS_WAITING)
    return f"{plain}{{{_selector(model)}}}" if plain is not None else None


def _selector(model: ResolvedModel) -> str:
    """Labels of the model's own series: namespace of the scrape, name of the engine, pods of the stable version.

    Engines without a model label, and models whose canary answers to the same name, are told apart by pod: a canary has
    fixed replicas and its load must not scale the stable version.
    """
    parts = [f'namespace="{model.namespace}"']
    if model.release.model_label:
        parts.append(f'{model.release.model_label}="{model.name}"')
    if not model.release.model_label or model.canary is not None:
        # Deployment pods end in -HASH-RANDOM, those of a LeaderWorkerSet in -GROUP or -GROUP-WORKER.
        tail = "-[0-9]+(-[0-9]+)?" if model.nodes_per_replica > 1 else "-[a-z0-9]+-[a-z0-9]+"
        parts.append(f'pod=~"{model.workload}{tail}"')
    return ",".join(parts)


def _utilization(platform: ResolvedPlatform, model: ResolvedModel) -> float:
    own = model.spec.autoscaling.target_utilization
    return own or platform.spec.autoscaling.target_utilization or _TARGET_UTILIZATION
