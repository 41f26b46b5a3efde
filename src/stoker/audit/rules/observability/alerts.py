"""Alerts: whether they fire on the right thing, say the right thing, and reach somebody."""

import re
from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Op, Severity, add, replace
from stoker.audit.rule import rule
from stoker.audit.view.expressions import aggregated, comparisons, kind, unscaled, uses
from stoker.audit.view.queries import Query
from stoker.audit.view.view import View
from stoker.catalog.metrics import series
from stoker.kube.snapshot import Item

_SCHEDULER: Final = "vllm 0.33.0 vllm/v1/core/sched/scheduler.py:914-990"
_TEXT: Final = re.compile(r"\bOOM|out[- ]of[- ]memory|memory leak", re.IGNORECASE)
_KV: Final = frozenset(("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"))
_LLM: Final = ("vllm:", "sglang:", "tgi_", "nv_inference_", "vllm_")


def llm_alerts(view: View) -> list[Query]:
    """Alerts over an engine's own series."""
    return [
        query
        for query in view.queries
        if query.role == "alert"
        and query.tree is not None
        and any(u.name.startswith(_LLM) for u in uses(query.tree))
    ]


def _kv_alerts(view: View) -> Iterator[Query]:
    for query in llm_alerts(view):
        if any(use.name in _KV for use in uses(query.tree)):
            yield query


def _annotations(query: Query) -> Iterator[tuple[str, str]]:
    yield from ((key, str(text)) for key, text in (query.rule.get("annotations") or {}).items())


@rule(
    "kv-cache-alert-promises-oom",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="Alert says that a full KV cache ends in an out-of-memory kill",
    why=(
        "vLLM allocates its KV blocks once at start. When they are full it preempts requests and queues new ones: answers get "
        "slow, nothing is killed. Whoever is paged at 2 AM restarts healthy servers instead of adding replicas."
    ),
    fix="Say that requests are being preempted and queued, and to add replicas or lower --max-num-seqs.",
    references=(_SCHEDULER, "vllm 0.33.0 vllm/v1/core/kv_cache_planning.py:50"),
    on=_kv_alerts,
)
def _kv_cache_alert_promises_oom(query: Query, view: View) -> Iterator[Hit]:
    for key, text in _annotations(query):
        found = _TEXT.search(text)
        if found:
            path = (*query.path[:-1], "annotations", key)
            yield Hit(
                query.item,
                path,
                f"{query.name} speaks of {found[0]!r}; a full KV cache preempts and queues, it kills nothing",
                text,
            )


@rule(
    "kv-cache-alert-alone",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="Alert fires on KV cache usage alone",
    why=(
        "A busy, healthy server keeps its KV cache full: that is what it is for. Usage without preemptions or waiting requests "
        "pages somebody for good utilisation."
    ),
    fix="Join it with rate(vllm:num_preemptions_total[5m]) > 0 or with waiting requests.",
    references=(_SCHEDULER,),
    on=_kv_alerts,
)
def _kv_cache_alert_alone(query: Query, view: View) -> Iterator[Hit]:
    names = {use.name for use in uses(query.tree)}
    if names <= _KV and str((query.rule.get("labels") or {}).get("severity")) in {
        "critical",
        "page",
        "error",
    }:
        yield Hit(
            query.item,
            query.path,
            f"{query.name} pages on usage alone; a busy healthy server has it too",
            query.expr,
        )


@rule(
    "ratio-shown-as-percent",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="Alert text prints a ratio with a percent sign",
    why='The page reads "KV cache at 0.97%" and is taken for a fault of the monitoring.',
    fix="Print {{ $value | humanizePercentage }}.",
    references=("https://prometheus.io/docs/prometheus/latest/configuration/template_reference/#numbers",),
    on=lambda view: (
        q
        for q in llm_alerts(view)
        if any(f and f.unit == "ratio" for f in (series(u.name) for u in uses(q.tree)))
    ),
)
def _ratio_shown_as_percent(query: Query, view: View) -> Iterator[Hit]:
    values = [use for comparison in comparisons(query.tree) for use in unscaled(comparison.left)]
    if not values or not all(
        (fact := series(use.name)) is not None and fact.unit == "ratio" for use in values[:1]
    ):
        return
    for key, text in _annotations(query):
        match = re.search(r"\{\{\s*\$value\s*\}\}\s*%", text)
        if match:
            path = (*query.path[:-1], "annotations", key)
            right = text.replace(match[0], "{{ $value | humanizePercentage }}")
            yield Hit(
                query.item,
                path,
                f"{query.name} prints a ratio as {match[0]}",
                text,
                Fix("Use humanizePercentage", (replace(path, right),)),
            )


