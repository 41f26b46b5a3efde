"""Units: a ratio compared with 90 never is above it, a lifetime counter compared with 5 always is."""

from collections.abc import Callable, Iterator
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Severity, replace
from stoker.audit.rule import rule
from stoker.audit.view.expressions import RATES, Comparison, comparisons, unscaled, uses
from stoker.audit.view.queries import Query
from stoker.audit.view.view import View
from stoker.catalog.engines import MetricType
from stoker.catalog.metrics import Series, series

_LOGGERS: Final = "vllm 0.33.0 vllm/v1/metrics/loggers.py:619"
_COUNTERS: Final = "dcgm-exporter 4.5.3 etc/default-counters.csv"


def _with_unit(unit: str) -> Callable[[View], Iterator[Query]]:
    def subjects(view: View) -> Iterator[Query]:
        for query in view.queries:
            if query.tree is not None and query.role in {"alert", "record", "panel"}:
                for comparison in comparisons(query.tree):
                    if any(fact.unit == unit for _, fact in _compared(comparison)):
                        yield query
                        break

    return subjects


def _compared(comparison: Comparison) -> Iterator[tuple[str, Series]]:
    for use in unscaled(comparison.left):
        fact = series(use.name)
        if fact is not None:
            yield use.name, fact


def _number(value: float) -> str:
    return f"{value:g}"


@rule(
    "ratio-compared-with-percent",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Alert compares a ratio between 0 and 1 with a percentage",
    why="The condition is never true: the alert that was meant to warn of a full KV cache is silent through every incident.",
    fix="Compare with the ratio: 0.9 for 90 percent.",
    references=(_LOGGERS, _COUNTERS),
    on=_with_unit("ratio"),
)
def _ratio_compared_with_percent(query: Query, view: View) -> Iterator[Hit]:
    for comparison in comparisons(query.tree):
        for name, fact in _compared(comparison):
            if (
                fact.unit != "ratio"
                or not 1 < comparison.number <= 100
                or comparison.op not in {">", ">=", "<", "<="}
            ):
                continue
            ratio, written = _number(comparison.number / 100), _number(comparison.number)
            happens = "never true" if comparison.op.startswith(">") else "always true"
            plain = f"{comparison.op} {written}"
            fix = None
            if query.expr.count(plain) == 1:
                fix = Fix(
                    f"Compare with {ratio}",
                    (replace(query.path, query.expr.replace(plain, f"{comparison.op} {ratio}")),),
                )
            yield Hit(
                query.item, query.path, f"{name} lies between 0 and 1: {plain} is {happens}; {ratio} is {written} percent",
                query.expr, fix,
            )  # fmt: skip


@rule(
    "percent-compared-with-ratio",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Alert compares a percentage with a ratio between 0 and 1",
    why="Every value but zero is above 0.9: the alert fires all day and is muted, or an idle alert never fires.",
    fix="Compare with percent: 90 for 0.9.",
    references=(_COUNTERS,),
    on=_with_unit("percent"),
)
def _percent_compared_with_ratio(query: Query, view: View) -> Iterator[Hit]:
    for comparison in comparisons(query.tree):
        for name, fact in _compared(comparison):
            if fact.unit == "percent" and 0 < comparison.number < 1:
                written = _number(comparison.number)
                yield Hit(
                    query.item, query.path,
                    f"{name} lies between 0 and 100: {comparison.op} {written} is below one percent", query.expr,
                )  # fmt: skip


def _counters(view: View) -> Iterator[Query]:
    for query in view.queries:
        if query.tree is not None and any(
            (fact := series(use.name)) is not None and fact.type is not MetricType.GAUGE
            for use in uses(query.tree)
        ):
            yield query


@rule(
    "counter-without-rate",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Threshold on a lifetime counter",
    why=(
        "A counter only grows until the process restarts: the condition becomes true once and stays true, and a scaler that "
        "follows it runs to its maximum and stays there."
    ),
    fix="Take rate() or increase() over a window first.",
    references=("https://prometheus.io/docs/concepts/metric_types/#counter",),
    on=_counters,
)
def _counter_without_rate(query: Query, view: View) -> Iterator[Hit]:
    scaling = query.role in {"trigger", "kserve"}
    compared = {id(use.node) for c in comparisons(query.tree) for use in uses(c.left)}
    for use in uses(query.tree):
        fact = series(use.name)
        if fact is None or fact.type is MetricType.GAUGE or use.range_seconds is not None:
            continue
        if use.under(
            *RATES,
            "histogram_quantile",
            "absent",
            "absent_over_time",
            "count",
            "present_over_time",
            "timestamp",
        ):
            continue
        if _ratio_of_counters(use.above):
            continue
        if scaling or (query.role == "alert" and id(use.node) in compared):
            yield Hit(
                query.item,
                query.path,
                f"{use.name} counts since the process began; without rate() its value only grows",
                use.name,
            )


def _ratio_of_counters(above: tuple[str, ...]) -> bool:
    """``sum(hits) / sum(queries)``: a lifetime ratio, odd but no threshold on a counter."""
    return "BinaryExpr:/" in above


@rule(
    "rate-of-gauge",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="rate() over a gauge",
    why="rate() takes every fall of a gauge for a restart of a counter: the result is a number without meaning that alerts act upon.",
    fix="Use the gauge itself, avg_over_time() for a mean, deriv() for a slope.",
    references=("https://prometheus.io/docs/prometheus/latest/querying/functions/#rate",),
    on=lambda view: (
        q
        for q in view.queries
        if q.tree is not None and any(u.under("rate", "irate", "increase") for u in uses(q.tree))
    ),
)
def _rate_of_gauge(query: Query, view: View) -> Iterator[Hit]:
    for use in uses(query.tree):
        fact = series(use.name)
        if fact is not None and fact.type is MetricType.GAUGE and use.range_seconds is not None:
            called = next(
                (entry.partition(":")[2] for entry in reversed(use.above) if entry.startswith("Call:")), ""
            )
            if called in {"rate", "irate", "increase"}:
                yield Hit(
                    query.item,
                    query.path,
                    f"{use.name} is a gauge: {called}() over it means nothing",
                    use.name,
                )
