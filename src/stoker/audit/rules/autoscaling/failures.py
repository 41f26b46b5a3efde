"""What a scaler does when its metrics fail, and how it divides what they say."""

from collections.abc import Iterator
from math import ceil
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add, remove, replace
from stoker.audit.rule import rule
from stoker.audit.rules.autoscaling.zero import gpu_scalers, llm_scaled_objects, triggers_of
from stoker.audit.view.expressions import aggregated, kind, unscaled
from stoker.audit.view.queries import Query
from stoker.audit.view.scaling import Scaler
from stoker.audit.view.view import View
from stoker.catalog.metrics import series
from stoker.kube.snapshot import Item

_TYPES: Final = "keda 2.20.2 apis/keda/v1alpha1/scaledobject_types.go"
_RESOURCE: Final = frozenset(("cpu", "memory"))
# Aggregations whose result is that of one replica, however many run.
_OF_ONE: Final = frozenset(("avg", "max", "min", "quantile"))


def _with_fallback(view: View) -> Iterator[Item]:
    for item in llm_scaled_objects(view):
        if "fallback" in item.spec:
            yield item


@rule(
    "fallback-to-zero",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Fallback of zero replicas stops the server when its metrics fail",
    why=(
        "With fallback.replicas 0 KEDA treats an error of the metrics server like an idle trigger: once the cooldown is over "
        "it scales to zero. An outage of Prometheus becomes an outage of the model."
    ),
    fix="Set fallback.replicas to what carries the usual load, one at least.",
    references=("keda 2.20.2 pkg/scaling/executor/scale_scaledobjects.go:85-105",),
    on=_with_fallback,
)
def _fallback_to_zero(item: Item, view: View) -> Iterator[Hit]:
    fallback = item.section("spec", "fallback")
    stops = item.spec.get("minReplicaCount", 0) == 0 or item.spec.get("idleReplicaCount") == 0
    if fallback.get("replicas", 0) != 0 or not stops:
        return
    wanted = max(1, item.spec.get("minReplicaCount", 0))
    path = ("spec", "fallback", "replicas")
    cooldown = item.spec.get("cooldownPeriod", 300)
    yield Hit(
        item,
        path,
        f"an error of the metrics server that lasts {cooldown} s takes the server to 0 replicas",
        0,
        Fix(f"Fall back to {wanted}", (add(path, wanted),)),
    )


@rule(
    "fallback-refused",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Fallback on a ScaledObject with CPU and memory triggers alone",
    why="KEDA's webhook refuses the object, since fallback has no metric to answer for: what was applied before stays, or nothing scales.",
    fix="Remove fallback, or add a trigger that is not cpu or memory.",
    references=(f"{_TYPES} (CheckFallbackValid)",),
    on=lambda view: (item for item in view.of("ScaledObject.keda.sh") if "fallback" in item.spec),
)
def _fallback_refused(item: Item, view: View) -> Iterator[Hit]:
    types = [str(trigger.get("type")) for trigger in item.spec.get("triggers") or []]
    modified = item.section("spec", "advanced", "scalingModifiers")
    if types and set(types) <= _RESOURCE and not modified:
        path = ("spec", "fallback")
        yield Hit(
            item,
            path,
            f"the triggers are {' and '.join(dict.fromkeys(types))} alone, for which KEDA refuses a fallback",
            None,
            Fix("Remove fallback", (remove(path),)),
        )


def _of_one_replica(tree: Any) -> str:
    """The function that makes a query's value that of one replica, empty where it is a sum or anything else."""
    while kind(tree) == "ParenExpr":
        tree = tree.expr
    aggregate = aggregated(tree)
    if aggregate is not None and str(aggregate.op) in _OF_ONE:
        return str(aggregate.op)
    if kind(tree) == "Call" and tree.func.name == "histogram_quantile":
        return "histogram_quantile"
    return ""


def _scaled_queries(view: View) -> Iterator[tuple[Scaler, Query]]:
    for scaler in gpu_scalers(view):
        if scaler.kind != "ScaledObject" or scaler.item.section("spec", "advanced", "scalingModifiers"):
            continue
        for query in triggers_of(scaler.item, view):
            if query.tree is not None and _of_one_replica(query.tree):
                yield scaler, query


@rule(
    "average-divided-again",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="A mean or a quantile is divided by the replicas once more",
    why=(
        "Under AverageValue, the default, wanted replicas are the query's value divided by the threshold, whatever runs. A "
        "mean does not grow with the load of all: scaling out stops at a small number, however long the queue."
    ),
    fix="Set metricType: Value for a mean, a maximum or a latency; keep AverageValue for sums.",
    references=(
        "keda 2.20.2 pkg/scalers/prometheus_scaler.go:199-210",
        "kubernetes 1.36 pkg/controller/podautoscaler/replica_calculator.go (GetExternalPerPodMetricReplicas)",
    ),
    on=_scaled_queries,
)
def _average_divided_again(subject: tuple[Scaler, Query], view: View) -> Iterator[Hit]:
    scaler, query = subject
    if query.rule.get("metricType", "AverageValue") != "AverageValue":
        return
    try:
        threshold = float(str((query.rule.get("metadata") or {}).get("threshold")))
    except ValueError:
        return
    if not 0 < threshold < float("inf"):
        return
    used = _of_one_replica(query.tree)
    ratio = any(
        (fact := series(use.name)) is not None and fact.unit == "ratio" for use in unscaled(query.tree)
    )
    most = ceil(1 / threshold) if ratio else 0
    if most >= scaler.maximum or (ratio and threshold > 1):
        return
    told = (
        f"never more than {most} of {scaler.maximum} replicas, for {used}() of a ratio is at most 1"
        if ratio
        else f"{used}() is the value of one replica, and {threshold:g} more of it asks for one more, whatever runs"
    )
    path = (*query.path[:-2], "metricType")
    fix = Fix("Compare the value itself", (add(path, "Value"),))
    yield Hit(query.item, path, told, query.rule.get("metricType"), fix)


@rule(
    "trigger-name-twice",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Two triggers of one object have the same name",
    why="KEDA's webhook refuses the object: what was applied before stays in force, or nothing scales.",
    fix="Give each trigger its own name.",
    references=("keda 2.20.2 apis/keda/v1alpha1/scaletriggers_types.go (ValidateTriggers)",),
    on=lambda view: view.of("ScaledObject.keda.sh", "ScaledJob.keda.sh"),
)
def _trigger_name_twice(item: Item, view: View) -> Iterator[Hit]:
    seen: set[str] = set()
    for index, trigger in enumerate(item.spec.get("triggers") or []):
        name = trigger.get("name") or ""
        if name and name in seen:
            path = ("spec", "triggers", index, "name")
            other = f"{name}-{index}"
            fix = Fix(f"Name it {other}", (replace(path, other),))
            modified = item.section("spec", "advanced", "scalingModifiers")  # a formula names its triggers
            yield Hit(item, path, f"an earlier trigger is called {name} too", name, None if modified else fix)
        seen.add(name)