@rule(
    "queue-alert-per-replica",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="Queue depth is compared for each replica alone",
    why=(
        "Each engine has a series of its own: ten requests on one of eight replicas page as much as eighty, and eight alerts "
        "arrive for one incident."
    ),
    fix="sum by (namespace, model_name) over the replicas, and compare per running replica.",
    references=("vllm 0.33.0 vllm/v1/metrics/loggers.py:538",),
    on=lambda view: (
        q for q in llm_alerts(view) if any(u.name.startswith("vllm:num_requests_") for u in uses(q.tree))
    ),
)
def _queue_alert_per_replica(query: Query, view: View) -> Iterator[Hit]:
    for comparison in comparisons(query.tree):
        bare = comparison.left
        if (
            kind(bare) == "VectorSelector"
            and str(bare.name).startswith("vllm:num_requests_")
            and comparison.number > 0
        ):
            fix = None
            if query.expr.count(str(bare.name)) == 1 and f"{bare.name}{{" not in query.expr:
                text = f"sum by (namespace, model_name) ({bare.name})"
                fix = Fix(
                    "Sum over the replicas", (replace(query.path, query.expr.replace(str(bare.name), text)),)
                )
            yield Hit(
                query.item,
                query.path,
                f"{query.name} compares each replica's {bare.name} with {comparison.number:g}",
                query.expr,
                fix,
            )


def _contradicts(query: Query) -> str:
    """Why an alert can never fire; empty where it can."""
    for use in uses(query.tree):
        wanted: dict[str, str] = {}
        for label, operator, value in use.labels:
            if operator != "Equal":
                continue
            if wanted.get(label, value) != value:
                return f"{label} cannot be both {wanted[label]!r} and {value!r}"
            wanted[label] = value
    for comparison in comparisons(query.tree):
        facts = [series(use.name) for use in unscaled(comparison.left)]
        if facts and all(f is not None and f.unit in {"ratio", "requests", "percent"} for f in facts):
            if comparison.op == "<" and comparison.number <= 0:
                return f"no value is below {comparison.number:g}"
            if (
                comparison.op == ">"
                and comparison.number >= 100
                and all(f is not None and f.unit == "percent" for f in facts)
            ):
                return "no percentage is above 100"
    return ""


@rule(
    "alert-cannot-fire",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Alert's condition can never be true",
    why="The alert looks like protection and is none; nobody notices until the incident it was written for.",
    fix="Correct the matchers or the threshold, and prove it with `promtool test rules`.",
    references=("https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/",),
    on=llm_alerts,
)
def _alert_cannot_fire(query: Query, view: View) -> Iterator[Hit]:
    why = _contradicts(query)
    if why:
        yield Hit(query.item, query.path, f"{query.name} can never fire: {why}", query.expr)


@rule(
    "alert-without-severity",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="Alert without a severity label",
    why="Routes of Alertmanager select by severity: an alert without one takes the default route, which is often nobody.",
    fix="Set labels.severity to what your routes match: critical pages, warning goes to a channel.",
    references=("https://prometheus.io/docs/alerting/latest/configuration/#route",),
    on=llm_alerts,
)
def _alert_without_severity(query: Query, view: View) -> Iterator[Hit]:
    labels = query.rule.get("labels") or {}
    if "severity" not in labels and "priority" not in labels:
        path = (*query.path[:-1], "labels")
        yield Hit(
            query.item,
            path,
            f"{query.name} has no severity",
            None,
            Fix("Label it a warning", (Op("add", (*path, "severity"), "warning"),)),
        )


@rule(
    "alert-without-duration",
    Area.OBSERVABILITY,
    Severity.INFO,
    title="Alert on a gauge without `for`",
    why="Queue depth and cache usage jump from scrape to scrape: one sample over the line pages, the next resolves it.",
    fix="Hold the condition for some minutes with `for`.",
    references=("https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/",),
    on=lambda view: (
        q
        for q in llm_alerts(view)
        if any(f and f.type.value == "gauge" for f in (series(u.name) for u in uses(q.tree)))
    ),
)
def _alert_without_duration(query: Query, view: View) -> Iterator[Hit]:
    if query.rule.get("for") in {None, "0s", "0m"} and not any(u.range_seconds for u in uses(query.tree)):
        path = (*query.path[:-1], "for")
        yield Hit(
            query.item,
            path,
            f"{query.name} fires on a single sample",
            None,
            Fix("Hold it for five minutes", (add(path, "5m"),)),
        )


