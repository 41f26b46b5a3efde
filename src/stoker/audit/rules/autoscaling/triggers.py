"""Triggers: what the number means that replicas are computed from."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add, remove
from stoker.audit.rule import rule
from stoker.audit.rules.autoscaling.zero import gpu_scalers, llm_scaled_objects, to_zero, triggers_of
from stoker.audit.view.expressions import aggregated, kind, unscaled, uses
from stoker.audit.view.queries import Query
from stoker.audit.view.scaling import Scaler
from stoker.audit.view.serving import Server
from stoker.audit.view.view import View
from stoker.catalog.engines import release
from stoker.catalog.metrics import series
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item

_SCALER: Final = "keda 2.20.2 pkg/scalers/prometheus_scaler.go:45-64,158,199-210"


def _queries(view: View) -> Iterator[Query]:
    for item in llm_scaled_objects(view):
        yield from triggers_of(item, view)


def _number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None


def _metadata(query: Query) -> Mapping[str, Any]:
    found = query.rule.get("metadata")
    return found if isinstance(found, Mapping) else {}


def _where(query: Query, key: str) -> Path:
    return (*query.path[:-1], key)


@rule(
    "trigger-metric-name-removed",
    Area.AUTOSCALING,
    Severity.INFO,
    title="Trigger sets a field that KEDA no longer reads",
    why="metricName and cortexOrgID were removed: the value is ignored, and whoever relies on the metric's name in the HPA finds s0-prometheus.",
    fix="Delete the field; name the trigger with `name` where a formula needs it.",
    references=("keda CHANGELOG 2.12 (metricName removed)", _SCALER),
    on=lambda view: (q for q in view.queries if q.role == "trigger"),
)
def _trigger_metric_name_removed(query: Query, view: View) -> Iterator[Hit]:
    for key in ("metricName", "cortexOrgID"):
        if key in _metadata(query):
            path = _where(query, key)
            yield Hit(
                query.item,
                path,
                f"{key} was removed from the prometheus trigger and is ignored",
                _metadata(query)[key],
                Fix(f"Delete {key}", (remove(path),)),
            )


@rule(
    "trigger-threshold-out-of-range",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Trigger's threshold lies outside the range of its metric",
    why="KV cache usage lies between 0 and 1: against a threshold of 80 the wanted replicas are always 1, and the server never scales out.",
    fix="Give the threshold in the metric's own unit: 0.8.",
    references=("vllm 0.33.0 vllm/v1/metrics/loggers.py:619", _SCALER),
    on=_queries,
)
def _trigger_threshold_out_of_range(query: Query, view: View) -> Iterator[Hit]:
    threshold = _number(_metadata(query).get("threshold"))
    if query.tree is None or threshold is None:
        return
    for use in unscaled(query.tree):
        fact = series(use.name)
        if fact is not None and fact.unit == "ratio" and threshold > 1:
            path = _where(query, "threshold")
            right = f"{threshold / 100:g}" if threshold <= 100 else ""
            fix = Fix(f"Write {right}", (add(path, right),)) if right else None
            yield Hit(
                query.item,
                path,
                f"{use.name} is at most 1 and never reaches {threshold:g}",
                _metadata(query)["threshold"],
                fix,
            )


@rule(
    "trigger-threshold-missing",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Trigger without a usable threshold or query",
    why="KEDA refuses the trigger: the ScaledObject is not Ready and the replicas stay what they are.",
    fix="Set threshold to a number above 0, in quotes.",
    references=(_SCALER,),
    on=_queries,
)
def _trigger_threshold_missing(query: Query, view: View) -> Iterator[Hit]:
    metadata = _metadata(query)
    number = _number(metadata.get("threshold"))
    if "threshold" not in metadata and not query.item.section("spec", "advanced", "scalingModifiers").get(
        "target"
    ):
        yield Hit(query.item, _where(query, "threshold"), "the trigger has no threshold")
    elif "threshold" in metadata and (number is None or number <= 0):
        text = str(metadata["threshold"])
        yield Hit(
            query.item, _where(query, "threshold"), f"the threshold {text[:40]!r} is no number above 0", text
        )
    if not metadata.get("serverAddress"):
        yield Hit(
            query.item, _where(query, "serverAddress"), "the trigger names no Prometheus (serverAddress)"
        )


@rule(
    "trigger-many-series",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Trigger's query returns one series for each replica",
    why="KEDA takes a query of one element and errors on more: with the second replica the trigger stops working, and scaling with it.",
    fix="Aggregate the query to one number: sum(…) or max(…).",
    references=("keda 2.20.2 pkg/scalers/prometheus_scaler.go:250 (multiple elements)",),
    on=lambda view: (
        q
        for q in _queries(view)
        if q.tree is not None and any(u.name.startswith("vllm") for u in uses(q.tree))
    ),
)
def _trigger_many_series(query: Query, view: View) -> Iterator[Hit]:
    tree = query.tree
    while kind(tree) == "ParenExpr":
        tree = tree.expr
    aggregate = aggregated(tree)
    if (
        aggregate is not None
        and aggregate.modifier is not None
        and list(aggregate.modifier.labels)
        and str(aggregate.modifier.type).endswith("By")
    ):
        labels = ", ".join(aggregate.modifier.labels)
        pinned = {label for use in uses(tree) for label, operator, _ in use.labels if operator == "Equal"}
        if set(aggregate.modifier.labels) & {"pod", "instance", "engine", "container"} - pinned:
            yield Hit(
                query.item,
                query.path,
                f"by ({labels}) gives one element for each of them; KEDA takes one in all",
                query.expr,
            )
    elif kind(tree) == "VectorSelector":
        text = f"sum({query.expr.strip()})"
        yield Hit(
            query.item, query.path, f"{tree.name} has a series for each replica; KEDA takes one element", query.expr,
            Fix("Sum it", (add(query.path, text),)),
        )  # fmt: skip


@rule(
    "trigger-threshold-per-replica",
    Area.AUTOSCALING,
    Severity.INFO,
    title="Threshold is per replica, which the trigger leaves unsaid",
    why="metricType is AverageValue unless set: wanted replicas are the sum divided by the threshold, not one more whenever the sum exceeds it.",
    fix="Write metricType down, and the threshold as what one replica should carry.",
    references=("keda 2.20.2 apis/keda/v1alpha1/scaletriggers_types.go:28-40",),
    on=_queries,
)
def _trigger_threshold_per_replica(query: Query, view: View) -> Iterator[Hit]:
    if "metricType" not in query.rule:
        path = (*query.path[:-2], "metricType")
        threshold = _metadata(query).get("threshold")
        yield Hit(query.item, path, f"the threshold {threshold} is for each replica (AverageValue), not for the service", None,
                  Fix("Write AverageValue down", (add(path, "AverageValue"),)))  # fmt: skip


def _running_triggers(view: View) -> Iterator[tuple[Query, Server]]:
    by_workload = {id(server.workload): server for server in view.running_servers}
    for scaler in gpu_scalers(view):
        server = by_workload.get(id(scaler.workload))
        if scaler.kind != "ScaledObject" or server is None:
            continue
        for query in triggers_of(scaler.item, view):
            names = (
                {use.name.replace("vllm_", "vllm:", 1) for use in uses(query.tree)}
                if query.tree is not None
                else set()
            )
            if names == {"vllm:num_requests_running"}:
                yield query, server


@rule(
    "running-threshold-far-below-capacity",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="Scales out on running requests long before a replica is full",
    why=(
        "vLLM batches hundreds of requests: a new GPU is bought for every ten of them, at a twentieth of what one carries, and "
        "utilisation stays where it was."
    ),
    fix="Take the threshold from a load test: about 0.7 of the concurrency at which the latency target breaks.",
    references=("vllm 0.33.0 vllm/engine/arg_utils.py:2973-3010 (default max_num_seqs)",),
    on=_running_triggers,
)
def _running_threshold_far_below_capacity(subject: tuple[Query, Server], view: View) -> Iterator[Hit]:
    query, server = subject
    threshold = _number(_metadata(query).get("threshold"))
    limit = server.number("--max-num-seqs")
    most = (
        int(limit)
        if limit
        else int(release("vllm", server.version).defaults.get("max_num_seqs_small") or 256)
    )
    fit = view.fit(server)
    if fit is not None and fit.layout is not None and fit.layout.fits:
        most = min(most, max(1, fit.layout.max_sequences))
    if threshold is not None and 0 < threshold < most / 10:
        said = "--max-num-seqs" if limit else "default"
        yield Hit(
            query.item,
            _where(query, "threshold"),
            f"{threshold:g} running requests a replica, where it batches up to {most} ({said})",
            str(threshold),
        )


@rule(
    "no-fallback",
    Area.AUTOSCALING,
    Severity.INFO,
    title="ScaledObject has no fallback for when its metrics cannot be read",
    why="With Prometheus down the replicas stay as they happen to be: two at night, when the morning's load comes.",
    fix="Add fallback with replicas that carry the usual peak and behavior currentReplicasIfHigher.",
    references=("keda 2.20.2 apis/keda/v1alpha1/scaledobject_types.go:126-136",),
    on=lambda view: (item for item in llm_scaled_objects(view) if _external(item)),
)
def _no_fallback(item: Item, view: View) -> Iterator[Hit]:
    if "fallback" in item.spec or not triggers_of(item, view):
        return
    minimum = max(1, item.spec.get("minReplicaCount", 0))
    value = {"failureThreshold": 3, "replicas": minimum, "behavior": "currentReplicasIfHigher"}
    behaves = f"keep what runs, {minimum} at least"
    yield Hit(item, ("spec", "fallback"), "there is no fallback for errors of the metrics server", None,
              Fix(f"Fall back to {behaves}", (add(("spec", "fallback"), value),)))  # fmt: skip


def _external(item: Item) -> bool:
    return any(trigger.get("type") not in {"cpu", "memory"} for trigger in item.spec.get("triggers") or [])


@rule(
    "fallback-never-taken",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="Fallback that a missing metric does not trigger",
    why="Fallback answers errors, and with ignoreNullValues true a missing series is 0, not an error: after a broken scrape the replicas go in and the fallback is never taken.",
    fix='Set ignoreNullValues to "false" on the Prometheus triggers.',
    references=("keda 2.20.2 pkg/fallback/fallback.go",),
    on=lambda view: (
        item for item in llm_scaled_objects(view) if "fallback" in item.spec and triggers_of(item, view)
    ),
)
def _fallback_never_taken(item: Item, view: View) -> Iterator[Hit]:
    queries = triggers_of(item, view)
    if to_zero(item):
        return  # at zero an empty answer is the truth
    if all(str(_metadata(query).get("ignoreNullValues", "true")).lower() != "false" for query in queries):
        ops = tuple(add(_where(query, "ignoreNullValues"), "false") for query in queries)
        yield Hit(
            item,
            ("spec", "fallback"),
            "missing series count as 0 and never reach the fallback; only an unreachable Prometheus does",
            None,
            Fix("Make no data an error", ops),
        )


@rule(
    "timer-without-effect",
    Area.AUTOSCALING,
    Severity.INFO,
    title="pollingInterval or cooldownPeriod on an object that never goes to zero",
    why="Both act between 0 and 1 only: who sets them to calm or to hasten scaling changes nothing. From 1 to N the HPA decides every 15 s.",
    fix="Set advanced.horizontalPodAutoscalerConfig.behavior instead.",
    references=("keda 2.20.2 apis/keda/v1alpha1/scaledobject_webhook.go:378-401",),
    on=lambda view: (item for item in llm_scaled_objects(view) if not to_zero(item)),
)
def _timer_without_effect(item: Item, view: View) -> Iterator[Hit]:
    cached = any(trigger.get("useCachedMetrics") for trigger in item.spec.get("triggers") or [])
    for key in ("cooldownPeriod", *(() if cached else ("pollingInterval",))):
        if key in item.spec and "idleReplicaCount" not in item.spec:
            path = ("spec", key)
            yield Hit(
                item,
                path,
                f"{key} has no effect: minReplicaCount is above 0",
                item.spec[key],
                Fix(f"Delete {key}", (remove(path),)),
            )


def _scaled(view: View) -> Iterator[Scaler]:
    yield from (
        scaler for scaler in gpu_scalers(view) if scaler.kind in {"ScaledObject", "HorizontalPodAutoscaler"}
    )


@rule(
    "scale-in-cuts-streams",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="Nothing slows the scale-in of a model server",
    why=(
        "Without a behavior the HPA may take every surplus replica in one step: streams are cut, caches lost, and replicas that "
        "took minutes to load are bought again at the next burst."
    ),
    fix="Limit scaleDown to one pod in five minutes, with a stabilization window of ten.",
    references=(
        "https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#default-behavior",
    ),
    on=_scaled,
)
def _scale_in_cuts_streams(scaler: Scaler, view: View) -> Iterator[Hit]:
    base: Path = (
        ("spec", "advanced", "horizontalPodAutoscalerConfig", "behavior")
        if scaler.kind == "ScaledObject"
        else ("spec", "behavior")
    )
    down = scaler.item.section(*(str(step) for step in base), "scaleDown")
    if scaler.maximum - scaler.minimum < 2:
        return
    if (
        not down.get("policies")
        and down.get("selectPolicy") != "Disabled"
        and down.get("stabilizationWindowSeconds", 300) < 600
    ):
        value = {
            "stabilizationWindowSeconds": 600,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}],
        }
        yield Hit(scaler.item, (*base, "scaleDown"), f"up to {scaler.maximum - scaler.minimum} replicas may go in one step", None,
                  Fix("One pod in five minutes", (add((*base, "scaleDown"), value),)))  # fmt: skip