def _rule_objects(view: View) -> list[Item]:
    return list({id(q.item): q.item for q in llm_alerts(view)}.values())


@rule(
    "no-alert-on-absence",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="No alert tells that the servers' metrics are gone",
    why=(
        "Every other alert is silent when the scrape breaks or the servers are down: no series, no condition, no page. The "
        "first report comes from a customer."
    ),
    fix="Add an alert on absent(vllm:num_requests_running) or up == 0 for the servers' job.",
    references=("https://prometheus.io/docs/prometheus/latest/querying/functions/#absent",),
    on=lambda view: _rule_objects(view)[:1],
)
def _no_alert_on_absence(item: Item, view: View) -> Iterator[Hit]:
    for query in view.queries:
        if query.role == "alert" and query.tree is not None:
            found = list(uses(query.tree))
            if any(u.name == "up" or u.under("absent", "absent_over_time") for u in found):
                return
            if any(
                u.name.startswith(("kube_deployment_status", "kube_pod_status", "kube_statefulset_status"))
                for u in found
            ):
                return
    yield Hit(item, (), "the alerts here watch the engine's values, and none watches that there are any")


@rule(
    "alerts-unreadable-for-operator",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="Rule file is no PrometheusRule",
    why=(
        "kubectl refuses a bare groups: file, and Prometheus under the operator reads PrometheusRule objects only: unless "
        "something mounts this file and names it under rule_files, no alert in it exists."
    ),
    fix="Wrap the groups in a PrometheusRule with the labels that your Prometheus selects.",
    references=("prometheus-operator 0.93.0 PrometheusRule (monitoring.coreos.com/v1)",),
    on=lambda view: view.of("RuleFile.prometheus", "PrometheusRule.monitoring.coreos.com"),
)
def _alerts_unreadable_for_operator(item: Item, view: View) -> Iterator[Hit]:
    if item.kind != "RuleFile" or _named_by_config(item, view):
        return
    if len(view.snapshot.items) > len(view.of("RuleFile.prometheus")):
        yield Hit(item, (), f"{item.name} has no apiVersion and kind: nothing in the cluster reads it")


def _named_by_config(item: Item, view: View) -> bool:
    """A Prometheus configuration beside it that loads rule files."""
    return any(config.obj.get("rule_files") for config in view.of("ConfigFile.prometheus"))


@rule(
    "utilisation-by-busy-time",
    Area.OBSERVABILITY,
    Severity.INFO,
    title="DCGM_FI_DEV_GPU_UTIL stands for utilisation",
    why=(
        "It says that some kernel ran, and nears 100 with a single request: a fleet at a fifth of its throughput looks full, "
        "and nobody looks for the money."
    ),
    fix="Use DCGM_FI_PROF_GR_ENGINE_ACTIVE or DCGM_FI_PROF_SM_ACTIVE beside the share of allocated GPUs and tokens per second.",
    references=("dcgm-exporter 4.5.3 etc/default-counters.csv",),
    on=lambda view: (
        q
        for q in view.queries
        if q.tree is not None and any(u.name.startswith("DCGM_FI_") for u in uses(q.tree))
    ),
)
def _utilisation_by_busy_time(query: Query, view: View) -> Iterator[Hit]:
    if query.role in {"alert", "record"} and any(
        use.name == "DCGM_FI_DEV_GPU_UTIL" for use in uses(query.tree)
    ):
        yield Hit(
            query.item,
            query.path,
            f"{query} reads DCGM_FI_DEV_GPU_UTIL, which one request keeps near 100",
            query.expr,
        )


@rule(
    "gpu-memory-as-load",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="GPU memory in use serves as a signal of load",
    why=(
        "vLLM takes its share of the GPU's memory at start and keeps it: the value is the same at no load and at full load, so "
        "the alert fires for ever, or the scaler stands still."
    ),
    fix="Use vllm:kv_cache_usage_perc with waiting requests instead.",
    references=("vllm 0.33.0 vllm/config/cache.py:215 (gpu_memory_utilization)",),
    on=lambda view: (
        q for q in view.queries
        if view.running_servers and q.tree is not None and q.role in {"alert", "trigger", "kserve"}
        and any(u.name.startswith("DCGM_FI_") for u in uses(q.tree))
    ),
)  # fmt: skip
def _gpu_memory_as_load(query: Query, view: View) -> Iterator[Hit]:
    for use in uses(query.tree):
        if (
            use.name in {"DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"}
            and aggregated(query.tree) is not use.node
        ):
            yield Hit(
                query.item,
                query.path,
                f"{use.name} does not move with the load of an engine that allocates at start",
                query.expr,
            )
            return
